"""Operator tokens: minted, presented, proven by a slow hash, recognised or not."""

import base64
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.identity.operator_tokens import (
    OWNERS_MAX,
    TTL_S,
    TTL_S_MAX,
    OperatorTokenRecord,
    Presented,
    Recognised,
    Unrecognised,
    matches,
    mint,
    presented_in,
    recognise,
    record_of,
    verifier_of,
)
from controlplane.identity.peers import IdentityError
from controlplane.identity.roles import Role

SECRET = bytes(range(32))
SALT = bytes(16)
ID = "00112233aabbccdd"
NOW = 1000.0
# Made once: it is slow on purpose.
VERIFIER = verifier_of(SECRET, SALT)


def fresh(**changes: object) -> OperatorTokenRecord:
    return replace(record_of(ID, VERIFIER, name="ada", role=Role.OPERATOR, now=NOW), **changes)  # type: ignore[arg-type]


@given(st.binary(min_size=32, max_size=32))
def test_a_minted_token_is_found_in_its_header(secret: bytes) -> None:
    assert presented_in(f"Bearer {mint(ID, secret)}") == Presented(ID, secret)
    assert presented_in(f"bearer  {mint(ID, secret)} ") == Presented(ID, secret)


def test_a_header_without_a_token_holds_none() -> None:
    whole = mint(ID, SECRET)
    for header in (
        "",
        whole,
        f"Basic {whole}",
        "Bearer ",
        "Bearer haulier-operator.",
        f"Bearer {whole[:-3]}",
        f"Bearer {whole[:-1]}!",
        f"Bearer {whole[:-1]}ä",
        f"Bearer x{whole}",
    ):
        assert presented_in(header) is None


def test_a_token_from_before_ids_is_found_by_the_beginning_of_its_hash() -> None:
    old = "haulier-operator." + base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()
    hashed = hashlib.sha256(SECRET).hexdigest()
    assert presented_in(f"Bearer {old}") == Presented(hashed[:16], SECRET)
    assert matches(SECRET, f"sha256:{hashed}")
    assert not matches(SECRET[::-1], f"sha256:{hashed}")


@pytest.mark.parametrize("secret", [b"", SECRET[:31], SECRET + b"x"])
def test_a_secret_of_another_length_is_not_minted(secret: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        mint(ID, secret)


def test_a_secret_is_proven_by_argon2_alone() -> None:
    assert VERIFIER.startswith("$argon2id$")
    assert matches(SECRET, VERIFIER)
    assert not matches(SECRET[::-1], VERIFIER)
    assert not matches(SECRET, "no hash at all")
    assert verifier_of(SECRET, bytes(15) + b"x") != VERIFIER


def test_its_holder_is_recognised_until_it_ends() -> None:
    recognised = recognise(fresh(owners=("ops",)), NOW, is_proven=True)
    assert recognised == Recognised("ada", Role.OPERATOR, frozenset({"ops"}), ID, TTL_S)
    assert isinstance(recognise(fresh(), NOW + TTL_S - 0.001, is_proven=True), Recognised)
    ended = recognise(fresh(), NOW + TTL_S, is_proven=True)
    assert isinstance(ended, Unrecognised)
    assert "expired" in ended.because


def test_nobody_else_is_recognised() -> None:
    revoked = fresh(revoked_at=NOW)
    for record, is_proven, why in (
        (None, True, "not known"),
        (fresh(), False, "not known"),
        (revoked, True, "revoked"),
    ):
        answer = recognise(record, NOW, is_proven=is_proven)
        assert isinstance(answer, Unrecognised)
        assert why in answer.because


def test_what_is_secret_is_not_shown() -> None:
    assert VERIFIER not in repr(fresh())
    assert repr(SECRET) not in repr(Presented(ID, SECRET))


@pytest.mark.parametrize("role", [Role.ANONYMOUS, Role.AGENT])
def test_a_role_that_is_no_operators_is_refused(role: Role) -> None:
    with pytest.raises(IdentityError, match="admin, approver, operator, viewer"):
        record_of(ID, VERIFIER, name="ada", role=role, now=NOW)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.APPROVER])
def test_some_roles_are_over_everything(role: Role) -> None:
    with pytest.raises(IdentityError, match="only operator and viewer"):
        record_of(ID, VERIFIER, name="ada", role=role, now=NOW, owners=("ops",))


@pytest.mark.parametrize("owners", [("",), tuple(map(str, range(OWNERS_MAX + 1)))])
def test_owners_that_cannot_be_used_are_refused(owners: tuple[str, ...]) -> None:
    with pytest.raises(IdentityError, match="owners cannot be used"):
        record_of(ID, VERIFIER, name="ada", role=Role.VIEWER, now=NOW, owners=owners)


@pytest.mark.parametrize("name", ["", " ada", "a\nb", "x" * 129])
def test_a_name_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(IdentityError, match="name of an operator"):
        record_of(ID, VERIFIER, name=name, role=Role.VIEWER, now=NOW)


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, TTL_S_MAX + 1, float("nan")])
def test_no_token_lives_forever(ttl_s: float) -> None:
    with pytest.raises(IdentityError, match="out of bounds"):
        record_of(ID, VERIFIER, name="ada", role=Role.ADMIN, now=NOW, ttl_s=ttl_s)
