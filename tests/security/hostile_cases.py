"""What a hostile control plane says, by class: grants that must not succeed, and messages that must do nothing."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from haulier.v1 import agent_pb2 as pb
from haulier.v1 import audit_pb2
from haulier.v1 import kinds_pb2 as k

from tests.security.hostile_world import COLUMNS, VARIABLE, HostileWorld
from tests.system.test_hostile_sql import DUCKDB, SQLITE

_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Case:
    """One hostile thing. `answered` is False where the agent rightly says nothing to it."""

    sort: str
    what: str
    message: pb.SessionResponse
    attempt_id: str = ""
    answered: bool = True


def grant(sort: str, what: str, kind: str, params: Any, *, answered: bool = True, **fields: Any) -> Case:
    """A grant that must not succeed."""
    attempt_id = fields.pop("attempt_id", f"att_evil_{next(_NUMBERS)}")
    told: dict[str, Any] = {
        "attempt_id": attempt_id,
        "step_id": "step_evil",
        "migration_id": "mig_evil",
        "step_name": kind[:40],
        "kind": kind,
        "number": 1,
        "fence": 7,
        "target": f"target of {attempt_id}",
        "direction": pb.DIRECTION_FORWARD,
        "params": params if isinstance(params, bytes) else params.SerializeToString(),
        "ttl_s": 60.0,
        "progress_s": 20.0,
    }
    message = pb.SessionResponse(grants=[pb.LeaseGrant(**(told | fields))])
    return Case(sort, what, message, attempt_id, answered)


def csv(root: str, name: str = "exports") -> k.Datastore:
    return k.Datastore(name=name, csv=k.CsvStore(root=root))


def parquet(root: str, name: str = "lake") -> k.Datastore:
    return k.Datastore(name=name, parquet=k.ParquetStore(root=root))


def path_escapes(it: HostileWorld, staged: k.Staged) -> Iterator[Case]:
    """Roots, objects, files of databases and staged parts that lead out of the policy's roots."""
    sort, root, out = "path_escape", str(it.root), str(it.outside)
    roots = [out, "/", "/etc", f"{root}/../outside", f"{root}/exports/../../outside", f"{root}/link", f"{root}/chain"]
    roots += [f"{root}/up", f"{root}/exports/link", "outside", "", f"{root}\0{out}", f"/{out}", f"{root}/./link/."]
    roots += [
        f"/proc/self/root{out}",
        "/proc/self/cwd",
        "/proc/1/root",
        f"{root}/exports/..\u2215outside",
        "~",
        "file://" + out,
    ]
    roots += [f"{root}/exports/\uff0e\uff0e/\uff0e\uff0e/outside", f"{root}/%2e%2e/outside", "/dev/fd", "/dev/shm"]
    for where in roots:
        params = k.ExtractParams(source=it.source("secret.csv", csv(where)), staging=it.staging())
        yield grant(sort, f"source root {where!r}", "extract", params)
    objects = ["../outside/secret.csv", f"{out}/secret.csv", "a/../../../outside/secret.csv", "link/secret.csv"]
    objects += ["secret.csv", "proc.csv", "zero.csv", "pipe.csv", "socket.csv", "", ".", "..", "readings.csv\0", "link"]
    objects += ["_haulier/readings.csv", "/dev/stdin", "/proc/self/environ", "link/deep/secret.csv", "\u202ereadings"]
    for found in objects:
        yield grant(
            sort, f"source {found!r}", "extract", k.ExtractParams(source=it.source(found), staging=it.staging())
        )
    for where in (out, f"{root}/link", f"{root}/staging/out", f"{root}/../new", "/tmp"):
        params = k.ExtractParams(source=it.source(), staging=parquet(where, "staging"))
        yield grant(sort, f"staging {where!r}", "extract", params)
    yield from _databases(it, sort)
    yield from _destinations(it, sort, staged)


def _databases(it: HostileWorld, sort: str) -> Iterator[Case]:
    root, out = it.root, it.outside
    paths = [
        f"{out}/secret.db",
        f"{root}/files/secret.db",
        f"{root}/link/secret.db",
        f"{root}/files/x.db?vfs=unix-none",
    ]
    paths += [
        f"file:{out}/secret.db",
        ":memory:",
        f"{root}/exports/pipe.csv",
        "/dev/zero",
        f"{root}/../outside/secret.db",
    ]
    for path in paths:
        store = k.Datastore(name="files", sqlite=k.SqliteStore(path=path))
        source = k.DatasetLocation(dataset="d", datastore=store, object="things", columns=COLUMNS)
        yield grant(sort, f"SQLite {path!r}", "extract", k.ExtractParams(source=source, staging=it.staging()))
    for path in (
        f"{out}/secret.duckdb",
        f"{root}/files/secret.duckdb",
        "md:hostile",
        f"{root}/link/new.duckdb",
        ":memory:",
    ):
        store = k.Datastore(name="files", duckdb=k.DuckdbStore(path=path))
        source = k.DatasetLocation(dataset="d", datastore=store, object="things", columns=COLUMNS)
        yield grant(sort, f"DuckDB {path!r}", "extract", k.ExtractParams(source=source, staging=it.staging()))


def _destinations(it: HostileWorld, sort: str, staged: k.Staged) -> Iterator[Case]:
    root, out = str(it.root), str(it.outside)
    for store, found in (
        (parquet(out), "new.parquet"),
        (parquet(f"{root}/lake"), "out/new.parquet"),
        (parquet(f"{root}/lake"), "../../outside/new.parquet"),
        (parquet(f"{root}/lake"), f"{out}/new.parquet"),
        (parquet(f"{root}/lake"), "out.parquet"),
        (parquet(f"{root}/lake/out"), "new.parquet"),
        (csv(f"{root}/exports"), "readings.csv"),
        (k.Datastore(name="files", sqlite=k.SqliteStore(path=f"{root}/files/secret.db")), "things"),
        (k.Datastore(name="files", duckdb=k.DuckdbStore(path=f"{root}/files/secret.duckdb")), "things"),
    ):
        where = k.DatasetLocation(dataset="d", datastore=store, object=found)
        params = k.LoadParams(input=staged, destination=where, if_exists=k.IF_EXISTS_REPLACE)
        yield grant(sort, f"destination {store.name} {found!r}", "load", params)
    for directory, file in (
        ("../../outside", "secret.parquet"),
        (out, "secret.parquet"),
        ("out", "secret.parquet"),
        (staged.directory, "../../../../../outside/secret.parquet"),
        (staged.directory, f"{out}/secret.parquet"),
        ("", "secret.parquet"),
    ):
        changed = k.Staged()
        changed.CopyFrom(staged)
        changed.directory = directory
        changed.parts[0].file = file
        params = k.LoadParams(input=changed, destination=it.source("stolen.parquet", it.lake()))
        yield grant(sort, f"staged {directory!r} {file!r}", "load", params)


def programs(it: HostileWorld) -> Iterator[Case]:
    """Programs that nobody named, and values that say more than they may."""
    sort = "program_injection"
    names = ["sh", "/bin/sh", "../../bin/sh", "say;touch x", "say\0sh", "", "SAY", "say ", "$(say)", "/proc/self/exe"]
    for name in names:
        yield grant(sort, f"program {name!r}", "run_program", k.RunProgramParams(program=name, values={"word": "x"}))
    for word in (
        "--version",
        "x\ntouch y",
        "{word}",
        "x\0y",
        "x" * 5000,
        "../../etc",
        "x\u2028y",
        "'quoted'",
        "$HOME",
        "x|y",
    ):
        yield grant(
            sort, f"value {word[:20]!r}", "run_program", k.RunProgramParams(program="say", values={"word": word})
        )
    for values in ({}, {"word": "x", "LD_PRELOAD": "/x.so"}, {"path": "/bin/sh"}, {"word": "x", "sha256": "0" * 64}):
        params = k.RunProgramParams(program="say", values=values)
        yield grant(sort, f"values {sorted(values)}", "run_program", params)


def statements(it: HostileWorld, staged: k.Staged) -> Iterator[Case]:
    """SQL that would leave the parts or the file that it is given."""
    words = {"out": str(it.outside / "stolen"), "table": "things"}
    more = (f"SELECT * FROM read_parquet('{it.outside}/secret.parquet')", f"SELECT * FROM '{it.outside}/secret.csv'")
    for sql in (*(each.format(**words) for each in DUCKDB), *more):
        params = k.TransformParams(input=staged, sql=sql, staging=it.staging())
        yield grant("hostile_sql", sql[:60], "transform", params)
    store = k.Datastore(name="files", sqlite=k.SqliteStore(path=str(it.root / "files" / "own.db")))
    where = k.DatasetLocation(dataset="d", datastore=store, object="things", columns=COLUMNS)
    for sql in (*(each.format(**words) for each in SQLITE), f"ATTACH '{it.outside}/secret.db' AS s"):
        question = k.TestQuery(name="q", sql=sql, expected_rows_json=['["x"]'])
        asked = k.ValidateParams(
            source=it.source(), extracted=staged, loaded=staged, destination=where, test_queries=[question]
        )
        yield grant("hostile_sql", sql[:60], "validate", asked)


def redefinitions(it: HostileWorld, staged: k.Staged) -> Iterator[Case]:
    """A datastore that means something else than the host says, so that its password goes elsewhere."""
    sort, port, ref = "datastore_redefinition", it.rogue.port, f"file:{it.outside}/password"
    usual: dict[str, Any] = {"host": "db.invalid", "database": "warehouse", "user": "haulier", "sslmode": "require"}
    usual["password_ref"] = ref
    changes: list[tuple[str, dict[str, Any]]] = [
        ("warehouse", {"host": "127.0.0.1", "port": port}),
        ("warehouse", {"host": "127.0.0.1", "port": port, "sslmode": "disable"}),
        ("warehouse", {"host": "db.invalid,127.0.0.1", "port": port}),
        ("warehouse", {"host": "localhost", "port": port}),
        ("warehouse", {"host": "db.invalid", "port": port}),
        ("warehouse", {"database": f"host=127.0.0.1 port={port} dbname=warehouse"}),
        ("warehouse", {"database": f"postgresql://127.0.0.1:{port}/warehouse"}),
        ("warehouse", {"user": f"haulier host=127.0.0.1 port={port}"}),
        ("warehouse", {"host": str(it.root)}),
        ("warehouse", {"sslmode": "disable"}),
        ("warehouse", {"password_ref": f"env:{VARIABLE}"}),
        ("open", {"host": "127.0.0.1", "port": port, "sslmode": ""}),
        ("open", {"host": "127.0.0.1", "port": port, "password_ref": f"env:{VARIABLE}"}),
        ("open", {"host": "127.0.0.1", "port": port, "password_ref": "file:/etc/shadow"}),
        ("open", {"host": "127.0.0.1", "port": port, "password_ref": ""}),
        ("exports", {"host": "127.0.0.1", "port": port}),
        ("staging", {"host": "127.0.0.1", "port": port}),
        ("unknown", {"host": "127.0.0.1", "port": port}),
        ("*", {"host": "127.0.0.1", "port": port}),
    ]
    for name, change in changes:
        store = k.Datastore(name=name, postgresql=k.PostgresqlStore(**(usual | change)))
        where = k.DatasetLocation(dataset="d", datastore=store, object="things")
        params = k.LoadParams(input=staged, destination=where)
        yield grant(sort, f"{name} with {sorted(change)}", "load", params)
    refs = [
        f"env:{VARIABLE}",
        "credential:../x",
        f"file:{it.outside}/../outside/password",
        "vault:x",
        f"FILE:{it.outside}",
    ]
    for other in refs:
        store = k.Datastore(name="warehouse", postgresql=k.PostgresqlStore(**(usual | {"password_ref": other})))
        where = k.DatasetLocation(dataset="d", datastore=store, object="t")
        asked = k.ExtractParams(source=where, staging=it.staging())
        yield grant("secret_reference", other[:40], "extract", asked)


def deletions(it: HostileWorld, staged: k.Staged) -> Iterator[Case]:
    """Undos and replaces that would remove what Haulier did not put there, or what the host keeps."""
    sort, undo = "deletion", pb.DIRECTION_UNDO
    home = parquet(f"{it.root}", "staging")
    for migration_id, step_id in (
        ("important", "data"),
        ("mig_1/../important", "data"),
        ("..", "step_x"),
        ("mig_x", ""),
    ):
        params = k.ExtractParams(source=it.source(), staging=home)
        ids: dict[str, Any] = {"migration_id": migration_id, "step_id": step_id}
        yield grant(sort, f"undo of extract {ids}", "extract", params, direction=undo, **ids)
        yield grant(sort, f"extract {ids}", "extract", params, **ids)
    kept = k.DatasetLocation(dataset="d", datastore=csv(f"{it.root}/kept", "kept"), object="readings.csv")
    forged = k.LoadResult(rows=1, published_fence=2**63).SerializeToString()
    load = k.LoadParams(input=staged, destination=kept, if_exists=k.IF_EXISTS_REPLACE)
    yield grant(sort, "replace of what is kept", "load", load)
    yield grant(sort, "undo of what is kept", "load", load, direction=undo, forward_result=forged, fence=2**63 - 1)
    for store in (csv(f"{it.root}/exports"), parquet(str(it.outside)), parquet(f"{it.root}/lake/out")):
        where = k.DatasetLocation(dataset="d", datastore=store, object="readings.csv")
        load = k.LoadParams(input=staged, destination=where)
        yield grant(sort, f"undo at {store.name}", "load", load, direction=undo, forward_result=forged)


def nonsense(it: HostileWorld) -> Iterator[Case]:
    """Kinds that are none, parameters that are none, too many of everything."""
    good = k.ExtractParams(source=it.source(), staging=it.staging()).SerializeToString()
    kinds = ["shell", "exec", "../extract", "extract\n", "", "EXTRACT", "run-program", "extract load", "os.system", "*"]
    for kind in kinds:
        yield grant("unknown_kind", repr(kind), kind, good)
    deep = b""
    for _ in range(120):
        deep = b"\x0a" + bytes([min(len(deep), 127)]) + deep
    for what, params in (
        ("garbage", b"\xff" * 60_000),
        ("zeros", b"\0" * 60_000),
        ("nested", deep),
        ("cut", good[: len(good) // 2]),
        ("text", b"; rm -rf /"),
        ("empty", b""),
        ("a name of 60 kB", k.ExtractParams(source=it.source("x" * 60_000), staging=it.staging()).SerializeToString()),
    ):
        for kind in ("extract", "load"):
            yield grant("oversized", f"{what} for {kind}", kind, params)
    many = k.ExtractParams(source=it.source(), staging=it.staging())
    many.source.columns.extend(k.Column(name=f"c{n}", type=k.COLUMN_TYPE_TEXT) for n in range(3000))
    yield grant("oversized", "3000 columns", "extract", many)
    yield grant("oversized", "a target of 50 kB", "extract", b"", target="x" * 50_000)
    whole = pb.SessionResponse(acknowledged_attempt_ids=["x" * 1000] * 400)
    yield Case("oversized", "a message of 400 kB", whole, answered=False)


def forgeries(it: HostileWorld) -> Iterator[Case]:
    """Fences, ids, numbers and times that no control plane gives."""
    params = k.ExtractParams(source=it.source("absent.csv"), staging=it.staging())
    yield grant("forged_fence", "a high fence first", "extract", params, target="forged", fence=2**63 - 1)
    for fence in (0, 1, 2**62, 2**63 - 2):
        yield grant("forged_fence", f"then {fence}", "extract", params, target="forged", fence=fence)
    for fence in (2**63, 2**64 - 1):
        yield grant("forged_fence", f"no fence at all: {fence}", "extract", params, fence=fence, answered=False)
    for attempt_id in (
        "../../x",
        "att_" + "x" * 100,
        "",
        "att_/x",
        "att_\0",
        "1",
        "att_..",
        "att_x/../../y",
        "journal.db",
    ):
        yield grant("forged_id", repr(attempt_id[:20]), "extract", params, attempt_id=attempt_id, answered=False)
    twice = grant("forged_id", "granted once", "extract", params)
    yield twice
    again = grant("forged_id", "granted again as another", "load", b"", attempt_id=twice.attempt_id, fence=9)
    yield again
    for ttl_s in (float("nan"), float("inf"), -1.0, 0.0, 1e300):
        yield grant("bad_number", f"ttl {ttl_s}", "extract", params, ttl_s=ttl_s, answered=False)
    for name in ("start_to_finish_s", "progress_s"):
        for limit in (float("nan"), -1.0, 1e300):
            yield grant("bad_number", f"{name} {limit}", "extract", params, answered=False, **{name: limit})
    renewals = [
        pb.LeaseRenewal(attempt_id="att_x", fence=7, ttl_s=t, asked_in_sequence=1) for t in (float("nan"), -1e9, 1e308)
    ]
    yield Case("bad_number", "renewals", pb.SessionResponse(renewals=renewals), answered=False)
    second = pb.Welcome(agent_id="ag_2", heartbeat_s=1e-9, disconnected_max_s=float("nan"))
    yield Case("bad_number", "a second welcome", pb.SessionResponse(welcome=second), answered=False)


def directives(it: HostileWorld, bystander: int) -> Iterator[Case]:
    """What is asked besides steps: of nobody's attempts, in unknown words, for releases that are none."""
    sort = "directive"
    unknown = pb.Directive.FromString(b"\xfa\x7f\x04evil")
    upgrade = pb.Directive()
    upgrade.upgrade.SetInParent()
    for field_ in upgrade.upgrade.DESCRIPTOR.fields:
        if field_.type == field_.TYPE_STRING and not field_.is_repeated:
            setattr(upgrade.upgrade, field_.name, "../../../etc/passwd")
    cancel = [pb.CancelAttempt(attempt_id=each, fence=2**64 - 1, reason="x" * 1000) for each in ("att_9", "../x", "")]
    for what, asked in (
        ("an unknown one", [unknown]),
        ("an empty one", [pb.Directive()]),
        ("an upgrade to nothing", [upgrade]),
        ("a thousand empty ones", [pb.Directive()] * 1000),
        ("cancels of nobody's", [pb.Directive(cancel=each) for each in cancel]),
        ("drain and resume", [pb.Directive(drain=pb.Drain(reason="\n\0" * 100)), pb.Directive(resume=pb.Resume())]),
    ):
        yield Case(sort, what, pb.SessionResponse(directives=asked), answered=False)
    yield Case(
        sort, "acknowledged what never was", pb.SessionResponse(acknowledged_attempt_ids=["att_q"] * 99), answered=False
    )
    first = audit_pb2.TreeHead(era=2**64 - 1, size=2**64 - 1, root_hash=b"x", signature=b"y" * 9000, key_id="\n" * 999)
    for head in (
        audit_pb2.ShownHead(head=first),
        audit_pb2.ShownHead(since_size=2**64 - 1, consistency=[b"z" * 40] * 500),
        audit_pb2.ShownHead(head=first, begun=audit_pb2.LogEra(generation=2**64 - 1, public_key=b"\xff" * 99)),
    ):
        yield Case("forged_head", "a head of the audit log", pb.SessionResponse(shown_head=head), answered=False)
    params = k.ExtractParams(source=it.source("absent.csv"), staging=it.staging())
    own = [str(bystander), "att_bystander", "attempts", "..", "../attempts", "*", "", "1", "state", "journal.db", "/"]
    for names in (own, ["att_bystander"] * 500, [str(number) for number in range(400)]):
        yield grant("eviction", f"evicts {len(names)}", "extract", params, evict_attempt_ids=names)


def flood(count: int) -> Iterator[Case]:
    """More grants than anybody has slots for."""
    for start in range(0, count, 200):
        grants = [
            pb.LeaseGrant(
                attempt_id=f"att_flood_{number}",
                kind="shell",
                fence=1,
                direction=pb.DIRECTION_FORWARD,
                ttl_s=60,
                target="t",
            )
            for number in range(start, start + 200)
        ]
        yield Case("flood", f"grants {start} to {start + 199}", pb.SessionResponse(grants=grants), answered=False)


@dataclass(slots=True)
class Counts:
    """How many of a class were sent, how they ended, and what escaped."""

    sent: int = 0
    refused: int = 0
    ignored: int = 0
    allowed: int = 0
    escaped: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    unforeseen: list[str] = field(default_factory=list)
