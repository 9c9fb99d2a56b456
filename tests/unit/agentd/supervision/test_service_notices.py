"""What the service manager is told, over the real protocol."""

import os
import socket
from pathlib import Path

import pytest

from agentd.supervision.service_notices import notify, watchdog_every_s


def heard(address: str, monkeypatch: pytest.MonkeyPatch, shown: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", shown)
        notify(ready="1", status="connected")
        return manager.recv(4096)


def test_a_notice_reaches_a_path_and_an_abstract_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "n")
    assert heard(path, monkeypatch, path) == b"READY=1\nSTATUS=connected"
    name = f"haulier-test-{os.getpid()}"
    assert heard(f"\0{name}", monkeypatch, f"@{name}") == b"READY=1\nSTATUS=connected"


def test_nobody_listening_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify(ready="1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify(ready="1")


def test_the_watchdog_is_fed_twice_as_often_as_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_every_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    assert watchdog_every_s() == 10.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_every_s() is None
