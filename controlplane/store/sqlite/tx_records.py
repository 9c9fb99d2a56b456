"""The half of a transaction that keeps records: manifests, agents, tokens, answers, events, read models."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.core.events import Event
from controlplane.core.model import Agent, Requirements
from controlplane.core.states import Liveness, shown_state
from controlplane.core.steps.placement import from_text, to_text
from controlplane.store.port import Conflict, JoinToken, Resource
from controlplane.store.rows import agent_of, agent_row
from controlplane.store.sqlite.queries import named

# Looking a member up is much cheaper than making it, and ten thousand agents are looked at every second.
_LIVENESS = {each.value: each for each in Liveness}


class RecordsTx:
    """Named queries on one connection, and the verbs for records."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.sql = named()
        self._generation: int | None = None

    def run(self, name: str, *values: object) -> int:
        """Run a write; return the rows it changed."""
        return int(self.connection.execute(self.sql[name], values).rowcount)

    def all(self, name: str, *values: object) -> list[Any]:
        """Run a query; return its rows."""
        rows: list[Any] = self.connection.execute(self.sql[name], values).fetchall()
        return rows

    def maybe(self, name: str, *values: object) -> Any:
        """Run a query; return its first row or None."""
        return self.connection.execute(self.sql[name], values).fetchone()

    def one(self, name: str, *values: object) -> Any:
        """Run a query that always has a row."""
        row = self.maybe(name, *values)
        assert row is not None, f"query {name} has always one row"
        return row

    def mappings(self, name: str, *values: object) -> list[Mapping[str, Any]]:
        """Run a query; return its rows as mappings of column to value."""
        cursor = self.connection.execute(self.sql[name], values)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor]

    def resource(self, kind: str, name: str) -> Resource | None:
        """Return one applied manifest."""
        row = self.maybe("resource", kind, name)
        return Resource(*row) if row else None

    def resources(self, kind: str, after: str, limit: int) -> list[Resource]:
        """Return applied manifests of a kind whose names follow ``after``."""
        return [Resource(*row) for row in self.all("resources", kind, after, limit)]

    def all_specs(self) -> dict[tuple[str, str], tuple[int, str, str]]:
        """Return (kind, name) → (generation, digest, spec as JSON)."""
        return {(kind, name): (g, digest, spec) for kind, name, g, digest, spec in self.all("all_specs")}

    def put_resources(self, resources: Sequence[Resource]) -> None:
        """Apply manifests, keeping each generation."""
        self.connection.executemany(self.sql["put_resource"], resources)
        self.connection.executemany(
            self.sql["put_history"], [(r.kind, r.name, r.generation, r.spec, r.applied_at) for r in resources]
        )

    def delete_resource(self, kind: str, name: str) -> None:
        """Delete an applied manifest; its generations stay. Raises ``Conflict`` when it is not there."""
        if self.run("delete_resource", kind, name) != 1:
            raise Conflict(f"{kind} {name} is not applied")

    def generation_spec(self, kind: str, name: str, generation: int) -> str | None:
        """Return the spec of one generation of a manifest as JSON, also of a deleted one."""
        row = self.maybe("generation_spec", kind, name, generation)
        return row[0] if row else None

    def generation_at(self, kind: str, name: str, at: float) -> int:
        """Return which generation of a manifest was applied at an instant; 0 where none was."""
        return int(self.one("generation_at", kind, name, at)[0] or 0)

    def deleted_generations(self) -> dict[tuple[str, str], int]:
        """Return (kind, name) → newest generation of every manifest that was deleted and not applied again."""
        return {(kind, name): generation for kind, name, generation in self.all("deleted_generations")}

    def agent(self, agent_id: str) -> Agent | None:
        """Return one agent."""
        row = self.maybe("agent", agent_id)
        return agent_of(row) if row else None

    def agent_by_name(self, name: str) -> Agent | None:
        """Return one agent by the name it joined with."""
        row = self.maybe("agent_by_name", name)
        return agent_of(row) if row else None

    def agents(self) -> list[tuple[Agent, str]]:
        """Return all agents in order of name, each with its newest sample as JSON."""
        return [(agent_of(row), row[15]) for row in self.all("agents")]

    def watched_agents(self) -> list[tuple[str, Liveness, float]]:
        """Return (id, liveness, last heard at) of every agent."""
        return [(agent_id, _LIVENESS[liveness], at) for agent_id, liveness, at in self.all("watched_agents")]

    def put_agent(self, agent: Agent, now: float) -> None:
        """Keep what is known of an agent; ``now`` is when it joined, for a new one."""
        self.run("put_agent", *agent_row(agent, now))

    def classes(self) -> dict[str, Requirements]:
        """Return all placement classes by name."""
        return {name: from_text(text) for name, text in self.all("classes")}

    def put_class(self, name: str, requirements: Requirements) -> None:
        """Keep a placement class."""
        self.run("put_class", name, to_text(requirements))

    def join_token(self, token_hash: str) -> JoinToken | None:
        """Return a join token by its hash."""
        row = self.maybe("join_token", token_hash)
        return JoinToken(*row) if row else None

    def put_join_token(self, token: JoinToken) -> None:
        """Keep a new join token."""
        self.run("put_join_token", *token)

    def use_join_token(self, token: JoinToken) -> None:
        """Burn a token; raise ``Conflict`` when it was used before."""
        changed = self.run(
            "use_join_token",
            token.used_request_id,
            token.used_key_fingerprint,
            token.used_agent_name,
            token.answer,
            token.hash,
        )
        if changed != 1:
            raise Conflict("the join token was used before")

    def expire_join_tokens(self, now: float) -> None:
        """Let no unused join token be good any longer."""
        self.run("expire_join_tokens", now)

    def answer(self, request_id: str) -> tuple[str, str] | None:
        """Return (method, answer as JSON) of a request that was answered before."""
        row = self.maybe("answer", request_id)
        return (row[0], row[1]) if row else None

    def keep_answer(self, request_id: str, method: str, answer: str, now: float) -> None:
        """Keep the answer to a request for its repeat."""
        self.run("keep_answer", request_id, method, answer, now)

    def events_after(self, position: int, subject: str, limit: int) -> list[tuple[int, Event]]:
        """Return events after a position, of one subject or of all when it is empty."""
        if not subject:
            return self._events("events_after", position, limit)
        if subject.startswith("mig_"):
            return self._events("events_of_migration", subject, position, limit)
        if subject.startswith("step_"):
            return self._events("events_of_step", subject, subject, position, limit)
        return self._events("events_of_subject", subject, position, limit)

    def events_before(self, position: int, subject: str, limit: int) -> list[tuple[int, Event]]:
        """Return events before a position, the newest first, of one subject or of all when it is empty."""
        if not subject:
            return self._events("events_before", position, limit)
        if subject.startswith("mig_"):
            return self._events("events_of_migration_before", subject, position, limit)
        if subject.startswith("step_"):
            return self._events("events_of_step_before", subject, subject, position, limit)
        return self._events("events_of_subject_before", subject, position, limit)

    def _events(self, name: str, *values: object) -> list[tuple[int, Event]]:
        return [(row[0], Event(*row[1:])) for row in self.all(name, *values)]

    def event_types(self) -> list[str]:
        """Return the types of all events that are here."""
        return [row[0] for row in self.all("event_types")]

    def summaries(
        self, states: Sequence[str], after: str, limit: int, *, every_iteration: bool = False
    ) -> list[Mapping[str, Any]]:
        """Return migrations with their progress, in order of creation, after an id; of a name the newest iteration."""
        wanted = json.dumps(list(states), separators=(",", ":"))
        return self._with_results(self.mappings("summaries", after, "", "", wanted, wanted, every_iteration, limit))

    def summary(self, migration_id: str) -> Mapping[str, Any] | None:
        """Return one migration with its progress."""
        rows = self._with_results(self.mappings("summaries", "", migration_id, migration_id, "[]", "[]", True, 1))
        return rows[0] if rows else None

    def _with_results(self, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Add to each migration the results of its extract and validate steps."""
        ids = json.dumps([row["id"] for row in rows])
        results: dict[str, dict[str, bytes]] = {}
        for migration_id, kind, result in self.all("results_of_kind", ids, '["extract", "validate"]'):
            results.setdefault(migration_id, {})[kind] = result
        return [{**row, "results": results.get(row["id"], {})} for row in rows]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return counts by state, as it is shown, of migrations and steps, and of agents by liveness."""
        migrations: Counter[str] = Counter()
        for state, working, count in self.all("count_migrations"):
            migrations[shown_state(state, working=bool(working))] += count
        return {
            "migrations": dict(migrations),
            "steps": dict(self.all("count_steps")),
            "agents": dict(self.all("count_agents")),
        }
