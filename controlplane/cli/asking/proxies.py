"""The web proxy on the way to a control plane: the one that a setting names, and no other.

Variables such as HTTPS_PROXY are for the web. A control plane is a neighbour: a proxy that nobody chose for it would
only break the call, or read along where it went. So gRPC is told, for every channel, which proxy to use or that there
is none. NO_PROXY still names hosts to which a chosen proxy is not asked.

As in ``agentd.link.proxies``: the two sides ship apart, and share no module. tests/contract/test_proxies.py holds both
to the same rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

VARIABLES = ("grpc_proxy", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


class BadProxy(ValueError):
    """The setting names no proxy that can be used; says what one looks like."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A web proxy that is asked to connect (HTTP CONNECT). `credentials` is "USER:PASSWORD" or empty."""

    host: str
    port: int
    credentials: str = ""

    def __str__(self) -> str:
        """Without its credentials, for people."""
        return f"http://{host_port(self.host, self.port)}"

    def url(self) -> str:
        """With everything, for a library."""
        before = f"{self.credentials}@" if self.credentials else ""
        return f"http://{before}{host_port(self.host, self.port)}"


def host_port(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 address in brackets, whether or not it has some already.

    >>> host_port("::1", 80), host_port("[::1]", 80), host_port("db", 80)
    ('[::1]:80', '[::1]:80', 'db:80')
    """
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def parse(text: str) -> Proxy | None:
    """The proxy that a setting names; None for an empty one. Raises BadProxy, which never repeats a password."""
    if not text:
        return None
    try:
        found = urlsplit(text if "://" in text else f"http://{text}")
        host, port, scheme = found.hostname or "", found.port or 3128, found.scheme
        rest = found.path.strip("/") or found.query or found.fragment
    except ValueError:
        host, port, scheme, rest = "", 0, "http", ""
    if scheme != "http" or not host or rest or any(letter.isspace() for letter in text):
        raise BadProxy("a proxy is http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT: TLS goes through it, not to it")
    credentials = found.netloc.rpartition("@")[0]
    return Proxy(host, port, credentials)


def options(proxy: Proxy | None) -> tuple[tuple[str, int | str], ...]:
    """Options of a gRPC channel."""
    if proxy is None:
        return (("grpc.enable_http_proxy", 0),)
    return (("grpc.enable_http_proxy", 1), ("grpc.http_proxy", proxy.url()))


def is_asked(proxy: Proxy | None, host: str) -> bool:
    """Whether a connection to `host` goes through the proxy: not where NO_PROXY names the host."""
    if proxy is None:
        return False
    # Most hosts have no proxy, and every command is to start at once.
    from urllib.request import proxy_bypass

    return not proxy_bypass(host.strip("[]"))


def told(proxy: Proxy | None, host: str, setting: str, environment: Mapping[str, str]) -> str:
    """What a message about a connection to `host` that failed adds: the proxy, or one that was not used."""
    if is_asked(proxy, host):
        return f"; it was called through the proxy {proxy}, as {setting} says"
    unused = next((name for name in VARIABLES if environment.get(name)), "")
    if proxy is None and unused:
        return f"; {unused} is set and not used: if the way leads through a proxy, set {setting}"
    return ""
