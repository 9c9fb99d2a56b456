"""Stages of the test of the packages: the agent upgrades itself, and goes back by itself, under a real systemd."""

import json
import time
from typing import Any

from tests.install.host import Host

# Of the same minor version as the control plane, or the next: it lets no other onto hosts.
GOOD, CRASHING = "0.2.0", "0.2.1"
# As short as a kept release can have it: two heartbeats of a session, and half of it up.
PROBATION_S = 90
BOUND_S = 600.0
KEYS, REPOSITORY, TREES = "/srv/release/keys", "/srv/release/repository", "/srv/release"
_PROGRAM = "haulier-agentd-program@*"
_BAD = "f" * 64
_BAD_PROGRAM = """#!/bin/sh
echo "$(id -un) $*" >&2
setsid sh -c 'trap "" TERM; while :; do sleep 60; done' haulier-bad-child >/dev/null 2>&1 &
exec yes
"""
_RUN_IN_UNIT = """
import json, sys
sys.path.append("/opt/haulier/current/lib")
from agentd.updater.running_in_unit import InUnit
from agentd.updater.settings import UpdaterSettings
said = InUnit(UpdaterSettings()).run(sys.argv[1], ["--flood", "a b"], 2.0)
print(json.dumps({"code": said.code, "out": len(said.out), "err": said.err, "wall_s": said.wall_s}))
"""
SIGNING = "HAULIER_RELEASE_PASSPHRASE='correct horse offline' HAULIER_RELEASE_ONLINE_PASSPHRASE='correct horse online' "


def follow_a_rollout(host: Host, figures: dict[str, Any]) -> None:
    """A signed release comes through the control plane, proves itself in the unit for it, and is kept."""
    host.box.do(f"{SIGNING} haulier release keys init --dir {KEYS}")
    host.box.do(f"haulier-updater trust {KEYS}/1.root.json")
    old = _runs(host)
    _publish(host, GOOD, "true")
    began_at = time.monotonic()
    told = host.box.run(rolling_out(GOOD), bound_s=BOUND_S)
    assert told.returncode == 0, told.stdout + told.stderr
    figures["self_upgrade_to_kept_s"] = round(time.monotonic() - began_at, 1)
    assert _runs(host) != old
    assert host.box.do("readlink /opt/haulier/previous") == old
    assert host.box.do("readlink /opt/haulier/updater") == _runs(host), "the updater is of the release that was kept"
    host.until_version_of_agent(GOOD)
    ran = host.box.do(f"journalctl -q -b --no-pager -o cat -u '{_PROGRAM}' | grep -c '^Finished'")
    # Two copies of the journal, two tries, and the self-test of both releases.
    assert int(ran) >= 6, f"{ran} programs of releases ran in their unit"
    _nothing_is_left(host)
    host.migrate("self-upgraded", 500)


def go_back_alone(host: Host, figures: dict[str, Any]) -> None:
    """A release that crashes at its start: systemd gives it up, the rescue brings the one before, people see why."""
    good = _runs(host)
    _publish(host, CRASHING, "sed -i \"s/^import sys$/import sys\\nif sys.argv[1:2] == ['run']:\\n    sys.exit(1)/\"")
    began_at = time.monotonic()
    told = host.box.run(rolling_out(CRASHING), bound_s=BOUND_S)
    assert told.returncode != 0 and "crashed" in told.stdout, told.stdout + told.stderr
    assert _runs(host) == good
    host.until_version_of_agent(GOOD)
    figures["self_upgrade_crashing_to_back_s"] = round(time.monotonic() - began_at, 1)
    status = json.loads(host.box.run("haulier-updater status -o json").stdout)
    assert (status["phase"], status["state"], status["cause_code"]) == ("idle", "rolled_back", "crashed"), status
    host.box.until("haulier rollout get installed --hosts | grep -q crashed", 60, "the rollout to say why")
    assert "halted" in host.box.do("haulier rollout get installed")
    host.box.until("systemctl show -P ActiveState haulier-agentd-rescue | grep -qx inactive", 60, "the rescue to end")
    assert "Start request repeated too quickly" in host.journal("haulier-agentd")
    assert "Finished" in host.journal("haulier-agentd-rescue")
    assert host.state_of("haulier-agentd") == "active"
    _nothing_is_left(host)
    host.migrate("back-alone", 500)


def end_a_bad_program(host: Host, figures: dict[str, Any]) -> None:
    """A release's program that floods, hides a child and never ends: bounded, and gone with all that it started."""
    tree = f"/opt/haulier/versions/{_BAD}"
    # It would run programs at the same time, and remove a release that it knows nothing of.
    host.box.do("systemctl stop haulier-updater.timer haulier-updater.path haulier-updater.service")
    host.box.do(f"mkdir -p {tree}/bin")
    host.box.write(f"{tree}/bin/haulier-agentd", _BAD_PROGRAM, 0o755)
    told = json.loads(host.box.do(f"/usr/bin/python3.11 -BIS - {_BAD} <<'END'\n{_RUN_IN_UNIT}\nEND"))
    figures["bad_program_ended_after_s"] = round(told["wall_s"], 1)
    assert (told["code"], told["out"], told["err"]) == (-1, 256 * 1024, "haulier-agent --flood a b\n"), told
    host.box.do("! pgrep -f '[h]aulier-bad-child'")
    _nothing_is_left(host)
    assert host.box.do("ls /run/haulier-updater") == "arguments"
    host.box.do(f"rm -r {tree} && systemctl start haulier-updater.timer haulier-updater.path")


def _publish(host: Host, version: str, change: str) -> None:
    """Build a release from the package's tree, its daemon's program changed by a command, sign and publish it."""
    tree, artefact = f"{TREES}/tree-{version}", f"{TREES}/{version}.tar.zst"
    host.box.do(f"cp -a /opt/haulier/package {tree} && {change} {tree}/bin/haulier-agentd")
    host.box.do(f"haulier release build --tree {tree} --version {version} --output {artefact}", bound_s=300)
    host.box.do(f"{SIGNING} haulier release sign {artefact} --keys {KEYS} --repository {REPOSITORY}")
    host.box.do(f"haulier release publish {REPOSITORY}", bound_s=300)
    host.box.do(f"rm -r {tree} {artefact}")


def rolling_out(version: str) -> str:
    """A command that brings the only host to a release, and follows it to its end."""
    return f"""cat >/srv/fleet.yaml <<'END'
apiVersion: haulier/v1
kind: Fleet
metadata: {{name: installed}}
spec:
  rollout: {{waves: ["100%"], soak: 1s, probation: {PROBATION_S}s}}
END
haulier apply /srv/fleet.yaml && haulier rollout create installed --release {version} --watch"""


def _runs(host: Host) -> str:
    return host.box.do("readlink /opt/haulier/current")


def _nothing_is_left(host: Host) -> None:
    """No unit of a program runs or has failed, and nothing else has."""
    host.box.do(f"systemctl list-units --all --quiet --no-legend '{_PROGRAM}' | {{ ! grep .; }}")
    host.box.do("systemctl --failed --quiet --no-legend | { ! grep .; }")
