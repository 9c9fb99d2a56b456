"""The real daemon with a runner host that knows the small step kinds. Arguments: STATE CONFIG."""

import logging
import os
import sys
from pathlib import Path

from agentd import daemon
from tests.integration.agentd import dying

if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    dying.in_daemon()
    # A runner host is started with hardly anything of its daemon's environment.
    orders = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(dying.ORDERS)]
    small = Path(__file__).with_name("small_kinds.py")
    daemon.run(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        os.environ.get(daemon.STOP_AT_VARIABLE, ""),
        ("env", *orders, sys.executable, str(small)),
    )
