"""`validate`: prove that the destination holds what was read, by reading both sides again."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pyarrow as pa
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.datastore import Cells, Datastore, Location
from agentd.datastores.port.definitions import left_behind
from agentd.datastores.port.failures import StepFailure, naming_os_errors
from agentd.executors import showing, staging
from agentd.executors.context import Context
from agentd.executors.transform import selected
from agentd.executors.translate import columns, decoded, definition_messages, location, named, opened
from agentd.executors.uses import Uses, datastores_at
from agentd.proof.diff import Reader, differences
from agentd.proof.digests import DatasetDigest
from agentd.proof.types import Columns

DIFFERENCES_MAX = 20

# Failures that say something about the data itself: they fail the check instead of ending the step.
_ABOUT_DATA = {
    "value_does_not_fit",
    "columns_differ",
    "corrupt_file",
    "not_found",
    "unsupported_type",
    "partitions_differ",
}


class _FileBuckets:
    """Buckets of a comparison as files in a directory of the attempt's own: 32 bytes per row of both sides."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        with naming_os_errors("comparing rows", self._directory):
            directory.mkdir(parents=True)

    def add(self, name: str, data: bytes) -> None:
        with naming_os_errors("comparing rows", self._directory), (self._directory / name).open("ab") as file:
            file.write(data)

    def take(self, name: str) -> bytes:
        path = self._directory / name
        if not path.exists():
            return b""
        data = path.read_bytes()
        path.unlink()
        return data


@dataclass(slots=True)
class _Proof:
    """Checks made so far."""

    ctx: Context
    params: k.ValidateParams
    result: k.ValidateResult = field(default_factory=lambda: k.ValidateResult(values_apart=True))
    seen: int = 0

    def check(self, name: str, passed: bool, expected: object, found: object) -> bool:
        self.result.checks.append(k.Check(name=name, passed=passed, expected=str(expected), found=str(found)))
        return passed

    def same(self, name: str, expected: object, found: object) -> bool:
        return self.check(name, expected == found, expected, found)

    def watched(self, batches: Iterator[pa.RecordBatch], stage: str) -> Iterator[pa.RecordBatch]:
        """The batches, with cancel looked at and the watermark moved between them."""
        for batch in batches:
            self.ctx.check_cancelled()
            yield batch
            self.seen += batch.num_rows
            self.ctx.progress(self.seen, stage=stage)

    def reread(self, store: Datastore, where: Location, found: Columns, stage: str) -> DatasetDigest | StepFailure:
        """Digest of a fresh read, or what about the data made it unreadable."""
        digest = DatasetDigest(found)
        try:
            for batch in self.watched(store.read(where, found), stage):
                digest.add(batch)
        except StepFailure as err:
            if err.code in _ABOUT_DATA:
                return err
            raise
        return digest


class Validate:
    """Both sides, read again and compared with what was staged."""

    kind = "validate"
    PARAMS = k.ValidateParams
    BY_DEFAULT = True
    SAFE_TO_REPEAT = "It only reads: source, staged parts and destination."
    UNDO = "It changes nothing, so there is nothing to undo."

    @staticmethod
    def uses(params: k.ValidateParams, undo: bool) -> Uses:
        """It only reads, both sides and what was staged between them."""
        del undo
        fields = ("source.datastore", "extracted.datastore", "loaded.datastore", "destination.datastore")
        return Uses(reads=datastores_at(params, *fields))

    def probe(self, ctx: Context) -> bytes | None:
        """Never done already: a proof is as good as its last reading."""
        del ctx
        return None

    def run(self, ctx: Context) -> bytes:
        """Make every check, name the differences, and fail with the result enclosed if any check failed."""
        params = decoded(k.ValidateParams(), ctx.params)
        proof = _Proof(ctx, params)
        ctx.say(f"reading {named(params.source)} and {named(params.destination)} again")
        source_same = _source_unchanged(proof)
        _transform_repeats(proof)
        destination_same = _destination_holds(proof)
        _fence_stands(proof)
        for question in params.test_queries:
            _answers(proof, question)
        if not destination_same:
            _name_differences(proof, params.loaded, params.destination)
        elif not source_same:
            _name_differences(proof, params.extracted, params.source)
        _name_left_behind(proof)
        for check in proof.result.checks:
            ctx.say(f"ok      {check.name}" if check.passed else f"FAILED  {check.name}: found {check.found}")
        failed = [c for c in proof.result.checks if not c.passed]
        result = proof.result.SerializeToString()
        if failed:
            raise _failure(params, proof.result, failed, result)
        return result

    def undo(self, ctx: Context) -> None:
        """Nothing to undo."""
        del ctx


def _failure(
    params: k.ValidateParams, result: k.ValidateResult, failed: list[k.Check], serialised: bytes
) -> StepFailure:
    first = failed[0]
    said = f"{first.name}: expected {first.expected}, found {first.found}"
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    rows = f"; {result.differences_count} rows differ" if result.differences_count else ""
    return StepFailure(
        "verification_failed",
        f"dataset {params.destination.dataset!r} is not proven: check failed: {said}{more}{rows}",
        "Look at the named rows. What was there before is put back; mend the cause, then retry the migration: it reads "
        "the source again.",
        result=serialised,
    )


def _source_unchanged(proof: _Proof) -> bool:
    params = proof.params
    store = opened(proof.ctx, params.source.datastore, "source")
    found = columns(params.extracted.columns)
    digest = proof.reread(store, location(params.source), found, "reading source")
    if isinstance(digest, StepFailure):
        return proof.check("source unchanged", False, params.extracted.digest.hex(), digest.message)
    proof.result.source_digest = digest.value()
    proof.same("source rows", int(params.extracted.rows), digest.rows)
    return proof.same("source unchanged", params.extracted.digest.hex(), digest.value().hex())


def _transform_repeats(proof: _Proof) -> None:
    params = proof.params
    if not params.transform_sql:
        proof.same("loaded is what was extracted", params.extracted.digest.hex(), params.loaded.digest.hex())
        return
    digest = DatasetDigest(columns(params.loaded.columns))
    _, batches = selected(proof.ctx, params.extracted, params.transform_sql, digest.columns)
    for batch in proof.watched(batches, "repeating transform"):
        digest.add(batch)
    proof.same("transform repeated", params.loaded.digest.hex(), digest.value().hex())


def _destination_holds(proof: _Proof) -> bool:
    params = proof.params
    store = opened(proof.ctx, params.destination.datastore, "destination")
    found = columns(params.loaded.columns)
    digest = proof.reread(store, location(params.destination), found, "reading destination")
    if isinstance(digest, StepFailure):
        proof.check("destination readable", False, "every row in the loaded columns", digest.message)
        return True
    proof.result.rows = digest.rows
    proof.result.destination_digest = digest.value()
    proof.same("rows", int(params.loaded.rows), digest.rows)
    return proof.same("destination digest", params.loaded.digest.hex(), digest.value().hex())


def _fence_stands(proof: _Proof) -> None:
    params = proof.params
    if not params.published_fence:
        return
    store = opened(proof.ctx, params.destination.datastore, "destination")
    record = store.read_fence(location(params.destination), proof.ctx.target)
    found = record.published_fence if record is not None else 0
    proof.same("published fence", int(params.published_fence), found)


def _answers(proof: _Proof, question: k.TestQuery) -> None:
    params = proof.params
    store = opened(proof.ctx, params.destination.datastore, "destination")
    expected = [_expected(question.name, text) for text in question.expected_rows_json]
    found = columns(params.loaded.columns)
    scratch = proof.ctx.directory / "query"
    try:
        rows = store.query(location(params.destination), found, question.sql, scratch)
    except StepFailure as err:
        if err.retryable:
            raise
        check = showing.answer(question.name, expected, [], passed=False, values=False)
        check.found = f"refused: {err.message}"
    else:
        passed, values = _equal(expected, rows), params.show_values
        check = showing.answer(question.name, expected, rows, passed=passed, values=values)
    proof.result.checks.append(check)


def _expected(name: str, text: str) -> Cells:
    try:
        cells = json.loads(text, parse_float=str, parse_int=str)
    except ValueError:
        cells = None
    if not isinstance(cells, list):
        raise StepFailure(
            "bad_params",
            f"test query {name!r}: expected row {text[:60]!r} is not a JSON array",
            'Write each expected row as a JSON array, such as ["2013", "365"].',
        )
    return [c if c is None or isinstance(c, str) else json.dumps(c) for c in cells]


def _equal(expected: list[Cells], found: list[Cells]) -> bool:
    return len(expected) == len(found) and all(
        len(a) == len(b) and all(map(_same_cell, a, b)) for a, b in zip(expected, found, strict=True)
    )


def _same_cell(expected: str | None, found: str | None) -> bool:
    """Equal as text, or as decimal numbers: engines print 2.50 and 2.5 for the same value."""
    if expected == found:
        return True
    if expected is None or found is None:
        return False
    try:
        return Decimal(expected) == Decimal(found)
    except InvalidOperation:
        return False


def _name_left_behind(proof: _Proof) -> None:
    """Note what the source has beside its rows and the destination has not. Why a side cannot be read is in a check."""
    found = []
    for place, staged in (
        (proof.params.source, proof.params.extracted),
        (proof.params.destination, proof.params.loaded),
    ):
        where = replace(location(place), columns=columns(staged.columns))
        try:
            found.append(opened(proof.ctx, place.datastore).definitions(where))
        except StepFailure as err:
            if err.code not in _ABOUT_DATA:
                raise
            return
    proof.result.left_behind.extend(definition_messages(left_behind(*found)))


def _name_differences(proof: _Proof, staged: k.Staged, place: k.DatasetLocation) -> None:
    ctx, found = proof.ctx, columns(staged.columns)
    where = location(place)
    store = opened(ctx, place.datastore)
    expected: Reader = lambda: proof.watched(staging.rows_of(ctx, staged), "naming differences")  # noqa: E731
    actual: Reader = lambda: proof.watched(store.read(where, found), "naming differences")  # noqa: E731
    names = {c.name for c in found}
    key = where.key if where.key and names.issuperset(where.key) else ()
    named = differences(expected, actual, found, key, _FileBuckets(ctx.directory / "diff"), DIFFERENCES_MAX)
    proof.result.differences_count = named.count
    values = proof.params.show_values
    proof.result.differences.extend(showing.difference(row, values=values) for row in named.rows)
