"""What a policy's places become in the unit."""

from pathlib import Path

import pytest

from agentd.enforcement.unit_drop_in import DropInFailed, apply, render
from agentd.policy.host_policy import Policy

DEBIAN_12 = 252


def policy(*roots: str) -> Policy:
    return Policy(Path("/etc/haulier/policy.toml"), roots=roots)


def lines(*roots: str, systemd: int = DEBIAN_12) -> list[str]:
    return render(policy(*roots), systemd).splitlines()[2:]


def test_roots_become_writable_and_nothing_else_does() -> None:
    assert lines() == []
    assert lines("/srv/b", "/srv/a") == ['ReadWritePaths=-"/srv/a"', 'ReadWritePaths=-"/srv/b"']


def test_a_root_below_homes_is_shown_while_homes_stay_hidden() -> None:
    assert lines("/home/7/data") == ["ProtectHome=tmpfs", 'BindPaths=-"/home/7/data"']


def test_a_root_below_a_private_directory_is_bound_into_it() -> None:
    assert lines("/var/tmp/haulier") == ['BindPaths=-"/var/tmp/haulier"']


def test_what_means_something_to_systemd_is_escaped() -> None:
    assert lines('/srv/a "b" 100% \\c') == ['ReadWritePaths=-"/srv/a \\"b\\" 100%% \\\\c"']


@pytest.mark.parametrize("root", ["/", "/proc/1", "/run/systemd/system", "/srv/two\nlines", "/home/7:b"])
def test_what_no_unit_should_open_is_refused(root: str) -> None:
    with pytest.raises(DropInFailed):
        render(policy(root), DEBIAN_12)


def test_groups_are_delegated_where_systemd_can_start_such_a_unit_again() -> None:
    assert lines(systemd=253) == []
    assert lines(systemd=254) == ["Delegate=yes", "DelegateSubgroup=daemon", "ProtectControlGroups=no"]


def test_the_daemon_is_restarted_only_when_something_changed(tmp_path: Path) -> None:
    place, told = tmp_path / "unit.d" / "50-policy.conf", list[list[str]]()
    assert apply("one\n", place, lambda command: told.append(list(command)))
    assert place.read_text() == "one\n"
    assert [command[1] for command in told] == ["daemon-reload", "try-restart"]
    assert not apply("one\n", place, lambda command: told.append(list(command)))
    assert len(told) == 2
