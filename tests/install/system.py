"""`make test-system`: the packages on a clean Debian 12 with a real systemd, from installation to purge.

Needs root, a Debian mirror that apt can reach (once, for the root of the box) and what `needs` names; it says what is
missing and never passes without it. Figures go to build/reports/install.json. `--keep-packages` takes those of the
last time.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.install import cargo, released_settings, rpms, self_upgrade
from tests.install.box import CACHE, ROOT, Box, Missing, base
from tests.install.host import Host
from tests.kit import reports
from tests.kit.processes import NotInTime
from tests.kit.verbs import leave

INSTALL_S_MAX = 60.0
EXPOSURE_MAX = 2.0
STAGING = f"{cargo.DATA}/staging"
OLD, NEW = "0.1.0", "0.1.1"
# Shorter than the unit's own minute, so that the test need not wait for it.
WATCHDOG_S = 4


def needs() -> None:
    """Raise Missing, naming what this machine lacks."""
    if os.geteuid() != 0:
        raise Missing("root: a box is made of namespaces and a root file system")
    for program, package in (("systemd-nspawn", "systemd-container"), ("nsenter", "util-linux"), ("rpm", "rpm")):
        if shutil.which(program) is None:
            raise Missing(f"apt-get install --no-install-recommends {package}")
    base()


def build(version: str) -> Path:
    """Build debs and rpms of a version; return their directory."""
    output = CACHE / "packages" / version
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, str(ROOT / "packaging" / "packages.py"), "--output", str(output), "--version", version]
    ran = subprocess.run([*command, *([] if version == OLD else ["--only", "deb"])], check=False, cwd=ROOT)
    assert ran.returncode == 0, f"the packages of {version} could not be built"
    return output


def commands(heading: str) -> list[str]:
    """Every command that docs/install.md says to type under a heading, in order."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", page.split(f"\n## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]


def follow_the_page(host: Host, figures: dict[str, Any]) -> None:
    """The page to install by, word for word, on a clean Debian 12: one command makes the control plane, one command and
    one token the agent, and both start by themselves."""
    host.remember_files()
    place = host.lay_out(OLD, "*.deb")
    token, seconds = "", 0.0
    for line in [*commands("The control plane"), *commands("An agent")]:
        if line.startswith("haulier-agentd status"):
            host.until_ready()
        began_at = time.monotonic()
        told = host.box.do(f"cd {place} && {line.replace('TOKEN', token)}", bound_s=300)
        if line.startswith("apt-get install"):
            seconds += time.monotonic() - began_at
        elif line.startswith("haulier-controlplane init"):
            host.until_active("haulier-controlplane")
        elif line.startswith("haulier token create"):
            token = told.splitlines()[-1]
        elif line.startswith("haulier-agentd join"):
            host.until_active("haulier-agentd")
            host.until_ready()
            figures["join_to_ready_s"] = round(time.monotonic() - began_at, 1)
    figures["install_s"] = round(seconds, 1)
    assert seconds < INSTALL_S_MAX, f"installing took {seconds:.0f} s, more than {INSTALL_S_MAX:.0f}"
    host.box.do("systemctl --failed --quiet --no-legend | { ! grep .; }")
    host.box.do("dpkg --verify haulier haulier-agentd haulier-controlplane")
    for unit in ("haulier-agentd", "haulier-controlplane"):
        assert host.box.do(f"systemctl is-enabled {unit}") == "enabled"


def obey_the_policy(host: Host, _: dict[str, Any]) -> None:
    """Only what the policy names is writable, and a change of it is taken over without anybody's help."""
    host.box.do(f"install -d -o haulier-agent {cargo.DATA}/exports {cargo.DATA}/staging {cargo.DATA}/field /srv/other")
    assert not host.daemon_can_write(STAGING)
    host.box.write("/etc/haulier/credentials/warehouse", "a secret", 0o600)
    before = host.pid_of("haulier-agentd")
    # Otherwise a stop waits for steps that are about to end, and theirs are to go on without it.
    host.box.do("sed -i '1i drain_on_stop_s = 0' /etc/haulier/agent.toml")
    host.box.write("/etc/haulier/policy.toml", cargo.POLICY)
    host.box.until(
        f"grep -q {cargo.DATA} /run/systemd/system/haulier-agentd.service.d/50-policy.conf", 30, "the drop-in"
    )
    host.until_restarted("haulier-agentd", before)
    host.until_ready()
    assert host.daemon_can_write(STAGING)
    assert not host.daemon_can_write("/srv/other")
    assert not host.daemon_can_write("/opt/haulier/versions")
    assert host.daemon_can_read("/run/credentials/haulier-agentd.service/haulier_warehouse")
    assert not host.daemon_can_read("/etc/haulier/credentials/warehouse")


def migrate(host: Host, figures: dict[str, Any]) -> None:
    """A dataset arrives, and its proof says so."""
    host.box.write("/srv/workflow.yaml", cargo.MANIFESTS)
    host.box.do("haulier apply /srv/workflow.yaml")
    figures["migration_s"] = host.migrate("small", 2_000)


def survive_kills(host: Host, figures: dict[str, Any]) -> None:
    """Both daemons come back after kill -9."""
    for unit in ("haulier-agentd", "haulier-controlplane"):
        before = host.pid_of(unit)
        host.box.do(f"kill -9 {before}")
        seconds = host.until_restarted(unit, before)
        figures[f"{unit}_back_after_kill_s"] = round(seconds, 1)
        assert int(host.show(unit, "NRestarts")) >= 1
    host.until_answered()
    host.until_ready()


def bark(host: Host, figures: dict[str, Any]) -> None:
    """A daemon that hangs is ended by the watchdog, and comes back."""
    for unit in ("haulier-agentd", "haulier-controlplane"):
        place = f"/run/systemd/system/{unit}.service.d/90-watchdog.conf"
        host.box.write(place, "")
        host.box.do(f"mkdir -p {Path(place).parent} && printf '[Service]\\nWatchdogSec={WATCHDOG_S}\\n' >{place}")
        host.box.do(f"systemctl daemon-reload && systemctl restart {unit}")
        host.until_active(unit)
        # Long enough that a daemon which forgot to feed it would be ended here.
        host.box.run(f"timeout {2 * WATCHDOG_S} journalctl -q -f -n 0 -u {unit} | grep -q -m 1 'Watchdog timeout'")
        before = host.pid_of(unit)
        assert "Watchdog timeout" not in host.journal(unit), "it was ended while it worked"
        host.box.do(f"kill -STOP {before}")
        figures[f"{unit}_back_after_hang_s"] = round(host.until_restarted(unit, before), 1)
        assert "Watchdog timeout" in host.journal(unit)
        host.box.do(f"rm {place} && systemctl daemon-reload && systemctl restart {unit}")
        host.until_active(unit)
    host.until_answered()
    host.until_ready()


def adopt(host: Host, _: dict[str, Any]) -> None:
    """A running step's process goes on through a restart of the daemon, and is adopted."""
    host.start_long("restarted")
    attempt, child = host.running_step()
    before = host.pid_of("haulier-agentd")
    host.box.do("systemctl restart haulier-agentd")
    assert host.pid_of("haulier-agentd") != before
    host.until_ready()
    assert host.running_step() == (attempt, child), "another process, or another attempt"
    host.finish_long("restarted")


def upgrade_and_back(host: Host, figures: dict[str, Any]) -> None:
    """A newer package replaces the daemon and not the step; the older one is the way back."""
    host.start_long("upgraded")
    attempt, child = host.running_step()
    # Held still meanwhile, so that it cannot end before the packages are in.
    host.box.do(f"kill -STOP {child}")
    figures["upgrade_s"] = round(host.install(NEW), 1)
    host.until_version(NEW)
    assert host.running_step() == (attempt, child), "another process, or another attempt"
    host.box.do(f"kill -CONT {child}")
    assert f'"{OLD}"' in host.box.do("cat /opt/haulier/previous/release.json")
    host.finish_long("upgraded")
    # The updater, in its own unit, has taken note of what other hands installed.
    host.box.do("systemctl start haulier-updater.service")
    assert NEW in host.box.do("haulier-updater status")
    host.box.do("grep -q 'mine' /etc/haulier/agent.toml || echo '# mine' >>/etc/haulier/agent.toml")
    figures["way_back_s"] = round(host.install(OLD, "--allow-downgrades"), 1)
    host.until_version(OLD)
    host.box.do("grep -q '# mine' /etc/haulier/agent.toml")
    host.migrate("after", 500)


def survive_a_power_cut(host: Host, _: dict[str, Any]) -> None:
    """Everything comes up by itself, and knows what it knew."""
    host.box.cut_power()
    host.box.boot()
    host.until_active("haulier-controlplane")
    host.until_active("haulier-agentd")
    host.until_answered()
    host.until_ready()
    assert host.daemon_can_write(STAGING), "the policy is taken over at boot as well"
    host.migrate("again", 500)


def measure(host: Host, figures: dict[str, Any]) -> None:
    """Exposure of each unit as systemd sees it, and what an idle agent costs."""
    units = host.box.do("cd /usr/lib/systemd/system && ls haulier-*.service").split()
    figures["exposure"] = {unit: host.exposure(unit) for unit in units}
    figures["agent_idle_rss_mb"] = host.resident_mb("haulier-agentd")
    figures["controlplane_rss_mb"] = host.resident_mb("haulier-controlplane")
    figures["packages_mb"] = {
        path.name: round(path.stat().st_size / 1e6, 1) for path in sorted((CACHE / "packages" / OLD).iterdir())
    }
    for unit, found in figures["exposure"].items():
        assert found <= EXPOSURE_MAX, f"{unit}: exposure {found}"


def purge(host: Host, figures: dict[str, Any]) -> None:
    """Nothing is left but data."""
    host.box.do(
        "DEBIAN_FRONTEND=noninteractive apt-get purge -y haulier-agentd haulier-controlplane haulier", bound_s=120
    )
    left = host.new_files()
    figures["left_after_purge"] = sorted({"/".join(name.split("/")[:4]) for name in left})
    data = ("/var/lib/haulier-agentd", "/var/lib/haulier-controlplane", "/srv/", "/etc/haulier")
    assert set(host.box.do("find /etc/haulier -type f").split()) == {"/etc/haulier/credentials/warehouse"}
    assert not [name for name in left if not name.startswith(data)], left
    assert any(name.endswith("/store.db") for name in left)
    host.box.do("! pgrep -l -u haulier,haulier-agent")


def install_by_script(host: Host, figures: dict[str, Any]) -> None:
    """Where no packages are taken: a damaged tarball is refused, whole ones do the same, and leave as cleanly."""
    place = host.lay_out(OLD, "*.tar.gz", "install.sh", "SHA256SUMS")
    names = ("haulier", "haulier-controlplane", "haulier-agentd")
    tarballs = " ".join(f"{place}/{name}_{OLD}_{os.uname().machine}.tar.gz" for name in names)
    last = tarballs.split()[-1]
    host.box.do(f"cp {last} /srv/whole && truncate -s -1 {last}")
    refused = host.box.run(f"sh {place}/install.sh install {tarballs}")
    assert refused.returncode == 1 and "is damaged" in refused.stderr, refused.stderr
    assert host.box.run("ls /usr/lib/haulier").returncode != 0, "something was installed all the same"
    host.box.do(f"mv /srv/whole {last}")
    began_at = time.monotonic()
    host.box.do(f"sh {place}/install.sh install {tarballs}", bound_s=300)
    figures["install_by_script_s"] = round(time.monotonic() - began_at, 1)
    host.until_active("haulier-controlplane")
    host.until_active("haulier-agentd")
    host.until_answered()
    host.box.write("/etc/haulier/policy.toml", cargo.POLICY)
    host.box.until("grep -q srv /run/systemd/system/haulier-agentd.service.d/50-policy.conf", 30, "the drop-in")
    host.until_ready()
    host.migrate("scripted", 500)
    host.box.do(f"sh {place}/install.sh uninstall {' '.join(reversed(names))}", bound_s=120)
    data = ("/var/lib/haulier-agentd", "/var/lib/haulier-controlplane", "/srv/", "/etc/haulier")
    assert not [name for name in host.new_files() if not name.startswith(data)], host.new_files()


STAGES: tuple[Callable[[Host, dict[str, Any]], None], ...] = (
    follow_the_page,
    obey_the_policy,
    migrate,
    survive_kills,
    bark,
    adopt,
    upgrade_and_back,
    survive_a_power_cut,
    self_upgrade.follow_a_rollout,
    self_upgrade.go_back_alone,
    self_upgrade.end_a_bad_program,
    released_settings.take_settings_along,
    measure,
    purge,
    install_by_script,
)


def main() -> int:
    figures: dict[str, Any] = {}
    try:
        needs()
    except Missing as missing:
        print(f"test-system needs: {missing}", file=sys.stderr)
        return 3
    if "--keep-packages" not in sys.argv:
        for version in (OLD, NEW):
            build(version)
    rpms.check(CACHE / "packages" / OLD, figures)
    host = Host(Box(CACHE / "root"), CACHE / "packages")
    try:
        figures["boot_s"] = round(host.box.boot(), 1)
        for stage in STAGES:
            began_at = time.monotonic()
            print(f"{stage.__name__.replace('_', ' '):22}", end="", flush=True)
            stage(host, figures)
            print(f" ok  {time.monotonic() - began_at:5.1f} s")
    except (AssertionError, NotInTime) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f" FAILED at {Path(where.filename).name}:{where.lineno}: {where.line}\n{error}\n{host.troubles()}")
        return 1
    finally:
        host.box.close()
    for name, value in figures.items():
        print(f"  {name:34} {value}")
    print(f"report: {reports.write('install', figures)}")
    return 0


if __name__ == "__main__":
    leave(main)
