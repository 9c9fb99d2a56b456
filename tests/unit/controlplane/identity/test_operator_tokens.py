"""Operator tokens: minted, presented, recognised or not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.identity.operator_tokens import (
    TTL_S,
    TTL_S_MAX,
    OperatorTokenRecord,
    Recognised,
    Unrecognised,
    hashed,
    mint,
    record_of,
    secret_in,
    verify,
)
from controlplane.identity.peers import IdentityError
from controlplane.identity.roles import Role

SECRET = bytes(range(32))
NOW = 1000.0


def fresh() -> OperatorTokenRecord:
    return record_of(SECRET, name="ada", role=Role.OPERATOR, now=NOW)


@given(st.binary(min_size=32, max_size=32))
def test_a_minted_token_is_found_in_its_header(secret: bytes) -> None:
    assert secret_in(f"Bearer {mint(secret)}") == secret
    assert secret_in(f"bearer  {mint(secret)} ") == secret


def test_a_header_without_a_token_holds_none() -> None:
    whole = mint(SECRET)
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
        assert secret_in(header) is None


@pytest.mark.parametrize("secret", [b"", SECRET[:31], SECRET + b"x"])
def test_a_secret_of_another_length_is_not_minted(secret: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        mint(secret)


def test_its_holder_is_recognised_until_it_ends() -> None:
    assert verify(SECRET, fresh(), NOW) == Recognised("ada", Role.OPERATOR)
    assert verify(SECRET, fresh(), NOW + TTL_S - 0.001) == Recognised("ada", Role.OPERATOR)
    ended = verify(SECRET, fresh(), NOW + TTL_S)
    assert isinstance(ended, Unrecognised)
    assert "expired" in ended.because


def test_nobody_else_is_recognised() -> None:
    for record in (None, replace(fresh(), secret_hash=hashed(SECRET[::-1]))):
        answer = verify(SECRET, record, NOW)
        assert isinstance(answer, Unrecognised)
        assert "not known" in answer.because


def test_the_hash_is_kept_and_not_shown() -> None:
    assert fresh().secret_hash == hashed(SECRET)
    assert hashed(SECRET) not in repr(fresh())


@pytest.mark.parametrize("role", [Role.ANONYMOUS, Role.AGENT])
def test_a_role_that_is_no_operators_is_refused(role: Role) -> None:
    with pytest.raises(IdentityError, match="admin, operator, viewer"):
        record_of(SECRET, name="ada", role=role, now=NOW)


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, TTL_S_MAX + 1, float("nan")])
def test_no_token_lives_forever(ttl_s: float) -> None:
    with pytest.raises(IdentityError, match="out of bounds"):
        record_of(SECRET, name="ada", role=Role.ADMIN, now=NOW, ttl_s=ttl_s)
