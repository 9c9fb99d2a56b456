"""One transaction on SQLite."""

from controlplane.store.sqlite.verbs.access import SqliteAccessVerbs
from controlplane.store.sqlite.verbs.agents import SqliteAgentVerbs
from controlplane.store.sqlite.verbs.attempts import SqliteAttemptVerbs
from controlplane.store.sqlite.verbs.audit import SqliteAuditVerbs
from controlplane.store.sqlite.verbs.clean_up import SqliteCleanUpVerbs
from controlplane.store.sqlite.verbs.events import SqliteEventVerbs
from controlplane.store.sqlite.verbs.health import SqliteHealthVerbs
from controlplane.store.sqlite.verbs.inventory import SqliteInventoryVerbs
from controlplane.store.sqlite.verbs.migrations import SqliteMigrationVerbs
from controlplane.store.sqlite.verbs.retention import SqliteRetentionVerbs
from controlplane.store.sqlite.verbs.rollouts import SqliteRolloutVerbs
from controlplane.store.sqlite.verbs.steps import SqliteStepVerbs
from controlplane.store.sqlite.verbs.store import SqliteStoreVerbs


class SqliteTx(
    SqliteStepVerbs,
    SqliteAttemptVerbs,
    SqliteMigrationVerbs,
    SqliteCleanUpVerbs,
    SqliteInventoryVerbs,
    SqliteAgentVerbs,
    SqliteAccessVerbs,
    SqliteRolloutVerbs,
    SqliteEventVerbs,
    SqliteAuditVerbs,
    SqliteRetentionVerbs,
    SqliteHealthVerbs,
    SqliteStoreVerbs,
):
    """See ``store.port.Tx``; one object serves one connection for its whole life."""
