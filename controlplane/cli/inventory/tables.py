"""What validate, apply, list and get of manifests print. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from haulier.v1 import operator_pb2 as op
from rich.console import Group, RenderableType
from rich.text import Text

from controlplane.cli.screen import pieces, wording
from controlplane.cli.screen.as_json import enum_word
from controlplane.cli.screen.terminal import Look

# More lines than these hide what they should show; `-o json` has them all.
FINDINGS_MAX = 100
OUTCOMES_MAX = 30


def place(finding: op.Finding) -> str:
    """ "path:line:col", as compilers write it and editors jump to it."""
    parts = [wording.clean(finding.path)]
    if finding.line:
        parts.append(str(finding.line))
        if finding.column:
            parts.append(str(finding.column))
    return ":".join(parts)


def findings(found: Sequence[op.Finding]) -> RenderableType:
    """One line per finding, a hint below it, and a count at the end."""
    text = Text(overflow="fold")
    for finding in found[:FINDINGS_MAX]:
        text.append(place(finding), style="bold")
        text.append(": ")
        if finding.field:
            text.append(wording.clean(finding.field), style="cyan").append(": ")
        text.append(wording.clean(finding.message)).append("\n")
        if finding.hint:
            text.append("    hint: ", style=pieces.QUIET).append(wording.clean(finding.hint)).append("\n")
    files = len({finding.path for finding in found})
    if len(found) > FINDINGS_MAX:
        text.append(f"… and {wording.count(len(found) - FINDINGS_MAX)} more; -o json shows all\n", style=pieces.QUIET)
    text.append(f"{wording.plural(len(found), 'finding')} in {wording.plural(files, 'file')}", style="bold red")
    return text


# Fields that do not act are said once, with the first few places of each.
_WARNED_PLACES_MAX = 5


def warnings(found: Sequence[op.Finding]) -> str:
    """One warning per field, with the places where it is set, and a hint."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for finding in found:
        places.setdefault((finding.field, finding.message, finding.hint), []).append(place(finding))
    lines = []
    for (field, message, hint), at in places.items():
        more = f" and {len(at) - _WARNED_PLACES_MAX} more" if len(at) > _WARNED_PLACES_MAX else ""
        lines.append(f"warning: {field}: {message} ({', '.join(at[:_WARNED_PLACES_MAX])}{more})")
        lines.append(f"    hint: {hint}")
    return "\n".join(lines)


def _change(outcome: op.ManifestOutcome) -> str:
    return enum_word("ManifestChange", op.ManifestChange.DESCRIPTOR.values_by_number, outcome.change)


def _goes(outcome: op.ManifestOutcome) -> bool:
    return outcome.change == op.MANIFEST_CHANGE_DELETED


def _fields(outcome: op.ManifestOutcome) -> list[RenderableType]:
    """What an update would change, a field a line, against what is applied."""
    lines: list[RenderableType] = [Text(wording.clean(f"{outcome.kind} {outcome.name}"), style="bold")]
    for each in outcome.fields:
        mark, style = (
            ("+", "green") if not each.before_json else ("-", "red") if not each.after_json else ("~", "yellow")
        )
        values = [wording.clean(side) for side in (each.before_json, each.after_json) if side]
        lines.append(
            Text(f"  {mark} ", style=style, overflow="fold").append(
                f"{wording.clean(each.field)}: {' → '.join(values)}", style=""
            )
        )
    return [*lines, Text()]


def outcomes(done: Sequence[op.ManifestOutcome], *, files: int, would: bool, look: Look) -> RenderableType:
    """What changed, one line each while they are few, and counts by kind. `would`: nothing was kept."""
    changed = [outcome for outcome in done if outcome.change != op.MANIFEST_CHANGE_UNCHANGED]
    parts: list[RenderableType] = []
    # What goes is always named.
    listed = changed if len(changed) <= OUTCOMES_MAX or look.wide else [each for each in changed if _goes(each)]
    if listed:
        table = pieces.table([pieces.column("kind"), pieces.column("name", flex=True), pieces.column("change")])
        for outcome in listed:
            table.add_row(pieces.name(outcome.kind), pieces.name(outcome.name), pieces.state(_change(outcome)))
        parts += [table, Text()]
    parts += [part for outcome in changed if outcome.fields for part in _fields(outcome)]
    parts += [pieces.prose(f"{each.kind} {each.name}: {each.note}") for each in done if each.note][:OUTCOMES_MAX]
    counts = Counter((outcome.kind, _change(outcome)) for outcome in done)
    lines = []
    for kind in sorted({kind for kind, _ in counts}):
        words = [
            f"{wording.count(number)} {word}"
            for word in ("created", "updated", "unchanged", "deleted")
            if (number := counts[kind, word])
        ]
        lines.append(f"{wording.clean(kind)}: {', '.join(words)}")
    head = f"{wording.plural(len(done), 'manifest')} in {wording.plural(files, 'file')}"
    if not done:
        return Text(f"{head}: nothing to apply")
    verdict = "right; applying would give" if would else "applied"
    parts.append(Text(f"✓ {head} {verdict}" + (":" if lines else ""), style="green"))
    parts += [Text(f"  {line}") for line in lines]
    return Group(*parts)


def manifest_table(listing: op.ListManifestsResponse, kind: str, look: Look) -> RenderableType:
    """Applied manifests of one kind with what matters most of their spec."""
    if not listing.manifests:
        return pieces.nothing(f"no {kind} was applied")
    fields = _FIELDS_OF_KIND.get(kind, ())
    table = pieces.table(
        [
            pieces.column("name", flex=True),
            *(pieces.column(title, flex=True) for title, _ in fields),
            pieces.column("generation", justify="right"),
            pieces.column("age", justify="right"),
        ]
    )
    for manifest in listing.manifests:
        spec = _loads(manifest.spec_json)
        table.add_row(
            pieces.name(manifest.name),
            *(pieces.name(_reach(spec, path)) for _, path in fields),
            str(manifest.generation or "built in"),
            wording.duration(manifest.age_s) if manifest.generation else "",
        )
    return table


# Column title → where in the spec; the first that is there is shown.
_FIELDS_OF_KIND: dict[str, tuple[tuple[str, str], ...]] = {
    "Dataset": (("owner", "owner"), ("datastore", "datastore"), ("object", "object")),
    "Datastore": (("engine", "engine type"), ("place", "root path host")),
    "Workflow": (("steps", "steps"),),
    "Migration": (("dataset", "dataset"), ("workflow", "workflow"), ("to", "to.datastore"), ("object", "to.object")),
}


def _reach(spec: Any, alternatives: str) -> str:
    for path in alternatives.split():
        value = spec
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, list):
            return ", ".join(str(item.get("name", "?")) if isinstance(item, dict) else str(item) for item in value)
        if value is not None:
            return str(value)
    return ""


def _loads(text: str) -> Any:
    """JSON that the control plane wrote; what a newer one writes differently is shown as text, not refused."""
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text


def _record(text: str) -> dict[str, Any]:
    value = _loads(text)
    return value if isinstance(value, dict) else {"unreadable": value}


def manifest_page(answer: op.GetManifestResponse) -> RenderableType:
    """One manifest as YAML, as a person would write it, under a line that says how old it is."""
    import yaml

    from controlplane.manifests.kinds.model import API_VERSION

    manifest = answer.manifest
    head = Text(
        f"# generation {manifest.generation}, applied {wording.duration(manifest.age_s)} ago"
        if manifest.generation
        else "# comes with Haulier; a Workflow of this name that is applied wins",
        style=pieces.QUIET,
    )
    document = {
        "apiVersion": API_VERSION,
        "kind": manifest.kind,
        "metadata": {"name": manifest.name, **_record(answer.metadata_json)},
        "spec": _loads(manifest.spec_json),
    }
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return Group(head, pieces.prose(body.rstrip("\n")))
