"""Where steps write: one record per write target, with the fence rules of the real ledgers (``agentd.datastores``).

A writer claims (raising the fence), publishes in a short transaction that checks its claim once more, or withdraws,
which restores what was there before its migration. Contents are plain strings; a publish of one step is always the
same string, so that a repeated run is seen to equal one run. Others may write to what was published, put something else
in its place, or lose the records: undo and publish tell what was published by its identity and its content.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


class Refused(Exception):
    """The destination has accepted a newer writer of this target."""


class Obstructed(Exception):
    """The destination cannot do this now or ever; ``code`` as a real datastore would say it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes; ``step_id`` is the whole identity of what it would publish."""

    attempt_id: str
    step_id: str
    migration_id: str
    fence: int


@dataclass(slots=True)
class Publication:
    """What one migration has at a target. ``kept`` is the content that was there before it."""

    migration_id: str
    step_id: str
    kept: str
    place: int
    identity: int = 0  # of the object that it made
    kept_identity: int = 0
    is_kept_there: bool = True
    is_cleaned: bool = False  # a clean-up took what was kept


@dataclass(slots=True)
class Target:
    """One write target at its destination."""

    name: str
    fenced: bool
    content: str
    initial: str
    fence: int = 0
    holder: str = ""  # attempt id of the newest accepted writer
    publications: dict[str, Publication] = field(default_factory=dict)
    places: int = 0
    transaction: str = ""  # attempt id whose publish transaction is open
    effects: list[tuple[str, str, int]] = field(default_factory=list)  # what, attempt id, fence
    identity: int = 0  # of the object that is there
    objects: int = 0
    withdrawn: dict[str, int] = field(default_factory=dict)  # migration → fence that withdrew it
    parts: set[str] = field(default_factory=set)  # steps whose staged parts lie here

    def newest(self) -> Publication | None:
        """The publication that readers see."""
        return max(self.publications.values(), key=lambda each: each.place, default=None)

    def is_as_published(self, own: Publication) -> bool:
        """Whether what is there is what was published, as it was published."""
        return self.identity == own.identity and self.content == content_of(own.step_id)

    # What others do.

    def write(self, more: str) -> None:
        """Somebody writes to what is there."""
        self.content += more

    def replace(self, content: str) -> None:
        """Somebody puts another object in its place."""
        self.objects += 1
        self.content, self.identity = content, self.objects

    def forget(self) -> None:
        """Somebody loses the records of what was published. The fence is elsewhere."""
        self.publications.clear()
        self.withdrawn.clear()


Told = Callable[[Target, str, Writer], None]


class Destinations:
    """All targets. ``told`` hears every effect right after it, for the checks."""

    def __init__(self, told: Told) -> None:
        self.targets: dict[str, Target] = {}
        self.away: set[str] = set()  # first parts of the names of targets that cannot be reached now
        self._told = told

    def add(self, name: str, *, fenced: bool, initial: str) -> Target:
        """Create a target with what is there before anybody moves anything."""
        return self.targets.setdefault(name, Target(name, fenced, initial, initial))

    def is_away(self, name: str) -> bool:
        """Whether nobody can reach the target now: its server is down, or its file system not mounted."""
        return name.partition("/")[0] in self.away

    def is_blocked(self, name: str, writer: Writer) -> bool:
        """Whether somebody else's open publish transaction keeps a writer waiting."""
        holder = self.targets[name].transaction
        return bool(holder) and holder != writer.attempt_id

    def evict(self, name: str, attempt_ids: tuple[str, ...]) -> None:
        """End an open transaction of one of these attempts, as ``pg_terminate_backend`` does."""
        if self.targets[name].transaction in attempt_ids:
            self.targets[name].transaction = ""

    def require_not_stale(self, name: str, writer: Writer) -> None:
        """Refuse a stale writer by reading alone."""
        target = self.targets[name]
        newer = target.fence > writer.fence
        if newer or (target.fence == writer.fence and target.holder != writer.attempt_id):
            raise Refused(f"{name} has accepted fence {target.fence} of {target.holder}")

    def claim(self, name: str, writer: Writer) -> None:
        """Raise the fence to the writer's."""
        self.require_not_stale(name, writer)
        target = self.targets[name]
        target.fence, target.holder = writer.fence, writer.attempt_id
        self._told(target, "claim", writer)

    def adopt(self, name: str, writer: Writer) -> bool:
        """Take over this migration's own publish of the same step; False where it is not what is there."""
        self._hold(name, writer)
        newest = self.targets[name].newest()
        # Its rows are left to a later check, which reads them all.
        identity = self.targets[name].identity
        return newest is not None and newest.step_id == writer.step_id and newest.identity == identity

    def begin(self, name: str, writer: Writer) -> None:
        """Open the publish transaction: our claim stands, and nobody can claim until it ends."""
        self._hold(name, writer)
        self.targets[name].transaction = writer.attempt_id

    def publish(self, name: str, writer: Writer) -> None:
        """Commit what ``begin`` opened: the step's content becomes the target's."""
        target = self._committing(name, writer)
        own, newest = target.publications.get(writer.migration_id), target.newest()
        if own is not None and own is not newest:
            raise Obstructed("published_over")
        if own is not None and not target.is_as_published(own):
            raise Obstructed("not_as_published")
        kept, identity = (own.kept, own.kept_identity) if own is not None else (target.content, target.identity)
        is_kept_there, is_cleaned = own is None or own.is_kept_there, own is not None and own.is_cleaned
        target.places += 1
        target.replace(content_of(writer.step_id))
        target.publications[writer.migration_id] = Publication(
            writer.migration_id,
            writer.step_id,
            kept,
            target.places,
            target.identity,
            identity,
            is_kept_there,
            is_cleaned,
        )
        self._told(target, "publish", writer)

    def withdraw(self, name: str, writer: Writer, published_fence: int, *, discards: bool) -> None:
        """Commit what ``begin`` opened: restore what was there before this migration. Harmless twice or for nothing.

        ``published_fence`` is that of the publish that was reported, 0 for none; ``discards`` is a person's consent.
        """
        target = self._committing(name, writer)
        own, newest = target.publications.get(writer.migration_id), target.newest()
        if own is not None:
            if own is not newest:
                raise Obstructed("published_over")
            if not (discards or target.is_as_published(own)):
                raise Obstructed("not_as_published")
            if not own.is_kept_there:
                if own.is_cleaned:
                    self._told(target, "withdraw in vain", writer)
                raise Obstructed("kept_missing")
            target.content, target.identity = own.kept, own.kept_identity
            del target.publications[writer.migration_id]
            target.withdrawn[writer.migration_id] = writer.fence
        elif published_fence and target.withdrawn.get(writer.migration_id, -1) < published_fence:
            raise Obstructed("records_missing")
        self._told(target, "withdraw", writer)

    def stage(self, name: str, writer: Writer) -> None:
        """Leave parts for later steps."""
        self.targets[name].parts.add(writer.step_id)

    def drop_parts(self, name: str, writer: Writer, of_step: str) -> None:
        """Remove what a step staged. Harmless twice."""
        self._hold(name, writer)
        self.targets[name].parts.discard(of_step)
        self._told(self.targets[name], "remove parts", writer)

    def drop_former(self, name: str, writer: Writer) -> None:
        """Commit what ``begin`` opened: what this migration kept for undo is gone. Harmless twice or for nothing."""
        target = self._committing(name, writer)
        own = target.publications.get(writer.migration_id)
        if own is not None and own.kept:
            own.is_kept_there, own.is_cleaned = False, True
        self._told(target, "remove former", writer)

    def kept_former(self, name: str, writer: Writer) -> bool:
        """Whether what this migration published keeps for undo what was there before."""
        own = self.targets[name].publications.get(writer.migration_id)
        return own is not None and bool(own.kept)

    def put_unfenced(self, name: str, writer: Writer, *, undo: bool) -> None:
        """An effect at a place that can check no fence: it just happens."""
        target = self.targets[name]
        if undo:
            target.publications.pop(writer.migration_id, None)
            newest = target.newest()
            target.content = content_of(newest.step_id) if newest else target.initial
        else:
            target.places += 1
            target.publications[writer.migration_id] = Publication(
                writer.migration_id, writer.step_id, target.initial, target.places
            )
            target.content = content_of(writer.step_id)
        self._told(target, "withdraw" if undo else "publish", writer)

    def drop_transactions(self, attempt_id: str) -> None:
        """The process is gone: what it had open is rolled back."""
        for target in self.targets.values():
            if target.transaction == attempt_id:
                target.transaction = ""

    def _hold(self, name: str, writer: Writer) -> None:
        target = self.targets[name]
        if (target.fence, target.holder) != (writer.fence, writer.attempt_id):
            raise Refused(f"fence {target.fence} of {target.holder} was accepted since")

    def _committing(self, name: str, writer: Writer) -> Target:
        target = self.targets[name]
        if target.transaction != writer.attempt_id:
            # Evicted while the transaction was open.
            raise Refused(f"the transaction of {writer.attempt_id} was ended by its successor")
        target.transaction = ""
        return target


def content_of(step_id: str) -> str:
    """What a step publishes, whichever attempt does it."""
    return f"rows of {step_id}"
