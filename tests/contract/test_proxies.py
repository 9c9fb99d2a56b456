"""Web proxies, as each side of the wire reads the setting: one rule, whichever program a person sets it for.

The sides do not import each other, so each has its own reader; the same text must mean the same proxy to both.
"""

from types import ModuleType

import pytest

import agentd.link.proxies
import controlplane.cli.asking.proxies

SIDES = [
    pytest.param(agentd.link.proxies, id="agent"),
    pytest.param(controlplane.cli.asking.proxies, id="command line"),
]
pytestmark = pytest.mark.parametrize("side", SIDES)

# The text of a setting, and the proxy: its host, its port, its credentials.
READ = [
    ("http://proxy.example:8080", ("proxy.example", 8080, "")),
    ("proxy.example:8080", ("proxy.example", 8080, "")),
    ("http://proxy.example", ("proxy.example", 3128, "")),
    ("http://proxy.example/", ("proxy.example", 3128, "")),
    ("HTTP://PROXY.example:1", ("proxy.example", 1, "")),
    ("http://[::1]:8080", ("::1", 8080, "")),
    ("[::1]:8080", ("::1", 8080, "")),
    ("http://ada:secret@proxy.example:8080", ("proxy.example", 8080, "ada:secret")),
    ("http://ada:s%40cret@[::1]:8080", ("::1", 8080, "ada:s%40cret")),
    ("http://ada@proxy.example", ("proxy.example", 3128, "ada")),
]
REFUSED = [
    "https://p:1",
    "socks5://p:1",
    "http://",
    "http://:8080",
    "http://p:1/path",
    "http://p:1?a=b",
    "http://p:1#a",
    "http://p:port",
    "http://p:70000",
    "http://[::1:8080",
    "p q",
    " http://p:1",
    "http://p:1\n",
]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing of proxies."""
    for name in ("grpc", "https", "http", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.mark.parametrize(("text", "proxy"), READ)
def test_a_setting_names_this_proxy(side: ModuleType, text: str, proxy: tuple[str, int, str]) -> None:
    found = side.parse(text)
    assert (found.host, found.port, found.credentials) == proxy
    assert side.parse(found.url()) == found, "a library is told the same"
    assert "cret" not in str(found), "a password is not shown"


def test_an_empty_setting_names_none(side: ModuleType) -> None:
    assert side.parse("") is None


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_proxy_is_refused_with_what_one_looks_like(side: ModuleType, text: str) -> None:
    with pytest.raises(side.BadProxy, match="a proxy is http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT"):
        side.parse(text)


def test_a_refusal_never_repeats_a_password(side: ModuleType) -> None:
    with pytest.raises(side.BadProxy) as caught:
        side.parse("https://ada:secret@proxy.example:1")
    assert "secret" not in str(caught.value)


def test_a_channel_is_told_the_proxy_or_that_there_is_none(side: ModuleType) -> None:
    assert dict(side.options(None)) == {"grpc.enable_http_proxy": 0}
    assert dict(side.options(side.parse("http://ada:secret@[::1]:8080"))) == {
        "grpc.enable_http_proxy": 1,
        "grpc.http_proxy": "http://ada:secret@[::1]:8080",
    }


@pytest.mark.parametrize(
    ("host", "asked"),
    [("db.example", True), ("cp.inside", False), ("10.0.0.1", True), ("::1", False), ("[::1]", False)],
)
def test_hosts_that_no_proxy_names_are_called_directly(
    side: ModuleType, monkeypatch: pytest.MonkeyPatch, host: str, asked: bool
) -> None:
    monkeypatch.setenv("no_proxy", ".inside,::1")
    proxy = side.parse("http://proxy.example:8080")
    assert side.is_asked(proxy, host) is asked
    assert not side.is_asked(None, host)
    said = side.told(proxy, host, "HAULIER_PROXY", {})
    assert said == ("; it was called through the proxy http://proxy.example:8080, as HAULIER_PROXY says" * asked)


@pytest.mark.parametrize("variable", agentd.link.proxies.VARIABLES)
def test_a_variable_that_is_not_used_is_named(side: ModuleType, variable: str) -> None:
    said = side.told(None, "cp.example", "--proxy", {variable: "http://proxy.example:8080"})
    assert said == f"; {variable} is set and not used: if the way leads through a proxy, set --proxy"
    assert side.told(None, "cp.example", "--proxy", {variable: ""}) == ""


def test_a_proxy_that_was_chosen_is_told_without_its_password(side: ModuleType) -> None:
    said = side.told(side.parse("ada:secret@proxy.example:1"), "cp.example", "--proxy", {"https_proxy": "http://other"})
    assert said == "; it was called through the proxy http://proxy.example:1, as --proxy says"


@pytest.mark.parametrize(
    ("host", "written"), [("::1", "[::1]:80"), ("[::1]", "[::1]:80"), ("db", "db:80"), ("10.0.0.1", "10.0.0.1:80")]
)
def test_an_address_of_ipv6_stands_in_brackets_once(side: ModuleType, host: str, written: str) -> None:
    assert side.host_port(host, 80) == written
