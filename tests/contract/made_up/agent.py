"""The real agent with the made-up declarations: `run STATE CONFIG` is its daemon, `host …` its runner host."""

import logging
import sys
from pathlib import Path

from agentd import __main__ as program
from agentd import daemon, runnerhost
from tests.contract.made_up.declarations import declare_on_agent

if __name__ == "__main__":
    declare_on_agent()
    if sys.argv[1] == "host":
        runnerhost.main(sys.argv[2:])
    elif sys.argv[1] == "run":
        logging.basicConfig(stream=sys.stderr, level=logging.INFO)
        host = (sys.executable, str(Path(__file__)), "host")
        daemon.run(Path(sys.argv[2]), Path(sys.argv[3]), "", host)
    else:
        sys.exit(program.main(sys.argv[1:]))
