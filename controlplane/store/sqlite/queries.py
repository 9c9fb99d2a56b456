"""Every statement under its name, read from ``queries/*.sql``, a file for each subject.

A file holds blocks that begin with ``-- name: NAME`` and one line of purpose. ``{step}`` stands for the columns of a
step in the order in which ``rows`` reads them, ``{s.step}`` for those of the table alias ``s``, ``{?step}`` for as many
parameters. A limit is written ``LIMIT +?``: SQLite plans by the value of a bare ``?`` there, and so compiles the
statement again for every call, which costs ten times the query.
"""

import re
from functools import cache
from importlib.resources import files

from controlplane.core.audit.heads import LogEra, TreeHead
from controlplane.core.events import Event
from controlplane.core.migrations.clean_up import Kept
from controlplane.store.rows.agents import AGENT_COLUMNS, HOST_COLUMNS
from controlplane.store.rows.attempts import ATTEMPT_COLUMNS, REPORT_COLUMNS
from controlplane.store.rows.migrations import MIGRATION_COLUMNS
from controlplane.store.rows.rollouts import ROLLOUT_COLUMNS, ROLLOUT_HOST_COLUMNS
from controlplane.store.rows.steps import STEP_COLUMNS
from controlplane.store.verbs.access import Approval, Certificate, JoinToken, OperatorToken
from controlplane.store.verbs.inventory import Resource

_COLUMNS = {
    "agent": AGENT_COLUMNS,
    "approval": Approval._fields,
    "attempt": ATTEMPT_COLUMNS,
    "audit_era": LogEra._fields,
    "audit_head": TreeHead._fields,
    "certificate": Certificate._fields,
    "event": Event._fields,
    "host": HOST_COLUMNS,
    "join_token": JoinToken._fields,
    "kept": Kept._fields,
    "migration": MIGRATION_COLUMNS,
    "operator": OperatorToken._fields,
    "report": REPORT_COLUMNS,
    "resource": Resource._fields,
    "rollout": ROLLOUT_COLUMNS,
    "rollout_host": ROLLOUT_HOST_COLUMNS,
    "step": STEP_COLUMNS,
}
_BLOCK = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"\{(?:(\w+)\.|(\?))?(\w+)\}")


@cache
def named() -> dict[str, str]:
    """Return every statement by name; a name defined twice is our own error."""
    statements: dict[str, str] = {}
    for file in sorted(files("controlplane.store.sqlite").joinpath("queries").iterdir(), key=lambda f: f.name):
        for name, text in _BLOCK.findall(file.read_text(encoding="utf-8")):
            assert name not in statements, f"query {name} is defined twice"
            lines = [line for line in text.splitlines() if not line.startswith("--")]
            statement = " ".join(" ".join(lines).split()).rstrip(";")
            statements[name] = _PLACE.sub(_columns, statement)
    return statements


def _columns(place: re.Match[str]) -> str:
    alias, parameters, subject = place.groups()
    columns = _COLUMNS[subject]
    if parameters:
        return ", ".join("?" for _ in columns)
    return ", ".join(f"{alias}.{column}" if alias else column for column in columns)
