"""`haulier-controlplane backup | restore | accept-log` as real processes: what they make, and what they refuse."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from controlplane.store.sqlite import library
from controlplane.store.sqlite.store import open_snapshot
from tests.integration.controlplane.program import FREE_PORTS, controlplane, serving

UNUSABLE = 3
WHY = ("--reason", "the disk was lost")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state of a new control plane that has served once, so that its log is sealed."""
    made = tmp_path / "state"
    assert controlplane("init", "--state", made).code == 0
    with serving(made):
        pass
    return made


@pytest.fixture
def backup(state: Path, tmp_path: Path) -> Path:
    """A backup, made while the control plane serves."""
    with serving(state):
        file = tmp_path / "backup.db"
        done = controlplane("backup", file, "--with-identity", "--state", state)
        assert done.code == 0, done
    return file


def store_of(state: Path) -> bytes:
    return (state / "store.db").read_bytes()


def test_a_backup_is_one_private_file_and_never_replaces_another(state: Path, backup: Path) -> None:
    packed = backup.with_name("backup.db.identity.tar")
    assert [each.stat().st_mode & 0o777 for each in (backup, packed)] == [0o600, 0o600]
    assert sorted(each.name for each in backup.parent.iterdir() if each.name.startswith("backup")) == [
        "backup.db",
        "backup.db.identity.tar",
    ]
    with tarfile.open(packed) as archive:
        assert {"identity/authority.pem", "identity/audit.pem"} <= set(archive.getnames())
    again = controlplane("backup", backup, "--state", state)
    assert again.code == UNUSABLE and "a backup never replaces another" in again.line
    assert controlplane("audit", "--store", backup, "--state", state).code in (0, UNUSABLE)


def test_a_full_disk_leaves_no_backup_behind(state: Path, tmp_path: Path) -> None:
    done = controlplane("backup", tmp_path / "short.db", "--state", state, file_bytes_max=8192)
    assert done.code == UNUSABLE and "no backup was made" in done.line
    assert not list(tmp_path.glob("short.db*"))


def test_a_restore_raises_the_generation_and_sets_the_other_store_aside(state: Path, backup: Path) -> None:
    before = open_snapshot(state / "store.db").generation()
    done = controlplane("restore", backup, *WHY, "--replace", "--state", state)
    assert done.code == 0, done
    assert len(list(state.glob("store.db.before-*"))) == 1
    tx = open_snapshot(state / "store.db")
    assert tx.generation() > before
    head = tx.audit_head()
    assert head is not None and head.era == 2
    assert tx.events_after(0, "store", 10)[-1][1].type == "StoreRestored"
    with serving(state):
        pass
    verified = controlplane("audit", "--state", state)
    assert verified.code == 0 and "intact" in verified.out


def test_a_restore_on_another_host_needs_the_identity(state: Path, backup: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = controlplane("restore", backup, *WHY, "--state", elsewhere)
    assert done.code == UNUSABLE and "audit.pem does not exist" in done.line
    with tarfile.open(backup.with_name("backup.db.identity.tar")) as archive:
        archive.extractall(elsewhere, filter="data")
    assert controlplane("restore", backup, *WHY, "--state", elsewhere).code == 0
    with serving(elsewhere):
        assert controlplane("doctor", "--state", elsewhere).code == 0


def test_nothing_is_restored_onto_a_living_store(state: Path, backup: Path) -> None:
    kept = store_of(state)
    refused = controlplane("restore", backup, *WHY, "--state", state)
    assert refused.code == UNUSABLE and "add --replace to set it aside" in refused.line
    with serving(state):
        taken = controlplane("restore", backup, *WHY, "--replace", "--state", state)
        assert taken.code == UNUSABLE and "another haulier-controlplane" in taken.line
    assert store_of(state)[:4096] == kept[:4096]
    assert controlplane("restore", backup, "--state", state).code == 2, "a reason is required"


def test_a_backup_that_is_none_is_refused_and_the_store_stays(state: Path, backup: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.db"
    for content, words in (
        (b"no database at all " * 500, "cannot be read as a store"),
        (backup.read_bytes()[:-8192], "wrong.db"),
    ):
        wrong.write_bytes(content)
        done = controlplane("restore", wrong, *WHY, "--replace", "--state", state)
        assert done.code == UNUSABLE and words in done.line
    shutil.copy(backup, wrong)
    connection = library.plain(str(wrong))
    (revision,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {revision + 1}")
    connection.close()
    newer = controlplane("restore", wrong, *WHY, "--replace", "--state", state)
    assert newer.code == UNUSABLE and "start the newer haulier-controlplane" in newer.line
    assert not list(state.glob("store.db.before-*")) and (state / "store.db").exists()


def touch_log(path: Path) -> None:
    """Change what an event says, as somebody would who should not."""
    connection = library.connect(str(path), writing=True)
    connection.execute("DROP TRIGGER event_append_only")
    connection.execute("UPDATE event SET detail = 'nothing' WHERE position = 1")
    connection.close()


def test_a_backup_whose_log_was_touched_is_refused(state: Path, backup: Path) -> None:
    touch_log(backup)
    done = controlplane("restore", backup, *WHY, "--replace", "--state", state)
    assert done.code == UNUSABLE and "is not intact" in done.line


def test_an_administrator_may_let_a_touched_log_go_on(state: Path) -> None:
    touch_log(state / "store.db")
    connection = library.connect(str(state / "store.db"), writing=True)
    connection.execute("DROP TRIGGER event_kept")
    connection.execute("DELETE FROM event WHERE position = 1 AND (SELECT max(position) FROM event) > 1")
    connection.close()
    assert controlplane("audit", "--state", state).code == 1
    done = controlplane("accept-log", "--reason", "looked at, harmless", "--state", state)
    assert done.code == 0 and "era 2" in done.out
    assert controlplane("audit", "--state", state).code == 0


def test_without_its_store_the_control_plane_does_not_begin_anew(state: Path) -> None:
    for file in state.glob("store.db*"):
        file.unlink()
    done = controlplane("serve", "--state", state, env=FREE_PORTS)
    assert done.code == UNUSABLE and "puts a backup there" in done.line
    assert not (state / "store.db").exists()


def test_backups_are_made_by_themselves_and_the_oldest_removed(state: Path, tmp_path: Path) -> None:
    directory = tmp_path / "backups"
    directory.mkdir()
    for day in range(3):
        (directory / f"store-2020010{day}T000000Z.db").write_bytes(b"")
    settings = {
        "HAULIER_CONTROLPLANE_BACKUP_DIR": str(directory),
        "HAULIER_CONTROLPLANE_BACKUPS_KEPT": "2",
        "HAULIER_CONTROLPLANE_BACKUP_EVERY_S": "0.000001",
    }
    with serving(state, **settings) as running:
        names = sorted(each.name for each in _settled(directory))
        assert len(names) == 2 and names[0] == "store-20200102T000000Z.db"
        running.end()
    assert controlplane("restore", directory / names[1], *WHY, "--replace", "--state", state).code == 0
    assert json.loads((state / "operator.json").read_text())


def _settled(directory: Path) -> list[Path]:
    from tests.kit.processes import until

    def settled() -> bool:
        found = list(directory.iterdir())
        return len(found) == 2 and all(each.suffix == ".db" for each in found)

    until(settled, 30.0, "a backup to be made and the oldest to go")
    return list(directory.iterdir())
