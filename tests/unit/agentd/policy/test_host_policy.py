"""The host's policy: what it lets through, and who may write it."""

import os
from pathlib import Path

import pytest

from agentd.datastores.port.engine import PlaceAsked
from agentd.policy import reading as policy
from agentd.policy.host_policy import Policy
from agentd.policy.kinds import KindRule
from agentd.policy.limits import Limits
from agentd.policy.places import DatastoreRule
from agentd.policy.refusals import PolicyBroken, PolicyRefused


def written(tmp_path: Path, text: str) -> Path:
    tmp_path.chmod(0o700)
    path = tmp_path / "policy.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_an_empty_policy_allows_nothing(tmp_path: Path) -> None:
    host_policy = policy.load(written(tmp_path, ""), None)
    assert host_policy.allowed_kinds({"load": KindRule()}) == ()
    for refused in (
        lambda: host_policy.check_kind("load"),
        lambda: host_policy.rule_of("warehouse"),
        lambda: host_policy.check_path(str(tmp_path)),
        lambda: host_policy.check_secret("env:PG_PASSWORD"),
    ):
        with pytest.raises(PolicyRefused) as caught:
            refused()
        assert str(tmp_path) in caught.value.hint


def test_lists_name_what_is_allowed(tmp_path: Path) -> None:
    host_policy = policy.load(
        written(
            tmp_path,
            'kinds = ["load", "extract"]\ndatastores = ["*"]\nsecrets = ["env:PG_*", "file:/run/secrets/*"]\n',
        ),
        None,
    )
    assert host_policy.allowed_kinds({"transform": KindRule(), "load": KindRule()}) == ("load",)
    host_policy.check_kind("load")
    assert host_policy.rule_of("anything").name == "*"
    host_policy.check_secret("")
    host_policy.check_secret("env:PG_PASSWORD")
    for ref in ("env:AWS_SECRET", "file:/run/secrets/../../etc/shadow", "file:/etc/shadow"):
        with pytest.raises(PolicyRefused):
            host_policy.check_secret(ref)


def test_a_kind_may_run_where_one_may_that_it_belongs_to(tmp_path: Path) -> None:
    cleans, runs = KindRule(allowed_with=frozenset({"extract", "load"})), KindRule(needs_programs=True)
    installed = {"clean_up": cleans, "run_program": runs, "load": KindRule(), "validate": KindRule()}
    allowed = {
        ("load",): ("clean_up", "load"),
        ("validate",): ("validate",),
        ("clean_up",): ("clean_up",),
        ("run_program",): (),
        ("*",): ("clean_up", "load", "validate"),
    }
    for kinds, wanted in allowed.items():
        assert Policy(tmp_path / "p", kinds=kinds).allowed_kinds(installed) == wanted
    with pytest.raises(PolicyRefused, match="step kind 'run_program' is not allowed"):
        Policy(tmp_path / "p", kinds=("*",)).check_kind("run_program", runs)


def test_a_bare_path_lies_in_the_roots_and_is_not_deleted_where_nothing_is(tmp_path: Path) -> None:
    host_policy = Policy(tmp_path / "p", roots=(str(tmp_path),), deletes="refuse")
    assert host_policy.check_bare_path(str(tmp_path / "data"), deletes=False) == tmp_path / "data"
    for path, deletes, wanted in (("/etc", False, "outside the roots"), (str(tmp_path), True, "replace or remove")):
        with pytest.raises(PolicyRefused, match=wanted):
            host_policy.check_bare_path(path, deletes)


def test_an_engine_that_this_agent_does_not_have_is_refused(tmp_path: Path) -> None:
    host_policy = Policy(tmp_path / "p", datastores=(DatastoreRule("*"),), roots=("/",))
    for engine in ("", "mysql"):
        with pytest.raises(PolicyRefused, match="has no such engine"):
            host_policy.check_place(PlaceAsked("lake", engine, path=str(tmp_path), host="db.example.com"))


def test_paths_are_judged_with_every_link_resolved(tmp_path: Path) -> None:
    root, outside = tmp_path / "data", tmp_path / "data-of-others"
    (root / "deep").mkdir(parents=True)
    outside.mkdir()
    (root / "escape").symlink_to(outside)
    (tmp_path / "entry").symlink_to(root)
    host_policy = Policy(tmp_path / "p", roots=(str(tmp_path / "entry"),))
    assert host_policy.check_path(str(root)) == root
    assert host_policy.check_path(str(root / "deep" / "new.parquet")) == root / "deep" / "new.parquet"
    for path in (outside, root / "escape" / "f", root / ".." / "data-of-others", Path("/")):
        with pytest.raises(PolicyRefused, match="outside the roots"):
            host_policy.check_path(str(path))
    for text in ("relative", "", f"{root}/\0"):
        with pytest.raises(PolicyRefused, match="not absolute"):
            host_policy.check_path(text)


def test_a_full_disk_stops_a_step_before_it_starts(tmp_path: Path) -> None:
    Policy(tmp_path / "p").check_room(tmp_path / "not" / "there")
    with pytest.raises(PolicyRefused, match="bytes free"):
        Policy(tmp_path / "p", limits=Limits(disk_free_min_bytes=2**62)).check_room(tmp_path / "not" / "there")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kindz = ["*"]', "did you mean 'kinds'?"),
        ("colour = 1", "unknown key 'colour'"),
        ("wall_s_max = 9", "unknown key 'wall_s_max'; it is called 'run_s_max' now"),
        ('wall = "required"', "unknown key 'wall'; it is called 'sandbox' now"),
        ('kinds = "load"', "list of strings"),
        ("kinds = [1]", "list of strings"),
        ("disk_free_min_bytes = -1", "number of bytes"),
        ("file_bytes_max = true", "number of bytes"),
        ('roots = ["data"]', "not an absolute path"),
        ("kinds = [", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyBroken, match=said):
        policy.load(written(tmp_path, text), None)


def test_a_policy_that_others_could_change_is_not_used(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    path.chmod(0o620)
    with pytest.raises(PolicyBroken, match="chmod go-w"):
        policy.load(path, None)
    path.chmod(0o644)
    policy.load(path, None)
    tmp_path.chmod(0o770)
    with pytest.raises(PolicyBroken, match="chmod go-w"):
        policy.load(path, None)
    tmp_path.chmod(0o1777)
    policy.load(path, None)
    tmp_path.chmod(0o700)


def test_a_missing_policy_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyBroken, match="No such file"):
        policy.load(tmp_path / "policy.toml", None)


def test_a_policy_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "")
    found = path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: found.st_uid + 1)
    if found.st_uid == 0:
        policy.load(path, None)
    else:
        with pytest.raises(PolicyBroken, match="another user"):
            policy.load(path, None)
