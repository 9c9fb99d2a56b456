"""A handshake that failed for the time: each side of the wire knows it by the same words, and says the same."""

import time
from types import ModuleType

import pytest

import agentd.link.clocks
import controlplane.cli.screen.clocks

SIDES = [
    pytest.param(agentd.link.clocks, id="agent"),
    pytest.param(controlplane.cli.screen.clocks, id="command line"),
]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("details", "is_about_time"),
    [
        ("Ssl handshake failed: CERTIFICATE_VERIFY_FAILED: certificate is not yet valid", True),
        ("Ssl handshake failed: CERTIFICATE_VERIFY_FAILED: certificate has expired", True),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", True),
        ("sslv3 alert certificate expired", True),
        ("CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate", False),
        ("Connection refused", False),
        ("Deadline exceeded", False),
        ("", False),
    ],
)
def test_the_clock_is_told_where_the_time_may_be_the_reason(
    side: ModuleType, monkeypatch: pytest.MonkeyPatch, details: str, is_about_time: bool
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    told = "; this host's clock shows 2023-11-14 22:13:20 UTC: is it right?"
    assert side.told(details) == (told if is_about_time else "")
