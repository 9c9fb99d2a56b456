"""Small disks for tests: file systems in memory, mounted where one process alone sees them."""

import subprocess
from functools import cache


@cache
def can_mount() -> bool:
    """Tell whether this machine lets us mount in a namespace of our own."""
    try:
        command = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=4096 none /mnt"]
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except OSError:
        return False
