"""What `haulier events` prints. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from haulier.v1 import operator_pb2 as op
from rich.text import Text

from controlplane.cli.screen import pieces, wording
from controlplane.cli.screen.terminal import Look

# Verbs of event names that deserve a colour.
_STYLES = {
    "Failed": "red",
    "Lost": "red",
    "Stuck": "bold red",
    "Refused": "yellow",
    "Expired": "yellow",
    "Fenced": "yellow",
    "Cancelled": "yellow",
    "Verified": "green",
    "Succeeded": "green",
    "Completed": "green",
}


def instant(at: float) -> str:
    """Seconds since 1970 as "2026-01-31T12:00:00.250Z". What no calendar holds is printed as the number."""
    try:
        moment = datetime.fromtimestamp(at, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return f"{at:.3f}"
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def event_line(event: op.WatchEventsResponse, look: Look) -> Text:
    """One event: position, instant, type, subject, details as key=value, and the reason whole, on as many lines as it
    takes. Things are called by their names; `-o wide` adds their ids."""
    style = next((style for word, style in _STYLES.items() if event.type.endswith(word)), "")
    at = instant(event.at)
    text = Text(overflow="fold")
    text.append(f"{event.position:>6}  ", style=pieces.QUIET)
    # On a narrow terminal the day gives way first: people look at what happens now.
    text.append((at if look.fits(120) else at.rpartition("T")[2]) + "  ", style=pieces.QUIET)
    text.append(f"{wording.clean(event.type):<17}  ", style=style)
    named = event.names.get(event.subject, event.subject)
    text.append(wording.clean(f"{named} ({event.subject})" if look.wide and named != event.subject else named))
    details = _details(event, look)
    if details:
        text.append("  " + wording.clean(details), style=pieces.QUIET)
    return text


def _details(event: op.WatchEventsResponse, look: Look) -> str:
    try:
        data = json.loads(event.data_json) if event.data_json else {}
    except ValueError:
        return event.data_json
    if not isinstance(data, dict):
        return event.data_json
    subject = event.names.get(event.subject, "")
    words = []
    for key, value in data.items():
        if value in (None, "", [], {}) or value == event.subject or key == "detail":
            continue
        name = event.names.get(value, "") if isinstance(value, str) else ""
        if name and subject.startswith(f"{name}/"):
            continue  # a step's name begins with its migration's
        if key == "fence" and isinstance(value, int):
            words.append(f"fence={wording.fence(value)}")
        elif name.startswith(f"{subject}#") and subject:
            words.append(f"try={name.rpartition('#')[2]}" + (f" ({value})" if look.wide else ""))
        else:
            told = f"{name} ({value})" if name and look.wide else name or value
            words.append(f"{key.removesuffix('_id')}={_short(told)}")
    # The reason is prose, and comes last, without a key before it.
    return "  ".join(part for part in (" ".join(words), str(data.get("detail") or "")) if part)


def _short(value: object) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
