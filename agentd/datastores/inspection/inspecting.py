"""Propose Datasets for data that is already on this host: object, key, columns, and how their files are read.

A proposal never loses anything: a column gets a type only if every one of its values has exactly one spelling in it.
What looks like a number but is not (leading zeros, a plus sign) stays text; decimals stay decimals, with the digits
seen. All rows are read, so that what is proposed is also what an extract will accept today.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agentd.datastores.engines import ENGINES
from agentd.datastores.files.compression import require_plain
from agentd.datastores.files.first_part import first_part
from agentd.datastores.inspection.text import Proposal, manifests_text, name_of, spec_text
from agentd.datastores.port.engine import Engine, Failed
from agentd.datastores.port.failures import StepFailure, naming_os_errors


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found: YAML, and what could not be looked at, a sentence each."""

    text: str
    failures: tuple[str, ...] = ()


def inspect(place: str) -> Inspected:
    """YAML to put under a Dataset's `spec`, one document for each object.

    `place` is a file or directory, whose engine is known by its content, or a URL such as
    `postgresql://USER@HOST:PORT/DATABASE`; a table is chosen by `#TABLE` after either, else every table is proposed. A
    directory is one dataset of parts. Raises StepFailure.
    """
    where, _, table = place.partition("#")
    failures: list[str] = []
    found = list(proposals(where, table, failures.append))
    _require_some(found, failures, where)
    return Inspected("---\n".join(map(spec_text, found)), tuple(failures))


def inspect_whole(place: str, owner: str, datastore: str = "") -> Inspected:
    """Whole manifests: a Datastore for the place and a Dataset, owned by `owner`, for each object.

    Each file of a directory is a dataset of its own, and so is each directory in it, whose files are its parts. What
    cannot be read is told among the failures, and does not keep others from being proposed. Raises StepFailure.
    """
    where, _, table = place.partition("#")
    failures: list[str] = []
    path = Path(where).expanduser().absolute()
    by_url = _engine_of_url(where)
    if by_url is not None or not path.is_dir():
        found = list(proposals(where, table, failures.append))
    else:
        found = [each for entry in _entries(path) for each in _of_entry(entry, failures.append)]
    _require_some(found, failures, where)
    name = datastore or name_of(by_url.inspection.name_of(where) if by_url is not None else path.stem)
    return Inspected(manifests_text(found, owner, name), tuple(failures))


def _require_some(found: list[Proposal], failures: list[str], where: str) -> None:
    if not found and not failures:
        raise StepFailure(
            "not_found", f"{where} holds nothing to propose", "It has no tables, or no rows and no header."
        )


def _entries(directory: Path) -> list[Path]:
    return sorted(each for each in directory.iterdir() if not each.name.startswith(("_", ".")))


def _of_entry(entry: Path, failed: Callable[[str], None]) -> list[Proposal]:
    """Proposals for one file or directory of parts; one that cannot be read is told."""
    try:
        return list(proposals(str(entry), "", failed))
    except StepFailure as failure:
        failed(f"{entry.name}: {failure.message}. {failure.hint}".rstrip())
        return []


def proposals(where: str, table: str = "", failed: Failed = None) -> Iterator[Proposal]:
    """A proposal for each object at the place. ``failed`` is told of a table that cannot be read, where there are
    others; without it the first such table is raised as StepFailure."""
    by_url = _engine_of_url(where)
    if by_url is not None:
        yield from by_url.inspection.propose(where, table, failed)
        return
    path = Path(where).expanduser().absolute()
    with naming_os_errors(f"inspecting {where}"):
        yield from _engine_of_file(path).inspection.propose(str(path), table, failed)


def _engine_of_url(where: str) -> Engine | None:
    return next((engine for engine in ENGINES.values() if where.startswith(engine.inspection.urls)), None)


def _engine_of_file(path: Path) -> Engine:
    """By the first bytes of the file, or of the first part of a directory; what no engine knows is for the one that
    takes whatever is left."""
    if path.is_dir():
        return _engine_of_file(first_part(path))
    require_plain(path)
    with path.open("rb") as file:
        start = file.read(16)
    local = [engine for engine in ENGINES.values() if not engine.is_server]
    known = [engine for engine in local if engine.inspection.is_it is not None and engine.inspection.is_it(start)]
    return (known or [engine for engine in local if engine.inspection.is_it is None])[0]
