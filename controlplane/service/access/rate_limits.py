"""How often strangers may ask: a bucket for each address and one for all, so that none of them costs the others."""

import ipaddress
from collections import OrderedDict

# Behind one address a whole building may join at once; a thousand requests a second are no building.
BURST = 200.0
A_SECOND = 20.0
# All addresses together.
BURST_OF_ALL = 600.0
A_SECOND_OF_ALL = 200.0
ADDRESSES_MAX = 4096
_IPV6_NETWORK_BITS = 64


class RateLimiter:
    """Token buckets; instants are arguments."""

    def __init__(self) -> None:
        self._all = (BURST_OF_ALL, 0.0)
        self._of: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Count one request from ``address``; return 0 when it may go on, else in how many seconds to ask again."""
        who = network_of(address)
        left, at = self._of.pop(who, (BURST, now))
        left = min(BURST, left + (now - at) * A_SECOND)
        left_of_all, at_of_all = self._all
        left_of_all = min(BURST_OF_ALL, left_of_all + max(0.0, now - at_of_all) * A_SECOND_OF_ALL)
        wait_s = 0.0
        if left < 1.0:
            wait_s = (1.0 - left) / A_SECOND
        elif left_of_all < 1.0:
            wait_s = (1.0 - left_of_all) / A_SECOND_OF_ALL
        else:
            left, left_of_all = left - 1.0, left_of_all - 1.0
        self._of[who], self._all = (left, now), (left_of_all, now)
        if len(self._of) > ADDRESSES_MAX:
            self._of.popitem(last=False)
        return wait_s


def network_of(address: str) -> str:
    """Return who counts as one: an IPv4 address, an IPv6 network, or the text itself.

    >>> network_of("ipv4:10.1.2.3"), network_of("ipv6:[2001:db8::1]")
    ('10.1.2.3', '2001:db8::/64')
    """
    bare = address.partition(":")[2].strip("[]").replace("%5B", "").replace("%5D", "")
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
