"""What the shell offers when TAB is pressed at a name: what the verb can take, asked of the control plane, briefly.

It never complains: where nobody answers, nothing is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import typer

from controlplane.cli.screen.problems import Problem

if TYPE_CHECKING:
    from google.protobuf.message import Message

# Longer than this a person would type the name.
_TIMEOUT_S = 1.5

Offer = Callable[[str], list[str]]

# Which verb can do something with a migration in which state.
WATCHED = ("waiting", "running", "cancelling", "rolling_back")
CANCELLED = ("waiting", "running", "failed")
BUSY = (*WATCHED, "failed", "stuck")
RETRIED = ("failed", "stuck")
ROLLED_BACK = ("waiting", "running", "succeeded", "failed")
# The same for rollouts.
STARTED = ("proposed",)
PAUSED = ("running",)
RESUMED = ("paused", "halted")
ENDED = ("proposed", "running", "paused", "halted")
RETURNED = ("running", "paused", "halted", "cancelled", "succeeded")


def migrations(incomplete: str) -> list[str]:
    """Names of migrations that were started."""
    return _migrations()(incomplete)


def migrations_in(*states: str) -> Offer:
    """What offers the names of migrations in some states."""
    return _migrations(*states)


def _migrations(*states: str) -> Offer:
    def offer(incomplete: str) -> list[str]:
        from haulier.v1 import operator_pb2 as op

        listing: Any = _ask(op.ListMigrationsRequest(states=states), op.ListMigrationsResponse)
        return _beginning(incomplete, (row.name for row in listing.migrations))

    return offer


def startable(incomplete: str) -> list[str]:
    """Names of applied Migrations that are not under way: those that ended start again as their next iteration."""
    from haulier.v1 import operator_pb2 as op

    listing: Any = _ask(op.ListManifestsRequest(kind="Migration"), op.ListManifestsResponse)
    started: Any = _ask(op.ListMigrationsRequest(), op.ListMigrationsResponse)
    busy = {row.name for row in started.migrations if row.state in BUSY}
    return _beginning(incomplete, (row.name for row in listing.manifests if row.name not in busy))


def steps(incomplete: str) -> list[str]:
    """Names of migrations, and behind a slash the names of one's steps."""
    from haulier.v1 import operator_pb2 as op

    migration, slash, _ = incomplete.partition("/")
    if not slash:
        return migrations(incomplete)
    found: Any = _ask(op.GetMigrationRequest(migration=migration), op.GetMigrationResponse)
    return _beginning(incomplete, (f"{migration}/{step.name}" for step in found.steps))


def agents(incomplete: str) -> list[str]:
    """Names of agents."""
    return agents_that(lambda _: True)(incomplete)


def agents_that(can: Callable[[Any], bool]) -> Offer:
    """What offers the names of agents of which something is true, by their view."""

    def offer(incomplete: str) -> list[str]:
        from haulier.v1 import operator_pb2 as op

        listing: Any = _ask(op.ListAgentsRequest(), op.ListAgentsResponse)
        return _beginning(incomplete, (row.name for row in listing.agents if can(row)))

    return offer


def serves(agent: Any) -> bool:
    """Whether an agent can be drained."""
    return str(agent.state) == "serving"


def drains(agent: Any) -> bool:
    """Whether an agent can be resumed."""
    return str(agent.state).startswith("drain")


def is_known(agent: Any) -> bool:
    """Whether an agent has an identity that can be taken away."""
    return not str(agent.state).startswith("revoked")


def is_cordoned(agent: Any) -> bool:
    """Whether an agent can be uncordoned."""
    return bool(agent.cordon_reason)


def is_open(agent: Any) -> bool:
    """Whether an agent can be cordoned."""
    return not agent.cordon_reason


def rollouts_in(*states: str) -> Offer:
    """What offers the ids of rollouts in some states; all of them for none."""

    def offer(incomplete: str) -> list[str]:
        from haulier.v1 import fleet_pb2 as fl

        listing: Any = _ask(fl.ListRolloutsRequest(), fl.ListRolloutsResponse)
        found = [row for row in listing.rollouts if not states or row.state in states]
        return _beginning(incomplete, [*{row.fleet for row in found}, *(row.rollout_id for row in found)])

    return offer


def approvals(incomplete: str) -> list[str]:
    """Ids of calls that wait for a second person."""
    from haulier.v1 import access_pb2 as ac

    listing: Any = _ask(ac.ListApprovalsRequest(), ac.ListApprovalsResponse)
    return _beginning(incomplete, (row.approval_id for row in listing.approvals if row.state == "pending"))


def operator_tokens(incomplete: str) -> list[str]:
    """Ids of operator tokens that are good."""
    from haulier.v1 import access_pb2 as ac

    listing: Any = _ask(ac.ListOperatorTokensRequest(), ac.ListOperatorTokensResponse)
    return _beginning(incomplete, (row.token_id for row in listing.tokens if row.state == "good"))


def manifests(kind: str) -> Offer:
    """What offers the names of applied manifests of a kind."""

    def offer(incomplete: str) -> list[str]:
        from haulier.v1 import operator_pb2 as op

        listing: Any = _ask(op.ListManifestsRequest(kind=kind), op.ListManifestsResponse)
        return _beginning(incomplete, (row.name for row in listing.manifests))

    return offer


def words(known: Iterable[str]) -> Offer:
    """What offers words of a fixed list."""
    return lambda incomplete: _beginning(incomplete, known)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def manifests_of_kind(context: typer.Context, incomplete: str) -> list[str]:
    """Names of applied manifests of the kind that stands before them on the command line."""
    return manifests(str(context.params.get("kind") or "").capitalize())(incomplete)


def _ask(request: Message, answer: type[Message]) -> Message:
    """The first page of a list, or an empty one when the control plane cannot be asked."""
    from controlplane.cli.asking.connection import connect

    try:
        with connect(None, timeout_s=_TIMEOUT_S) as operator:
            return operator.call(request, answer, repeatable=False)
    except Problem:
        return answer()
