"""Makes the state of a new control plane: certificate authority, store, and a profile for its administrator."""

import json
import os
import time
from pathlib import Path

from controlplane.config import Config
from controlplane.identity.authority import CertificateAuthority
from controlplane.identity.roles import Role
from controlplane.serve import IDENTITY_DIR, STORE_FILE
from controlplane.service.joining import Joining
from controlplane.store.sqlite.store import SqliteStore

PROFILE_FILE = "operator.json"


async def initialise(config: Config) -> Path:
    """Make the state directory; return the path of the profile.

    Raises ``IdentityError`` when there is an authority already: replacing it would cut off every agent.
    """
    state = config.state_dir
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = CertificateAuthority.create(now=time.time(), serial=int.from_bytes(os.urandom(16), "big") >> 1)
    authority.save(state / IDENTITY_DIR)
    store = SqliteStore(state / STORE_FILE)
    try:
        joining = Joining(store, time.time, time.time, authority, os.urandom)
        token = await joining.create_operator_token("administrator", Role.ADMIN)
    finally:
        store.close()
    port = config.door_listen.rpartition(":")[2]
    profile = {
        "address": f"{config.advertised_host}:{port}",
        "ca_pem": authority.certificate_pem.decode(),
        "token": token,
    }
    path = state / PROFILE_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(profile, file, indent=1)
    return path
