"""What the control plane and its tools write: killed or refused at any call, a file is wholly old or wholly new, and
what is done stays done when the power goes. One family of callers each."""

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.admin.backup import back_up
from controlplane.admin.init import PROFILE_FILE, initialise
from controlplane.admin.restore import restore
from controlplane.cli.asking import profile
from controlplane.cli.screen.problems import Problem
from controlplane.config import Config
from controlplane.core.events import Event
from controlplane.identity.audit_key import AUDIT_KEY_FILE, AuditKey
from controlplane.identity.authorities import Authorities
from controlplane.identity.authority import AUTHORITY_FILE, CertificateAuthority
from controlplane.identity.peers import IdentityError
from controlplane.releases import building
from controlplane.releases.keys import KeyRing
from controlplane.releases.repository import Repository
from controlplane.releases.signing import SigningDesk
from controlplane.service.audit.retention import History
from controlplane.service.rollouts.black_boxes import BlackBoxes
from controlplane.store.sqlite.copying import check_copy
from controlplane.store.sqlite.store import SqliteStore
from tests.kit.failing_disk import Act, hold
from tests.kit.releases import NOW, Forge, a_tree, files_of

AUTHORITY = CertificateAuthority.create(now=NOW.timestamp(), serial=7)
AUDIT = AuditKey.create()
OLD_GENERATION = 5
LATER = NOW + timedelta(days=1)
PASSPHRASE, ANOTHER = "correct horse battery", "staple of the machine"
PEM = AUTHORITY.certificate_pem.decode()
TOKEN = "haulier-operator.secret"


def nothing(home: Path) -> None:
    pass


# Profiles of operators.


def save_profile(home: Path) -> None:
    profile.save(home / "p.json", address="control.example.org:7443", ca_pem=PEM, token=TOKEN)


def believe(home: Path) -> None:
    profile.believe(profile.load(home / "p.json"), PEM + "another")


def believed(home: Path) -> str | None:
    return profile.load(home / "p.json").ca_pem if (home / "p.json").exists() else None


# Identities.


def save_authority(home: Path) -> None:
    AUTHORITY.save(home)


def authority(home: Path) -> str | None:
    if not (home / AUTHORITY_FILE).exists():
        return None
    # The certificate for hosts is derived, and written again by whoever finds it missing.
    return CertificateAuthority.load(home).fingerprint


def audit_key(home: Path) -> bytes | None:
    return AuditKey.load(home).public_key if (home / AUDIT_KEY_FILE).exists() else None


def begin_change(home: Path) -> None:
    Authorities.load(home).rotate(now=NOW.timestamp(), serial=8)


def under_change(home: Path) -> None:
    save_authority(home)
    begin_change(home)


def finish_change(home: Path) -> None:
    Authorities.load(home).finish()


def change(home: Path) -> tuple[bool, bool]:
    loaded = Authorities.load(home)
    return loaded.following is not None, loaded.present.fingerprint == AUTHORITY.fingerprint


def init(home: Path) -> None:
    asyncio.run(initialise(Config(state_dir=home / "state")))


def initialised(home: Path) -> bool:
    path = home / "state" / PROFILE_FILE
    return path.exists() and bool(profile.load(path).token)


# Backups.


def a_state(home: Path) -> None:
    """A store whose newest commit is in its log only, as a kill leaves it."""
    AUDIT.save(home / "state" / "identity")
    store = SqliteStore(home / "living.db")
    asyncio.run(store.write(lambda tx: tx.begin_generation(OLD_GENERATION)))
    for path in home.glob("living.db*"):
        shutil.copy(path, home / "state" / path.name.replace("living", "store"))
    store.close()


def make_backup(home: Path) -> None:
    for half in home.glob("backup.db*"):
        half.unlink()
    back_up(home / "state" / "store.db", home / "state" / "identity", home / "backup.db")


def backed_up(home: Path) -> bool:
    store, identity = home / "backup.db", home / "backup.db.identity.tar"
    if store.exists():
        check_copy(store)
    if identity.exists():
        shutil.unpack_archive(identity, home / "unpacked")
        assert AuditKey.load(home / "unpacked" / "identity").public_key == AUDIT.public_key
    return store.exists() and identity.exists()


def a_backup(home: Path) -> None:
    a_state(home)
    make_backup(home)


def put_back(home: Path) -> None:
    asyncio.run(restore(Config(state_dir=home / "state"), home / "backup.db", "the disk was lost", replace=True))


def stores(home: Path) -> tuple[bool, bool]:
    """Whether a restored store is in place, and whether the other one, with its newest commit, is anywhere."""
    generations = {}
    for path in [home / "state" / "store.db", *(home / "state").glob("store.db.before-*[0-9]")]:
        if path.exists():
            beside = home / "looked-at"
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            for each in path.parent.glob(path.name + "*"):
                shutil.copy(each, beside / each.name.replace(path.name, "store.db"))
            generations[path.name] = generation(beside / "store.db")
    return generations.get("store.db", 0) > OLD_GENERATION, OLD_GENERATION in generations.values()


def generation(path: Path) -> int:
    store = SqliteStore(path)
    try:
        return asyncio.run(store.read(lambda tx: tx.generation()))
    finally:
        store.close()


# Releases.


def keys(home: Path, passphrase: str = PASSPHRASE) -> list[str]:
    return [signer.public_key.keyid for signer in ring(home, passphrase).signers("targets")]


def ring(home: Path, passphrase: str = PASSPHRASE) -> KeyRing:
    return KeyRing(home / "keys", passphrase, kdf_rounds=1)


def one_key(home: Path) -> None:
    ring(home).make("targets")


def protect(home: Path) -> None:
    if not opens(home, ANOTHER):
        ring(home).protect(ANOTHER)


def opens(home: Path, passphrase: str) -> bool:
    try:
        return bool(keys(home, passphrase))
    except Exception:  # noqa: BLE001 - whatever a file that is not whole makes of it
        return False


def which_opens(home: Path) -> list[bool]:
    opened = [opens(home, each) for each in (PASSPHRASE, ANOTHER)]
    assert any(opened), "nobody can open the key any more"
    return opened


def build(home: Path) -> None:
    building.build(home / "tree", "0.2.0", "x86_64", "", home / "made")


def built(home: Path) -> str | None:
    return building.read(home / "made").digest if (home / "made").exists() else None


def a_forge(home: Path) -> None:
    forge = Forge(home / "forge")
    publish(home, forge.release("0.1.0").path)
    forge.build("0.2.0")


def publish(home: Path, _: Path | None = None) -> None:
    signed = home / "forge" / "repository"
    repository = Repository(home / "repository")
    proven = repository.check(files_of(signed), LATER.timestamp())
    for target in repository.lacks(proven):
        data = (signed / "targets" / target.target_path).read_bytes()
        repository.append(target, here := repository.here_bytes(target), data[here:])
        repository.complete(target)
    repository.commit(proven)


def signed_next(home: Path) -> None:
    a_forge(home)
    Forge(home / "forge").release("0.2.0", now=LATER)


def served(home: Path) -> list[str]:
    repository = Repository(home / "repository")
    assert not repository.broken
    for target in repository.targets():
        found = repository.artefact(target.target_path)
        assert found is not None and found[0].stat().st_size == target.length
    return [target.version for target in repository.targets()]


def sign(home: Path) -> None:
    forge = Forge(home / "forge")
    SigningDesk(forge.repository, LATER).add(forge.build("0.2.0"), forge.offline)


def signed(home: Path) -> list[str]:
    desk = SigningDesk(home / "forge" / "repository", LATER)
    targets = desk.targets()
    assert targets is not None
    for path in targets.signed.targets:
        assert (desk.targets_dir / path).exists(), "it is signed and not there"
    return sorted(targets.signed.targets)


# What agents bring.


def keep_box(home: Path) -> None:
    asyncio.run(BlackBoxes(None, home / "boxes").keep("agt_1", "req_1", b"x" * 5000))  # type: ignore[arg-type]


def box(home: Path) -> list[bytes]:
    return [path.read_bytes() for path in home.glob("boxes/*/*.json")]


def events(home: Path) -> None:
    store = SqliteStore(home / "store.db")
    asyncio.run(store.write(lambda tx: tx.record([Event(1.0, "Happened", f"it_{n}") for n in range(50)])))
    store.close()


def archive(home: Path) -> None:
    store = SqliteStore(home / "store.db")
    try:
        history = History(store, lambda: 2.0, None, None, home / "archive", 0.0)  # type: ignore[arg-type]
        asyncio.run(history._write(home / "archive" / "events.jsonl", 0, 50))
    finally:
        store.close()


def archived(home: Path) -> int | None:
    path = home / "archive" / "events.jsonl"
    return len([json.loads(line) for line in path.read_text().splitlines()]) if path.exists() else None


FAMILIES: dict[str, Callable[[], Act]] = {
    "a profile": lambda: Act(nothing, save_profile, believed, again=(Problem,)),
    "believed authorities": lambda: Act(save_profile, believe, believed),
    "the authority": lambda: Act(nothing, save_authority, authority, again=(IdentityError,)),
    "the key of the audit log": lambda: Act(nothing, AUDIT.save, audit_key, again=(FileExistsError,)),
    "the next authority": lambda: Act(save_authority, begin_change, change, again=(IdentityError,)),
    "the end of a change": lambda: Act(under_change, finish_change, change, again=(IdentityError,)),
    "a new control plane": lambda: Act(nothing, init, initialised, again=(IdentityError,)),
    "a backup": lambda: Act(a_state, make_backup, backed_up),
    "a restored store": lambda: Act(a_backup, put_back, stores),
    "keys of releases": lambda: Act(nothing, one_key, lambda home: len(keys(home)) > 0),
    "another passphrase": lambda: Act(one_key, protect, which_opens),
    "an artefact": lambda: Act(lambda home: a_tree(home / "tree", "0.2.0"), build, built),
    "signed metadata": lambda: Act(a_forge, sign, signed),
    "what is published": lambda: Act(signed_next, publish, served),
    "archived events": lambda: Act(events, archive, archived),
    "a black box": lambda: Act(nothing, keep_box, box),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_written_is_old_or_new_whatever_call_fails(name: str, tmp_path: Path) -> None:
    calls = hold(FAMILIES[name](), tmp_path / "disk")
    assert sum(call.startswith("fsync") for call in calls) >= 2, "a file and its directory"
