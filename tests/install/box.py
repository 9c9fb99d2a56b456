"""A host of our own: a clean Debian 12 with a real systemd, booted in namespaces by systemd-nspawn.

It has its own processes, file system and network (loopback alone), and all of it ends with the box.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.kit.processes import NotInTime, until

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "system"
# What a Debian 12 server has, and what our packages say that they need.
INCLUDED = "systemd,systemd-sysv,dbus,procps,iproute2,ca-certificates,python3.11,adduser"
BOOT_S = 60.0


class Missing(Exception):
    """Something is not on this machine; says what to do about it."""


def base(name: str = "debian-12", included: str = INCLUDED) -> Path:
    """The archive of a clean Debian 12 root with some packages, made once. Raises Missing."""
    archive = CACHE / f"{name}.tar"
    if archive.is_file():
        return archive
    if shutil.which("mmdebstrap") is None:
        raise Missing("apt-get install --no-install-recommends mmdebstrap")
    CACHE.mkdir(parents=True, exist_ok=True)
    # mmdebstrap goes by the ending: without .tar it would make a directory.
    draft = archive.with_name(f"{name}-draft.tar")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={included}", "bookworm", str(draft)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Missing(f"a Debian mirror that apt on this machine can reach: {made.stderr.strip()[-500:]}")
    draft.rename(archive)
    return archive


class Box:
    """One host. Its root is `place`, made from the base; `close` ends it and removes that."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._groups = [each / f"haulier-box-{os.getpid()}" for each in _hierarchies()]
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        subprocess.run(["tar", "-C", str(place), "-xf", str(base())], check=True)
        # An installer would have written it.
        (place / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n", encoding="utf-8")

    def boot(self) -> float:
        """Start it; return after how many seconds systemd was done."""
        began_at = time.monotonic()
        for group in self._groups:
            group.mkdir(exist_ok=True)
        enter = "".join(f"echo $$ >{group}/cgroup.procs; " for group in self._groups)
        nspawn = (
            "exec systemd-nspawn -q --register=no --keep-unit --private-network --console=read-only --link-journal=no"
        )
        with (self.place.parent / "console.log").open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["/bin/sh", "-c", f'{enter}{nspawn} -D "$1" -b', "box", str(self.place)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        until(self._has_leader, BOOT_S, "the box to have a first process", self.place.parent / "console.log")
        up = "systemctl is-system-running --wait | grep -qx running"
        until(lambda: self.run(up).returncode == 0, BOOT_S, "systemd in the box to be done")
        return time.monotonic() - began_at

    def run(self, script: str, stdin: str = "", bound_s: float = 180.0) -> subprocess.CompletedProcess[str]:
        """Run a shell script inside, as root."""
        inside = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/" + "root", "LANG": "C.UTF-8"}
        return subprocess.run(
            [*inside, "/bin/sh", "-c", script],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=bound_s,
            env=environment,
        )

    def do(self, script: str, stdin: str = "", bound_s: float = 180.0) -> str:
        """Run a script that must succeed; return what it printed."""
        ran = self.run(script, stdin, bound_s)
        assert ran.returncode == 0, f"{script}\nexit {ran.returncode}\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}"
        return ran.stdout.strip()

    def until(self, script: str, bound_s: float, what: str) -> float:
        """Look until a script succeeds; return the seconds it took. Raises NotInTime with the journal's end."""
        began_at = time.monotonic()
        try:
            until(lambda: self.run(script).returncode == 0, bound_s, what)
        except NotInTime as error:
            raise NotInTime(f"{error}\n{self.run('journalctl -n 40 --no-pager').stdout}") from None
        return time.monotonic() - began_at

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write a file inside, as root."""
        path = self.place / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(mode)
        fresh.replace(path)

    def cut_power(self) -> None:
        """Every process inside is gone at once."""
        os.kill(self._leader, 9)
        self._ended()

    def close(self) -> None:
        """End the box and remove what it was."""
        if self._nspawn is not None and self._nspawn.poll() is None:
            self._nspawn.terminate()
            try:
                self._nspawn.wait(30)
            except subprocess.TimeoutExpired:
                os.kill(self._leader, 9)
        self._ended()
        shutil.rmtree(self.place, ignore_errors=True)

    def _ended(self) -> None:
        if self._nspawn is not None:
            self._nspawn.wait(30)
            self._nspawn = None
        for group in self._groups:
            for below in sorted(group.rglob("*"), reverse=True):
                if below.is_dir():
                    below.rmdir()
            if group.exists():
                group.rmdir()

    def _has_leader(self) -> bool:
        """Whether systemd runs inside already; nspawn's own intermediate processes do not count."""
        assert self._nspawn is not None
        children = [task.read_text() for task in Path(f"/proc/{self._nspawn.pid}/task").glob("*/children")]
        for pid in " ".join(children).split():
            status = dict(
                line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
            )
            if status["NSpid"].split()[-1] == "1" and status["Name"].strip() == "systemd":
                self._leader = int(pid)
                return True
        return False


def _hierarchies() -> list[Path]:
    """Where this machine's control groups are; a box gets one of its own in each, and leaves none behind."""
    top = Path("/sys/fs/cgroup")
    hybrid = [top / name for name in ("unified", "systemd") if (top / name).is_dir()]
    return hybrid or [top]
