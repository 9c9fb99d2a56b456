"""What happened, for a person: the trace of one history around the thing that broke."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from controlplane.core.events import Event as Logged

if TYPE_CHECKING:
    from tests.sim.world import World

LINES_MAX = 120


def story(world: "World", subject: str) -> Iterator[str]:
    """Lines about ``subject`` (a step, attempt, migration, agent or target) and what the world did meanwhile."""
    related = _related(world, subject)
    lines = [line for line in map(_line, world.trace) if line and _concerns(line, related)]
    if len(lines) > LINES_MAX:
        yield f"… {len(lines) - LINES_MAX} earlier lines"
    yield from lines[-LINES_MAX:]


def _related(world: "World", subject: str) -> set[str]:
    """The subject and everything of its migration that has a name; all of it where there is none."""
    related = {subject, "world", "operator", "fault", "plane"}
    for _, what, who, details in world.trace:
        if what == "log" and isinstance(details, Logged):
            names = {who, details.attempt_id, details.migration_id}
            if subject in names:
                related |= {name for name in (who, details.attempt_id) if name}
    return related


def _concerns(line: str, related: set[str]) -> bool:
    return any(name in line for name in related)


def _line(entry: tuple[float, str, str, Any]) -> str:
    at, what, who, details = entry
    if what == "committed":
        return ""
    if what == "log":
        attempt = f" {details.attempt_id}" if details.attempt_id else ""
        fence = f" fence={details.fence & 0xFFFFFFFF}" if details.fence else ""
        return f"{at:9.3f}  log      {who}{attempt} {details.type}{fence} {details.detail}"
    told = " ".join(_short(each) for each in details)
    return f"{at:9.3f}  {what}: {who} {told}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 240 else text[:237] + "…"
