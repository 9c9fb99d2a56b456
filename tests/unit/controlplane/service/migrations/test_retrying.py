"""What a retry takes, where it begins, and what it never changes."""

import pytest
from haulier.v1 import kinds_pb2 as k

from controlplane.manifests.compiling.taking import Taken, taken
from controlplane.service.errors import Precondition
from controlplane.service.migrations.retrying import SOURCE_CHANGED, would_take
from tests.unit.controlplane.service.moving import COLUMNS, FINAL, WRONG, dataset, document, migration, moving, stores
from tests.unit.controlplane.service.room import Room, in_room

DECIMAL = COLUMNS.replace("price, type: int64", 'price, type: "decimal(8,2)"')


def test_set_null_text_then_retry_reads_with_it() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish(FINAL)
        applied = await it.apply(stores("{engine: csv, root: /srv/exports, nullText: NA}"))
        assert "`haulier migration retry move` takes it" in applied.notes["Datastore", "exports"]
        assert [t.field for t in it.see(lambda tx: would_take(tx, it.newest()))] == ["nullText"]
        retried = await it.retry()
        assert retried.again == SOURCE_CHANGED
        assert retried.taken == (Taken("Datastore/exports", "nullText", "", '"NA"'),)
        assert it.params("extract", k.ExtractParams).source.datastore.csv.null_text == "NA"
        assert it.host.grants[-1].step.name == "extract"

    in_room(body)


def test_a_mended_column_is_taken_everywhere_it_counts_and_the_retry_begins_again() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish()
        await it.finish(FINAL)
        await it.apply(dataset(columns=DECIMAL))
        retried = await it.retry()
        assert [each.said() for each in retried.taken] == [
            'Dataset/flights columns.price.type: "int64" -> "decimal(8,2)"'
        ]
        assert [await it.finish() for _ in range(3)] == ["extract", "load", "validate"]
        assert it.state() == "succeeded"
        for place in (
            it.params("extract", k.ExtractParams).source,
            it.params("load", k.LoadParams).destination,
            it.params("validate", k.ValidateParams).source,
        ):
            assert place.columns[1].type == k.COLUMN_TYPE_DECIMAL

    in_room(body)


def test_without_a_change_of_the_source_a_retry_goes_on_where_it_stopped() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish()
        await it.finish(FINAL)
        # Owners and limits are nothing that is read.
        await it.apply(dataset().replace("owner: air", "owner: sea"))
        await it.apply(stores("{engine: csv, root: /srv/exports, concurrencyMax: 3}"))
        retried = await it.retry()
        assert (retried.again, retried.taken) == ("", ())
        assert it.host.grants[-1].step.name == "load"

    in_room(body)


def test_the_destination_the_workflow_and_the_migration_stay_as_they_were_started() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish(FINAL)
        elsewhere = stores("{engine: csv, root: /srv/other}").replace("/srv/warehouse.db", "/srv/other.db")
        await it.apply(elsewhere.replace("retry: {attempts: 1}", "retry: {attempts: 9}"), migration(to="other"))
        retried = await it.retry()
        assert [(each.manifest, each.field) for each in retried.taken] == [("Datastore/exports", "root")]
        for _ in range(2):
            await it.finish()
        destination = it.params("load", k.LoadParams).destination
        assert (destination.datastore.duckdb.path, destination.object) == ("/srv/warehouse.db", "flights")
        assert it.params("extract", k.ExtractParams).source.datastore.csv.root == "/srv/other"
        assert it.see(lambda tx: tx.step_named(it.newest().id, "load")).attempts_max == 1

    in_room(body)


def test_what_was_taken_once_is_not_taken_again() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish(FINAL)
        await it.apply(dataset(columns=DECIMAL))
        assert (await it.retry()).taken
        await it.finish(FINAL)
        assert not (await it.retry()).taken

    in_room(body)


def test_a_dataset_that_moved_to_another_datastore_is_read_there_by_whoever_reaches_it() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish(FINAL)
        home = document("Datastore", "lake", "{engine: parquet, root: /srv/lake}")
        await it.apply(home, dataset().replace("datastore: exports", "datastore: lake"))
        retried = await it.retry()
        assert retried.taken[0].field == "datastore"
        assert it.newest().source == "lake"
        assert it.params("extract", k.ExtractParams).source.datastore.parquet.root == "/srv/lake"
        extract = it.see(lambda tx: tx.step_named(it.newest().id, "extract"))
        assert "lake" in it.see(lambda tx: tx.classes())[extract.placement_class].datastores

    in_room(body)


def test_after_a_failed_proof_the_former_content_is_back_and_a_retry_reads_the_source_anew() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish()
        await it.finish()
        await it.finish(WRONG)
        assert [await it.finish(), await it.finish()] == ["load", "extract"]
        assert it.newest().reason == "step validate: 3 rows differ; the former content is back"
        retried = await it.retry()
        assert retried.again == "what it had done was put back, so it reads the source again"
        detail = await room.queries.migration("move")
        assert not detail.results, "a later undo must not look for what was withdrawn"
        assert [await it.finish() for _ in range(3)] == ["extract", "load", "validate"]
        assert it.state() == "succeeded"

    in_room(body)


def test_a_cancel_after_a_retry_that_began_again_still_knows_what_to_undo() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish()
        await it.finish(FINAL)
        await it.apply(dataset(columns=DECIMAL))
        await it.retry()
        await it.undo(ask="MigrationCancelAsked")
        assert it.state() == "cancelled"
        assert all(lease.params for lease in it.host.grants)

    in_room(body)


def test_a_source_that_no_longer_fits_is_said_before_anything_moves() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish(FINAL)
        room.store.batcher.connection.execute("DELETE FROM resource WHERE kind = 'Dataset'")
        with pytest.raises(Precondition, match="its source side as applied now does not fit: there is no Dataset"):
            await it.retry()
        assert it.state() == "failed"

    in_room(body)


def test_a_store_of_before_has_no_basis_and_compares_with_what_was_applied_at_the_start() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.finish(FINAL)
        room.store.batcher.connection.execute("DELETE FROM basis")
        assert not it.see(lambda tx: would_take(tx, it.newest()))
        await it.apply(dataset(columns=DECIMAL))
        assert [each.field for each in it.see(lambda tx: would_take(tx, it.newest()))] == ["columns.price.type"]

    in_room(body)


def test_what_is_taken_is_told_field_by_field() -> None:
    old = '{"columns":[{"name":"a","type":"text"},{"name":"b","type":"text"}],"key":["a"],"owner":"x"}'
    new = '{"columns":[{"name":"b","type":"text"},{"name":"a","type":"text"}],"key":["b"],"owner":"y"}'
    long = '{"engine":"csv","root":"/' + "r" * 200 + '"}'
    told = [each.said() for each in taken(("d", old, new), ("s", '{"engine":"csv","root":"/a"}'), ("s", long))]
    assert told[0] == 'Dataset/d columns (order): ["a", "b"] -> ["b", "a"]'
    assert told[1] == 'Dataset/d key: ["a"] -> ["b"]'
    assert told[2].startswith('Datastore/s root: "/a" -> "/rrr') and told[2].endswith("…") and len(told[2]) < 140
