"""Makes the state of a new control plane: certificate authority, store, and a profile for its administrator."""

import json
import os
import time
from pathlib import Path

from controlplane import durable
from controlplane.config import Config, host_port
from controlplane.host.state_guard import StateGuard
from controlplane.host.state_layout import IDENTITY_DIR, STORE_FILE
from controlplane.identity.audit_key import AUDIT_KEY_FILE, AuditKey
from controlplane.identity.authority import CertificateAuthority
from controlplane.identity.peers import IdentityError
from controlplane.identity.roles import Role
from controlplane.service.access.operators import Operators
from controlplane.store.sqlite.store import SqliteStore

PROFILE_FILE = "operator.json"


async def initialise(config: Config) -> Path:
    """Make the state directory; return the path of the profile.

    An init that was cut short is finished by the next one: the profile comes last. Raises ``IdentityError`` when the
    state is complete, because a second authority would cut off every agent; ``StateTaken`` while a control plane runs
    on it; ``StoreFailed`` or ``OSError`` when it cannot be written.
    """
    state = config.state_dir
    path = state / PROFILE_FILE
    durable.make_directory(state)
    guard = StateGuard(state)
    try:
        if path.exists():
            raise IdentityError(
                f"{state} already holds a control plane, whose administrator's profile is {path}",
                "start it with `haulier-controlplane serve`, or choose another directory with --state",
            )
        authority = _authority(state / IDENTITY_DIR)
        if not (state / IDENTITY_DIR / AUDIT_KEY_FILE).exists():
            AuditKey.create().save(state / IDENTITY_DIR)
        store = SqliteStore(state / STORE_FILE)
        try:
            # Another control plane may have written to the same destinations before: its fences must stay below ours.
            await store.write(lambda tx: tx.begin_generation(int(time.time())))
            operators = Operators(store, time.time, os.urandom)
            token, _ = await operators.create("administrator", Role.ADMIN)
        finally:
            store.close()
        _write_profile(path, config, authority, token)
    finally:
        guard.release()
    return path


def _authority(directory: Path) -> CertificateAuthority:
    """Return the authority that is there already, or else a new one."""
    if any(directory.glob("*.pem")):
        return CertificateAuthority.load(directory)
    authority = CertificateAuthority.create(now=time.time(), serial=int.from_bytes(os.urandom(16), "big") >> 1)
    authority.save(directory)
    return authority


def _write_profile(path: Path, config: Config, authority: CertificateAuthority, token: str) -> None:
    """Write the profile whole or not at all, readable by its owner alone."""
    port = config.public_listen.rpartition(":")[2]
    profile = {
        "address": host_port(config.advertised_host, port),
        "ca_pem": authority.certificate_pem.decode(),
        "token": token,
    }
    durable.replace(path, json.dumps(profile, indent=1).encode("utf-8"))
