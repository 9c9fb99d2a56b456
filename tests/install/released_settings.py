"""Stage of the test of the packages: settings that a release brings, under a real systemd."""

from typing import Any

from tests.install import cargo
from tests.install.host import Host
from tests.install.self_upgrade import BOUND_S, KEYS, REPOSITORY, SIGNING, TREES, rolling_out

VERSION = "0.2.9"
ROOT = "/srv/released"
STAGING = f"{cargo.DATA}/staging"
FLEET = f"{TREES}/fleet"
DROP_IN = "/run/systemd/system/haulier-agentd.service.d/50-policy.conf"


def take_settings_along(host: Host, _: dict[str, Any]) -> None:
    """A release's policy opens its paths in the unit when the release is switched to, and not a moment longer."""
    own = host.box.do("cat /etc/haulier/policy.toml")
    host.box.do(f"install -d -o haulier-agent {ROOT}")
    host.box.write(f"{FLEET}/policy.toml", cargo.POLICY.replace(f'["{cargo.DATA}"]', f'["{cargo.DATA}", "{ROOT}"]'))
    host.box.write(f"{FLEET}/agent.toml", '[labels]\ntier = "gold"\n')
    _publish(host)

    # The owner's word, while the release that runs brings nothing.
    before = host.pid_of("haulier-agentd")
    host.box.write("/etc/haulier/policy.toml", "from_release = true\n")
    host.until_restarted("haulier-agentd", before)
    host.until_ready()
    assert cargo.DATA not in host.box.do(f"cat {DROP_IN}")
    assert "the release brings none: nothing is allowed" in host.box.do("haulier-agentd check")
    assert not host.daemon_can_write(STAGING)

    told = host.box.run(rolling_out(VERSION), bound_s=BOUND_S)
    assert told.returncode == 0, told.stdout + told.stderr
    host.until_version_of_agent(VERSION)
    assert f"{ROOT}" in host.box.do(f"cat {DROP_IN}")
    assert host.daemon_can_write(ROOT) and host.daemon_can_write(STAGING)
    said = host.box.do("haulier-agentd check")
    assert "settings/agent.toml: labels.tier" in said, said
    assert "because /etc/haulier/policy.toml says from_release" in said, said
    host.migrate("released", 500)

    before = host.pid_of("haulier-agentd")
    host.box.do("haulier-updater rollback", bound_s=BOUND_S)
    host.until_restarted("haulier-agentd", before)
    host.until_ready()
    assert ROOT not in host.box.do(f"cat {DROP_IN}")
    assert not host.daemon_can_write(ROOT)

    before = host.pid_of("haulier-agentd")
    host.box.write("/etc/haulier/policy.toml", own + "\n")
    host.until_restarted("haulier-agentd", before)
    host.until_ready()
    assert host.daemon_can_write(STAGING)


def _publish(host: Host) -> None:
    artefact = f"{TREES}/{VERSION}.tar.zst"
    built = f"--tree /opt/haulier/package --settings {FLEET} --version {VERSION} --output {artefact}"
    host.box.do(f"haulier release build {built}", bound_s=300)
    signed = host.box.do(f"{SIGNING} haulier release sign {artefact} --keys {KEYS} --repository {REPOSITORY}")
    assert "it brings settings/agent.toml, settings/policy.toml" in signed
    host.box.do(f"haulier release publish {REPOSITORY}", bound_s=300)
