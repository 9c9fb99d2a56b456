"""Operator tokens from before ids, kept as plain hashes, go on until they end; so do profiles that hold them."""

import base64
import hashlib
import os
from pathlib import Path

import pytest
from haulier.v1 import access_pb2, operator_pb2

from controlplane.host.state_layout import STORE_FILE
from controlplane.identity.roles import Role
from controlplane.store.sqlite import library, revisions
from tests.integration.controlplane.plane import CALL_S, bearer, serving
from tests.kit.running import run

BEFORE = 4  # the last revision whose operator tokens had no ids


def test_a_token_of_before_still_lets_its_holder_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = os.urandom(32)
    hashed = hashlib.sha256(secret).hexdigest()

    async def make() -> None:
        async with serving(tmp_path):
            pass

    run(make())
    profile = (tmp_path / "operator.json").read_bytes()
    for file in tmp_path.glob(f"{STORE_FILE}*"):
        file.unlink()
    older = [each for each in revisions.known() if each[0] <= BEFORE]
    with monkeypatch.context() as then:
        then.setattr(revisions, "known", lambda: older)
        made = library.connect(str(tmp_path / STORE_FILE), writing=True)
        revisions.bring_up(made)
        made.execute("INSERT INTO operator_token VALUES (?, 'ada', 'viewer', 9e9, 0)", [hashed])
        made.commit()
        made.close()

    async def body() -> None:
        async with serving(tmp_path) as running:
            assert (tmp_path / "operator.json").read_bytes() == profile
            old = bearer("haulier-operator." + base64.urlsafe_b64encode(secret).rstrip(b"=").decode())
            status = running.operators().GetStatus
            assert (await status(operator_pb2.GetStatusRequest(), timeout=CALL_S, metadata=old)).store_generation
            admin = bearer((await running.plane.operators.create("root", Role.ADMIN))[0])
            listing = await running.access().ListOperatorTokens(
                access_pb2.ListOperatorTokensRequest(), timeout=CALL_S, metadata=admin
            )
            assert (listing.tokens[0].name, listing.tokens[0].token_id) == ("ada", hashed[:16])

    run(body())
