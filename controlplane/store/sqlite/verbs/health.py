"""Counts, and a proof that writing works, on SQLite."""

from collections import Counter

from controlplane.core.states import shown_state
from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.health import Counts


class SqliteHealthVerbs(Statements):
    """See ``store.verbs.health``."""

    def counts(self) -> Counts:
        migrations: Counter[str] = Counter()
        for state, working, count in self.all("count_migrations"):
            migrations[shown_state(state, working=bool(working))] += count
        return Counts(dict(migrations), dict(self.all("count_steps")), dict(self.all("count_agents")))

    def prove_writable(self, now: float) -> None:
        self.run("prove_writable", f"{now:.6f}")
