"""`haulier-controlplane check`: asks the process that serves on a state directory how it is."""

import http.client
import json
from pathlib import Path
from typing import Any

from controlplane.store.port import StoreFailed

ANSWER_S_MAX = 5.0


class Silent(Exception):
    """Nobody answers; says what was tried."""


def ask(state: Path, listening_file: str, probe: str) -> tuple[bool, list[dict[str, Any]]]:
    """Return whether the answer is good, with its reasons.

    Raises ``Silent`` when nobody answers, ``StoreFailed`` when there is nobody who could by HTTP.
    """
    try:
        told = json.loads((state / listening_file).read_text(encoding="utf-8"))
        host, port = str(told.get("http_host", "127.0.0.1")), told["http"]
    except (OSError, ValueError, KeyError):
        raise Silent(f"no control plane serves on {state}") from None
    if not port:
        raise StoreFailed("probes_http_listen is not set: set it, or ask gRPC health on probes_listen")
    try:
        return _asked(host, port, "/livez" if probe == "liveness" else "/readyz")
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Silent(f"the control plane on {state} does not answer its probes: {error}") from None


def _asked(host: str, port: int, path: str) -> tuple[bool, list[dict[str, Any]]]:
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read(1_048_576))
    finally:
        connection.close()
    return answer.status == 200, list(told.get("reasons", ()))
