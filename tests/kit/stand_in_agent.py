"""A stand-in for an agent, as the program of a small release: it answers as the updater asks, in milliseconds.

Where it lies in a release it is `bin/haulier-agentd`; `manner` beside it says how it behaves. The updater, the state on
disk and the service manager's part are real in the tests that use it.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIGEST = HERE.parent.name
# More than a new release may take beside an old one that takes next to nothing.
HOARD_BYTES = 192 * 1024 * 1024


def option(name: str) -> str:
    """The value that follows an option."""
    return sys.argv[sys.argv.index(name) + 1]


def incarnation(state: Path) -> int:
    """One more than the start before."""
    path = state / "incarnation"
    number = int(path.read_text()) + 1 if path.exists() else 1
    path.with_name("incarnation.new").write_text(str(number))
    path.with_name("incarnation.new").replace(path)
    return number


def run(state: Path, manner: str) -> None:
    """Answer on the status socket until killed."""
    number = incarnation(state)
    if manner == "crashes":
        sys.exit(1)
    if manner == "hangs":
        time.sleep(3600)
    hoard = b"x" * HOARD_BYTES if manner == "leaks" else b""
    os.chdir(state)
    Path("status.socket").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("status.socket")
        listener.listen()
        while True:
            asker, _ = listener.accept()
            with asker:
                told = {"release_digest": DIGEST, "pid": os.getpid(), "incarnation": number, "heartbeat_s": 0.001}
                told |= {"connected": True, "connected_s": 60.0, "held": [], "rss_bytes": len(hoard)}
                asker.sendall(json.dumps(told).encode() + b"\n")


def main() -> None:
    """The verbs that the updater uses."""
    manner = (HERE / "manner").read_text().strip()
    verb = sys.argv[1]
    if verb == "run":
        run(Path(option("--state")), manner)
    elif verb == "selftest":
        failed = ["migrate duckdb"] if manner == "fails" else []
        took_s = 60.0 if manner == "slow" else 0.1
        print(json.dumps({"passed": not failed, "failed": failed, "detail": manner, "wall_s": took_s, "cpu_s": 0.1}))
    elif verb == "journal" and sys.argv[2] == "copy":
        Path(option("--copy")).write_text("copied")


if __name__ == "__main__":
    main()
