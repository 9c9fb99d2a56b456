"""Join tokens: the text, and every way of not being let in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.identity.join_tokens import (
    TTL_S_MAX,
    Granted,
    JoinTokenRecord,
    JoinTokenText,
    TokenRefused,
    hashed,
    may_join,
    mint,
    parse,
    record_of,
    used,
)
from controlplane.identity.peers import IdentityError

SECRET = bytes(range(32))
PIN = "ab" * 32
NOW = 1000.0


def fresh(agent_name: str = "") -> JoinTokenRecord:
    return record_of(SECRET, agent_name=agent_name, now=NOW)


def ask(
    record: JoinTokenRecord | None,
    *,
    now: float = NOW,
    name: str = "host-1",
    request_id: str = "req-1",
    key: str = "key-1",
) -> Granted | TokenRefused:
    return may_join(record, now, name, request_id, key)


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from(["localhost:7443", "cp.example.org:1", "10.0.0.1:65535", "[::1]:7443"]),
)
def test_what_is_minted_is_parsed(secret: bytes, public_address: str) -> None:
    text = mint(secret, PIN, public_address)
    assert text.startswith(f"haulier-join.{public_address}.")
    assert parse(f"  {text}\n") == JoinTokenText(public_address, secret, PIN)


@pytest.mark.parametrize("public_address", ["", "cp", "cp:", ":7443", "cp:0", "cp:65536", "cp:x", "cp:7443 "])
def test_an_address_that_cannot_be_reached_is_not_minted(public_address: str) -> None:
    with pytest.raises((ValueError, IdentityError)):
        mint(SECRET, PIN, public_address)


@pytest.mark.parametrize("secret", [b"", SECRET[:31], SECRET + b"x"])
def test_a_secret_of_another_length_is_not_minted(secret: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        mint(secret, PIN, "cp:7443")


def test_a_damaged_token_is_refused_without_quoting_it() -> None:
    whole = mint(SECRET, PIN, "cp.example:7443")
    encoded = whole.split(".")[-2]
    for text in (
        "",
        "hello",
        whole[1:],
        whole[:-1],
        whole.replace(PIN, PIN.upper()),
        whole.replace(encoded, encoded[:-4]),
        whole.replace(encoded, "!" + encoded[1:]),
        whole.replace(encoded, "ä" + encoded[1:]),
        whole.replace(":7443", ""),
    ):
        with pytest.raises(IdentityError) as caught:
            parse(text)
        assert encoded not in str(caught.value)


def test_neither_secret_nor_its_text_shows_in_repr() -> None:
    token = parse(mint(SECRET, PIN, "cp:7443"))
    assert repr(SECRET) not in repr(token)
    assert fresh().secret_hash == hashed(SECRET) != SECRET.hex()


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, TTL_S_MAX + 0.001, float("inf"), float("nan")])
def test_no_token_lives_longer_than_fifteen_minutes(ttl_s: float) -> None:
    with pytest.raises(IdentityError, match="at most 900 seconds"):
        record_of(SECRET, agent_name="", now=NOW, ttl_s=ttl_s)


def test_a_fresh_token_lets_one_agent_in_until_it_ends() -> None:
    assert ask(fresh()) == Granted(repeated=False)
    assert ask(fresh(), now=NOW + TTL_S_MAX - 0.001) == Granted(repeated=False)
    ended = ask(fresh(), now=NOW + TTL_S_MAX)
    assert isinstance(ended, TokenRefused)
    assert "expired" in ended.because


def test_a_token_for_one_name_lets_no_other_in() -> None:
    assert ask(fresh("host-1")) == Granted(repeated=False)
    other = ask(fresh("host-1"), name="host-2")
    assert isinstance(other, TokenRefused)
    assert "host-1" not in other.because


def test_the_same_request_again_gets_the_same_answer_even_late() -> None:
    record = used(fresh(), agent_name="host-1", request_id="req-1", key_fingerprint="key-1")
    assert ask(record) == Granted(repeated=True)
    assert ask(record, now=NOW + 10 * TTL_S_MAX) == Granted(repeated=True)


@pytest.mark.parametrize(
    ("name", "request_id", "key"),
    [("host-1", "req-2", "key-1"), ("host-1", "req-1", "key-2"), ("host-2", "req-1", "key-1")],
)
def test_anything_else_after_the_first_use_is_refused(name: str, request_id: str, key: str) -> None:
    record = used(fresh(), agent_name="host-1", request_id="req-1", key_fingerprint="key-1")
    answer = ask(record, name=name, request_id=request_id, key=key)
    assert isinstance(answer, TokenRefused)
    assert "has been used" in answer.because


def test_an_unknown_token_is_refused() -> None:
    answer = ask(None)
    assert isinstance(answer, TokenRefused)
    assert "not known" in answer.because


@pytest.mark.parametrize(
    ("name", "request_id", "key"), [("", "req-1", "key-1"), ("host-1", "", "key-1"), ("host-1", "req-1", "")]
)
def test_a_request_without_its_parts_is_refused(name: str, request_id: str, key: str) -> None:
    answer = ask(fresh(), name=name, request_id=request_id, key=key)
    assert isinstance(answer, TokenRefused)
    assert "lacks" in answer.because
