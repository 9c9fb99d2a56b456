"""What this host is: facts that do not change while an agent runs."""

import os
import platform
from pathlib import Path

import psutil

from agentd.core.release_state import HostFacts

_ZONES = "zoneinfo/"


def of_host(root: Path = Path("/")) -> HostFacts:
    """Look once; whatever a host does not tell stays empty."""
    try:
        told = platform.freedesktop_os_release()
    except OSError:
        told = {}
    return HostFacts(
        os=told.get("ID", ""),
        os_version=told.get("VERSION_ID", ""),
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        time_zone=time_zone(root / "etc"),
    )


def time_zone(etc: Path) -> str:
    """The IANA name of the host's time zone; empty where it cannot be told."""
    try:
        return (etc / "timezone").read_text(encoding="utf-8").strip()
    except OSError:
        pass
    try:
        _, found, name = str((etc / "localtime").readlink()).partition(_ZONES)
    except OSError:
        return ""
    return name if found else ""
