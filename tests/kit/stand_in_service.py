"""A service manager in one file, for hosts of tests: the program that updater.toml names. Words: restart, stop, state.

Arguments: PREFIX STATE CONFIG SIGNAL WORD. It starts what `current` below PREFIX says, as a service manager would, and
remembers the process; SIGNAL is what ends it, its children living on.
"""

import os
import signal
import sys
import time
from pathlib import Path

UP_BOUND_S = 20.0
HANGING_S = 1.0


def pid_of(prefix: Path) -> int:
    """The agent's process; 0 where none was started or it has ended."""
    try:
        pid, started = (prefix / "agent.pid").read_text().split()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0
    return int(pid) if fields[0] not in "ZX" and fields[19] == started else 0


def stop(prefix: Path, number: signal.Signals) -> None:
    """End the agent."""
    pid = pid_of(prefix)
    if pid:
        os.kill(pid, number)
        while pid_of(prefix):
            time.sleep(0.005)


def start(prefix: Path, state: Path, config: Path) -> None:
    """Start the agent, and wait as for Type=notify: until it answers, or ended, or the bound."""
    log = prefix / "agent.log"
    program = prefix / "opt/haulier/current/bin/haulier-agentd"
    (state / "status.socket").unlink(missing_ok=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            me = os.getpid()
            started = Path(f"/proc/{me}/stat").read_text().rpartition(")")[2].split()[19]
            (prefix / "agent.pid.new").write_text(f"{me} {started}")
            (prefix / "agent.pid.new").replace(prefix / "agent.pid")
            os.chdir("/")
            os.execv(program, [str(program), "run", "--state", str(state), "--config", str(config)])
        os._exit(0)
    os.wait()
    hangs = (prefix / "opt/haulier/current/bin/manner").exists()
    give_up_at = time.monotonic() + (HANGING_S if hangs else UP_BOUND_S)
    while time.monotonic() < give_up_at and not (state / "status.socket").exists():
        time.sleep(0.005)
        if (prefix / "agent.pid").exists() and not pid_of(prefix):
            break


def main() -> None:
    """Carry out one word."""
    prefix, state, config = (Path(each) for each in sys.argv[1:4])
    number, word = signal.Signals[sys.argv[4]], sys.argv[5]
    if word in ("restart", "stop"):
        stop(prefix, number)
        (prefix / "agent.pid").unlink(missing_ok=True)
    if word == "restart":
        start(prefix, state, config)
    elif word == "state":
        print("running" if pid_of(prefix) else "failed")
    elif word == "log":
        print((prefix / "agent.log").read_text()[-20_000:])


if __name__ == "__main__":
    main()
