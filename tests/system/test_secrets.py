"""Canaries: secrets of every sort were used and misused, and are nowhere that they need not be."""

import base64
import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.kit import reports
from tests.kit.processes import program, until
from tests.kit.world import PASSWORD_VARIABLE
from tests.system.conftest import WRONG_VARIABLE, Canaries
from tests.system.contents import Place, rows_at
from tests.system.scene import Scene, datastore, migration

OPEN_FILE = "open-to-all"
WRITTEN_PROFILE = "canary-2.json"
ENDS = {
    "secret-environment": "MigrationSucceeded",
    "secret-file": "MigrationSucceeded",
    "secret-wrong": "MigrationFailed",
    "secret-wrong-user": "MigrationFailed",
    "secret-open-file": "MigrationFailed",
    "secret-in-options": "MigrationFailed",
}


@pytest.fixture(scope="module")
def used(scene: Scene, canaries: Canaries) -> dict[str, str]:
    """Migrations that use every secret well and badly; migration name → how it ended."""
    reach = {key: scene.postgres[key] for key in ("host", "port", "database")} | {"engine": "postgresql"}
    ours = {"user": scene.postgres["user"], "passwordRef": f"env:{PASSWORD_VARIABLE}"}
    open_file = canaries.file.with_name(OPEN_FILE)
    open_file.write_text(canaries.filed)
    open_file.chmod(0o644)
    stores = {
        "secret-environment": ours,
        "secret-file": {"user": "filed", "schema": "filed", "passwordRef": f"file:{canaries.file}"},
        "secret-wrong": ours | {"passwordRef": f"env:{WRONG_VARIABLE}"},
        "secret-wrong-user": ours | {"user": "filed"},
        "secret-open-file": {"user": "filed", "passwordRef": f"file:{open_file}"},
        # The server cannot grant this, and says so before anybody logs in.
        "secret-in-options": ours | {"sslmode": "require"},
    }
    assert stores.keys() == ENDS.keys()
    place = Place("postgresql", "", scene.dsn(), "")
    documents = [datastore(name, **reach | spec) for name, spec in stores.items()]
    for name in stores:
        to = {"datastore": name, "object": name.replace("-", "_")}
        documents.append(migration(name, place, to=to))
    policy = scene.world.root / "agents" / "alpha" / "policy.toml"
    text = policy.read_text()
    if OPEN_FILE not in text:
        policy.write_text(text.replace("secrets = [", f'secrets = ["file:{open_file}", '))
    scene.apply(*documents)
    scene.start(*stores)
    return scene.await_end(stores, 90.0)


@pytest.fixture(scope="module")
def secrets(
    scene: Scene, canaries: Canaries, used: dict[str, str], operators: dict[str, str]
) -> dict[str, list[bytes]]:
    """What it is → every form in which it could be found."""
    assert used
    profile = json.loads(scene.world.profile.read_text())
    found = {"password in the environment": canaries.password, "password in a file": canaries.filed}
    found |= {"wrong password": canaries.wrong, "operator token": profile["token"]}
    found |= {f"join token {number}": token for number, token in enumerate(scene.tokens)}
    found |= operators
    forms = {name: list(_forms(value)) for name, value in found.items()}
    root = scene.world.root
    return forms | {f"key {path.relative_to(root)}": list(_forms_of_key(path)) for path in _keys(scene)}


@pytest.fixture(scope="module")
def operators(scene: Scene, used: dict[str, str]) -> dict[str, str]:
    """Operator tokens: shown, written into a profile, revoked, and one that was made up; all of them were used."""
    assert used
    shown = scene.haulier("operator", "create", "canary", "--role", "viewer").out.strip()
    written = scene.world.root / WRITTEN_PROFILE
    written.unlink(missing_ok=True)
    made = scene.haulier("operator", "create", "canary-2", "--role", "operator", "--write", str(written))
    assert made.code == 0
    profile = json.loads(written.read_text())
    wrong = shown.rpartition(".")[0] + "." + base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
    revoked = scene.haulier("operator", "revoke", shown.split(".")[1], "--reason", "a canary").code
    for token in (profile["token"], shown, wrong):
        other = scene.world.root / "canary.secret"
        other.unlink(missing_ok=True)
        other.touch(mode=0o600)
        other.write_text(json.dumps({**profile, "token": token}))
        scene.haulier("status", "--profile", str(other))
        other.unlink()
    # Keys of agents are made anew while they work, and an authority beside the old one.
    key = scene.world.root / "agents" / "alpha" / "state" / "key.pem"
    before = key.read_bytes()
    assert revoked == 0
    assert scene.haulier("authority", "rotate", "--reason", "a canary").code == 0
    until(lambda: key.read_bytes() != before, 60.0, "a new key of alpha")
    return {"operator token shown": shown, "operator token written": profile["token"], "operator token made up": wrong}


def _keys(scene: Scene) -> list[Path]:
    """Every private key of an identity, where it belongs."""
    root = scene.world.root
    return [*root.glob("agents/*/state/key.pem"), *root.glob("controlplane/identity/*.pem")]


def _forms_of_key(path: Path) -> Iterator[bytes]:
    """A private key: its secret number, and the lines of its file that hold it."""
    text = path.read_bytes()
    if b"PRIVATE KEY" not in text:
        return
    key = serialization.load_pem_private_key(text, None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        number = key.private_numbers().private_value.to_bytes(32, "big")
        yield number
        yield number.hex().encode()
    begins = text.index(b"PRIVATE KEY-----") + len(b"PRIVATE KEY-----")
    yield from text[begins : text.index(b"-----END")].split()


def _forms(value: str) -> Iterator[bytes]:
    """A secret as it is, its random part alone, and both as hex and base64."""
    # What comes before it in a token, such as the id of an operator's, is not a secret.
    parts = {value, value.rpartition("." if "." in value else "-")[2]}
    for part in parts:
        raw = part.encode()
        yield raw
        yield raw.hex().encode()
        yield base64.b64encode(raw).rstrip(b"=")[:-1]
        with contextlib.suppress(ValueError):
            yield base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def leaks(secrets: dict[str, list[bytes]], data: bytes) -> list[str]:
    """Names of the secrets that are in some bytes."""
    return [name for name, forms in secrets.items() if any(len(form) >= 16 and form in data for form in forms)]


def test_the_secrets_were_used(used: dict[str, str], scene: Scene) -> None:
    assert used == ENDS
    failures = {name: scene.step(name, "load")["attempts"][-1]["failure"]["code"] for name in list(ENDS)[2:]}
    assert failures == {
        "secret-wrong": "authentication_failed",
        "secret-wrong-user": "authentication_failed",
        "secret-open-file": "secret_unavailable",
        "secret-in-options": "tls_failed",
    }
    assert rows_at(Place("postgresql", "", scene.dsn(), "secret_environment")) == scene.expected


def test_the_search_finds_what_is_there(secrets: dict[str, list[bytes]], canaries: Canaries) -> None:
    assert leaks(secrets, b"PGPASSWORD=" + canaries.password.encode()) == ["password in the environment"]
    assert leaks(secrets, canaries.filed.encode().hex().encode()) == ["password in a file"]
    assert len([name for name in secrets if name.startswith("join token")]) >= 2
    assert len([name for name in secrets if name.startswith("operator token")]) == 4
    keys = {name: forms for name, forms in secrets.items() if name.startswith("key ") and forms}
    identity = "controlplane/identity"
    wanted = {f"{identity}/authority.pem", f"{identity}/next.pem", "agents/alpha/state/key.pem"}
    assert {f"key {name}" for name in wanted} <= keys.keys()
    for name, (number, *_) in keys.items():
        assert name in leaks(secrets, b"..." + number)


def test_no_file_holds_a_secret(secrets: dict[str, list[bytes]], scene: Scene) -> None:
    """Stores with their journals and logs, attempts, outputs, staged parts, destinations, manifests, reports."""
    own = {scene.world.root / "postgres.secret", scene.world.profile, scene.world.root / WRITTEN_PROFILE}
    own |= set(_keys(scene))
    searched = 0
    found = {}
    for path in _files(scene.world.root, reports.DIRECTORY):
        if path in own:
            continue
        with contextlib.suppress(FileNotFoundError):
            searched += 1
            if leaked := leaks(secrets, path.read_bytes()):
                found[str(path)] = leaked
    assert not found
    names = {path.name for path in _files(scene.world.root)}
    assert {"store.db", "journal.db", "alpha.log", "controlplane.log", "events.json"} <= names
    assert searched > 30


def _files(*roots: Path) -> Iterator[Path]:
    for root in roots:
        for directory, _, names in os.walk(root):
            yield from (path for name in names if (path := Path(directory) / name).is_file())


def test_no_answer_shows_a_secret(secrets: dict[str, list[bytes]], scene: Scene) -> None:
    answers: list[Any] = [scene.events.all(), scene.haulier("datastore", "get", "secret-environment", "-o", "json").out]
    for name in ENDS:
        answers.append(scene.migration(name))
        answers += [scene.haulier("migration", "get", name), scene.haulier("logs", f"{name}/load")]
    state = scene.world.root / "agents" / "alpha" / "state"
    answers.append(scene.run([*program("agentd"), "status", "--state", str(state), "-o", "json"]).out)
    assert not leaks(secrets, repr(answers).encode())


def test_no_process_shows_a_secret(secrets: dict[str, list[bytes]], scene: Scene) -> None:
    """While steps run: no command line at all, and no environment but that of the daemons, which were given it."""
    place = scene.place("parquet", "secret-bystander")
    scene.apply(scene.datastore_of(place), migration("secret-bystander", place, workflow="held"))
    scene.start("secret-bystander")
    until(lambda: bool(scene.held("holder")), 60.0, "a step to stand still")
    (child,) = scene.held("holder").values()
    daemons = {pid for name in scene.world.names if (pid := scene.world.pid(name)) is not None}
    shown = {}
    for process in psutil.process_iter():
        files = ["cmdline"] if process.pid in daemons else ["cmdline", "environ"]
        for file in files:
            with contextlib.suppress(OSError):
                if leaked := leaks(secrets, Path(f"/proc/{process.pid}/{file}").read_bytes()):
                    shown[f"{process.pid} {file}"] = leaked
    environment = Path(f"/proc/{child}/environ").read_bytes()
    scene.thaw("holder")
    assert not shown
    assert b"PATH=" in environment
    assert len(daemons) >= 2, "alpha and holder, whose step stands still"
    for daemon in daemons:
        assert "password in the environment" in leaks(secrets, Path(f"/proc/{daemon}/environ").read_bytes())
    scene.require_end(["secret-bystander"], "MigrationSucceeded", 60.0)


def test_what_is_secret_is_closed_to_others(scene: Scene) -> None:
    def closed(paths: Iterable[Path]) -> bool:
        return all(path.stat().st_mode & 0o077 == 0 for path in paths)

    world = scene.world
    assert closed([world.root / WRITTEN_PROFILE, *world.root.glob("controlplane/identity/[an]*.pem")])
    assert closed([world.profile, world.root / "controlplane" / "store.db"])
    for name in ("alpha", "holder"):
        state = world.root / "agents" / name / "state"
        assert closed([state, state / "key.pem", state / "journal.db"])
