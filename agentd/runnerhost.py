"""The warm runner: its own process without grpc, which loads the heavy libraries once and forks a child per
attempt.

Composition root of the child's side: here a forked child meets the executors and the host's policy.
"""

import argparse
import contextlib
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from haulier.v1 import kinds_pb2

from agentd.datastores.engines import ENGINES, place_asked
from agentd.datastores.port.failures import Cancelled, Fenced, StepFailure, no_room
from agentd.disk.free_space import is_full
from agentd.enforcement.allowing import rule_of, touched
from agentd.enforcement.enclosing import enclose
from agentd.enforcement.program_runner import ProgramRunner, openings_for, rule_for, words_for
from agentd.executors import registry
from agentd.executors.context import Context, ProgramEnded
from agentd.executors.mounts import PLACES
from agentd.executors.registry import StepKind
from agentd.executors.uses import Uses
from agentd.installation.release_tree import own_tree
from agentd.policy import reading
from agentd.policy.beneath import is_beneath
from agentd.policy.host_policy import Policy
from agentd.policy.kinds import KindRule
from agentd.policy.refusals import PolicyBroken, PolicyRefused
from agentd.runner.child import ChildSide, DeadlinePassed, Execute, StopRequested, run_child, stopped_outcome
from agentd.runner.fork_server import ForkServer
from agentd.runner.secrets import SecretUnavailable

# Loaded before the first fork, so that no child pays for it. Nothing here opens a database or starts a thread
# that a child would miss.
PRELOADED = (
    *("pyarrow", "pyarrow.parquet", "pyarrow.compute", "duckdb", "psutil"),
    *(module for engine in ENGINES.values() for module in engine.preload),
)

Kinds = Mapping[str, StepKind]
Load = Callable[[], Kinds]


class Callbacks:
    """The calls back to the agent that a context holds: one attempt at a step that `uses` so much, under this host's
    policy."""

    def __init__(self, side: ChildSide, policy: Policy, uses: Uses) -> None:
        self._side = side
        self._policy = policy
        self._declared = [thing for thing, _, _ in uses.things()]

    def context(self) -> Context:
        """What the executor is given."""
        grant = self._side.grant
        return Context(
            attempt_id=grant.attempt_id,
            step_id=grant.step_id,
            migration_id=grant.migration_id,
            number=grant.number,
            fence=grant.fence,
            target=grant.target,
            params=grant.params,
            directory=self._side.files.path,
            forward_result=grant.forward_result,
            evict_attempt_ids=grant.evict_attempt_ids,
            discard_changes=grant.discard_changes,
            # Beside the attempts' directories, in the agent's state directory.
            places=self._side.files.path.parent.parent / PLACES,
            progress=self.progress,
            check_cancelled=self.check_cancelled,
            resolve_secret=self.resolve_secret,
            datastore_secret=self.datastore_secret,
            allow_datastore=self.allow_datastore,
            before_destructive=self.before_destructive,
            reach=self._side.reach,
            outside=self._side.outside,
            run_program=self.run_program,
            say=print,
        )

    def progress(self, watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
        """Say how far the work is; raises Cancelled when it should stop."""
        most = self._policy.limits.rows_max
        if most and watermark > most:
            message = f"the step has handled more than the {most} rows that this host allows one attempt"
            raise StepFailure("rows_limit", message, _limit_hint("rows_max", self._policy))
        with _in_words_of_executors():
            self._side.progress(watermark, total, done_bytes, stage)

    def check_cancelled(self) -> None:
        """Raise Cancelled when this attempt should stop."""
        with _in_words_of_executors():
            self._side.check_cancelled()

    def resolve_secret(self, ref: str) -> str:
        """The value behind a reference that this host's policy allows; raises StepFailure."""
        with _in_words_of_executors():
            self._policy.check_secret(ref)
            return self._side.resolve_secret(ref)

    def datastore_secret(self, datastore: kinds_pb2.Datastore) -> str:
        """The value behind a datastore's reference, if this host lets a datastore that is defined so have it."""
        with _in_words_of_executors():
            asked = place_asked(datastore)
            self._policy.check_datastore_secret(asked)
            return self._side.resolve_secret(asked.secret)

    def run_program(self, name: str, values: Mapping[str, str], undo: bool) -> ProgramEnded | None:
        """Run a program that this host names, or its undo; raises StepFailure or Cancelled."""
        with _in_words_of_executors():
            return ProgramRunner(self._side, self._policy).run(name, values, undo)

    def allow_datastore(self, datastore: kinds_pb2.Datastore) -> None:
        """Raise StepFailure unless the step said that it uses this datastore, and this host's policy lets it."""
        if datastore not in self._declared:
            raise undeclared(self._side.grant.kind, f"the datastore {datastore.name!r}")
        with _in_words_of_executors():
            path = self._policy.check_place(place_asked(datastore))
            if path is not None:
                self._policy.check_room(path)

    def before_destructive(self) -> None:
        """Return only while the lease can be relied on; raises StepFailure or Cancelled."""
        with _in_words_of_executors():
            self._side.before_destructive()


def _limit_hint(key: str, policy: Policy) -> str:
    return f"{policy.owner} can raise {key} in {policy.path}; or move less at a time"


@contextlib.contextmanager
def _in_words_of_executors() -> Any:
    try:
        yield
    except StopRequested as error:
        raise Cancelled(str(error)) from error
    except PolicyRefused as error:
        raise StepFailure("policy_refused", str(error), error.hint) from error
    except SecretUnavailable as error:
        hint = "set the secret on the agent's host; only its reference belongs in a manifest"
        raise StepFailure("secret_unavailable", str(error), hint) from error
    except DeadlinePassed as error:
        hint = "nothing to mend: the step is tried again under a new lease"
        raise StepFailure("lease_expired", str(error), hint, retryable=True) from error


def undeclared(kind: str, what: str) -> StepFailure:
    """Failure for a step that was kept from something because its kind does not say that it uses it."""
    return StepFailure(
        "not_declared",
        f"a step of kind {kind!r} was kept from {what}: its class does not say that its steps use it",
        "Return it from the method `uses` of the class (host policy, Step kinds of your own), and install that.",
    )


def executing(kinds: Kinds) -> Execute:
    """How a child runs its attempt with these step kinds."""

    def execute(side: ChildSide) -> Any:
        try:
            return side.succeeded(_run(side, kinds))
        except Cancelled:
            return stopped_outcome(side, side.stop_reason or "told to stop")
        except Fenced as error:
            return side.fenced(error.message, error.hint)
        except StepFailure as error:
            return side.failed(
                error.code,
                error.message,
                error.hint,
                retryable=error.retryable,
                unreachable=error.unreachable,
                result=error.result,
            )
        except OSError as error:
            if not is_full(error):
                raise
            full = no_room("writing what the attempt needs for itself", side.files.path)
            return side.failed(full.code, full.message, full.hint, retryable=full.retryable)

    return execute


def _run(side: ChildSide, kinds: Kinds) -> bytes:
    grant = side.grant
    try:
        policy = reading.load(Path(side.spec.settings.policy_path), own_tree())
        kind = kinds.get(grant.kind)
        policy.check_kind(grant.kind, KindRule() if kind is None else rule_of(kind))
        policy.check_room(side.files.path)
        if kind is None:
            raise StepFailure("unknown_kind", f"step kind {grant.kind!r} is not installed on this host")
        for name in (name for engine in ENGINES.values() for name in engine.secret_variables):
            # A library would find a password by itself, and give it to whatever server it was told to call.
            os.environ.pop(name, None)
        side.keep_limits(policy.limits)
        uses = kind.uses_of(grant.params, grant.direction == "undo")
        _enclose(side, policy, uses)
    except PolicyBroken as error:
        raise StepFailure("policy_broken", str(error), "the owner of this host must mend it") from error
    except PolicyRefused as error:
        raise StepFailure("policy_refused", str(error), error.hint) from error
    try:
        return _carried_out(kind, Callbacks(side, policy, uses).context(), grant.direction == "undo")
    except PermissionError as error:
        if _is_declared(error, uses):
            raise
        raise undeclared(kind.name, str(error.filename or "a server")) from error


def _carried_out(kind: StepKind, context: Context, undo: bool) -> bytes:
    executor = kind.make()
    if undo:
        executor.undo(context)
        return b""
    done = executor.probe(context)
    return executor.run(context) if done is None else done


def _is_declared(error: PermissionError, uses: Uses) -> bool:
    """Whether the step may use what it was kept from, as far as its declaration goes: then the agent's user may not."""
    if not isinstance(error.filename, str):
        return False
    # What the file's mode lets it read, and the sandbox too, it wanted to write.
    reads_only = os.access(error.filename, os.R_OK) or not Path(error.filename).exists()
    paths = [thing for thing, writes, _ in uses.things() if isinstance(thing, str) and (writes or not reads_only)]
    return is_beneath(Path(error.filename), paths)


def _enclose(side: ChildSide, policy: Policy, uses: Uses) -> None:
    """Judge what the step says that it uses, as a whole, then let the kernel hold it to that."""
    directory, program = side.files.path, uses.host_program
    openings = None
    if program is not None:
        rule = rule_for(policy, program.name, side.grant.direction == "undo")
        if rule is None:
            return
        words_for(policy, rule, program.values)
        openings = openings_for(policy, rule, program.values)
    enclose(policy, touched(policy, uses), directory, uses, openings)


def _installed_kinds() -> Kinds:
    return registry.kinds()


def main(arguments: Sequence[str], load: Load = _installed_kinds, preloaded: Sequence[str] = PRELOADED) -> None:
    """Serve the daemon at the inherited socket until it hangs up or nothing happens for a while."""
    parser = argparse.ArgumentParser(prog="agentd.runnerhost")
    parser.add_argument("--partner", type=int, required=True)
    parser.add_argument("--attempts", type=Path, required=True)
    parser.add_argument("--idle", type=float, required=True)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kinds, problems = _loaded(load, preloaded)
    # A child may have no room to write: on a full disk or beyond its limit the interpreter would cut short the compiled
    # form of whatever it imports late, and nobody could import that any more.
    sys.dont_write_bytecode = True

    def run(path: Path) -> NoReturn:
        run_child(path, executing(kinds))

    with socket.socket(fileno=given.partner) as partner:
        server = ForkServer(partner, given.attempts, given.idle, run)
        server.serve({"kinds": {name: _rule(kind) for name, kind in kinds.items()}, "problems": problems})


def _rule(kind: StepKind) -> dict[str, Any]:
    """What the daemon's policy must know of a kind."""
    rule = rule_of(kind)
    return {"allowed_with": sorted(rule.allowed_with), "needs_programs": rule.needs_programs}


def _loaded(load: Load, preloaded: Sequence[str]) -> tuple[Kinds, list[str]]:
    problems = []
    for name in preloaded:
        try:
            importlib.import_module(name)
        except ImportError as error:
            problems.append(f"{name} cannot be loaded: {error}")
    try:
        return load(), problems
    except Exception as error:  # noqa: BLE001 - a broken step kind of anybody's must not keep the daemon from saying so
        return {}, [*problems, f"step kinds cannot be loaded: {error}"]


if __name__ == "__main__":
    main(sys.argv[1:])
