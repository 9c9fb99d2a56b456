"""What a role over the data of some owners may see and change: requests are checked, answers are filtered."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from haulier.v1 import operator_pb2 as pb

from controlplane.identity.roles import OWNER_METHODS
from controlplane.rpc.operators import translate
from controlplane.rpc.operators.selecting import chooses, names_in
from controlplane.service.access.ownership import OutOfScope, Owners, Ownership

_SHARED_KINDS = ("Datastore", "Workflow")  # they belong to nobody, hold no secret, and every manifest names them


class Scoping:
    """Checks and filters by method; a method that is not here is refused for such a role."""

    def __init__(self, ownership: Ownership) -> None:
        self._o = ownership
        self._checks: Mapping[str, Callable[[Any, Owners], Awaitable[None]]] = {
            "ValidateManifests": self._files,
            "ApplyManifests": self._files,
            "GetManifest": self._manifest,
            "StartMigrations": self._start,
            "GetMigration": self._migration,
            "CancelMigration": self._migration,
            "RetryMigration": self._migration,
            "RollbackMigration": self._migration,
            "CleanUpMigrations": self._clean_up,
            "AcceptMigration": self._migration,
            "AbandonMigration": self._migration,
            "DeleteManifest": self._delete,
            "Why": lambda request, owners: ownership.require_subject(request.subject, owners),
            "TailLogs": lambda request, owners: ownership.require_attempt(request.attempt_id, owners),
        }
        self._filters: Mapping[str, Callable[[Any, Owners], Awaitable[Any]]] = {
            "ListManifests": self._manifests,
            "ListMigrations": self._migrations,
            "WatchEvents": self._event,
        }
        both = {*self._checks, *self._filters}
        assert {method.rpartition("/")[2] for method in OWNER_METHODS} == both, "every such method is handled here"

    async def check(self, method: str, request: Any, owners: Owners) -> None:
        """Refuse a request that touches other data. Raises ``OutOfScope``."""
        short = method.rpartition("/")[2]
        if method not in OWNER_METHODS:
            whose = ", ".join(sorted(owners))
            raise OutOfScope(f"{short} needs a role over everything; this caller's is over the data of {whose}")
        if short in self._checks:
            await self._checks[short](request, owners)

    async def filtered(self, method: str, response: Any, owners: Owners) -> Any:
        """Return what of an answer may be seen; None when nothing of it."""
        keep = self._filters.get(method.rpartition("/")[2])
        return response if keep is None else await keep(response, owners)

    async def _files(self, request: Any, owners: Owners) -> None:
        if request.prune_labels:
            raise OutOfScope("what a prune deletes may belong to others: it needs a role over everything")
        await self._o.require_files(translate.files_of(request.files), owners)

    async def _migration(self, request: Any, owners: Owners) -> None:
        if not chooses(request):  # what filters find is looked for among the data of these owners alone
            await self._o.require_migrations(names_in(request), owners)

    async def _start(self, request: pb.StartMigrationsRequest, owners: Owners) -> None:
        if not names_in(request) and not chooses(request):
            raise OutOfScope("name the migrations to start: all of them are not this caller's")
        await self._migration(request, owners)

    async def _clean_up(self, request: pb.CleanUpMigrationsRequest, owners: Owners) -> None:
        if request.all or not request.migrations:
            raise OutOfScope("name the migrations to clean up after: all of them are not this caller's")
        await self._o.require_migrations(request.migrations, owners)

    async def _delete(self, request: pb.DeleteManifestRequest, owners: Owners) -> None:
        if request.kind in _SHARED_KINDS:
            raise OutOfScope(f"{request.kind} {request.name} belongs to nobody: a role over everything deletes it")
        await self._manifest(request, owners)

    async def _manifest(self, request: pb.GetManifestRequest | pb.DeleteManifestRequest, owners: Owners) -> None:
        if request.kind in _SHARED_KINDS:
            return
        if request.kind == "Migration":
            await self._o.require_migrations([request.name], owners)
        elif request.kind != "Dataset" or not await self._o.of_datasets([request.name], owners):
            raise OutOfScope(f"{request.kind} {request.name}: not among the data that this caller's role is over")

    async def _manifests(self, response: pb.ListManifestsResponse, owners: Owners) -> pb.ListManifestsResponse:
        names = [view.name for view in response.manifests if view.kind not in _SHARED_KINDS]
        theirs = await self._o.of_datasets(names, owners), await self._o.of_migrations(names, owners)
        of_kind = {"Dataset": theirs[0], "Migration": theirs[1]}
        kept = [v for v in response.manifests if v.kind in _SHARED_KINDS or v.name in of_kind.get(v.kind, ())]
        return pb.ListManifestsResponse(manifests=kept, next_page_token=response.next_page_token)

    async def _migrations(self, response: pb.ListMigrationsResponse, owners: Owners) -> pb.ListMigrationsResponse:
        theirs = await self._o.of_datasets([view.dataset for view in response.migrations], owners)
        kept = [view for view in response.migrations if view.dataset in theirs]
        return pb.ListMigrationsResponse(migrations=kept, next_page_token=response.next_page_token)

    async def _event(self, response: pb.WatchEventsResponse, owners: Owners) -> pb.WatchEventsResponse | None:
        of = json.loads(response.data_json or "{}").get("migration_id") or response.subject
        if not of.startswith("mig_"):
            return None
        return response if await self._o.of_migrations([of], owners) else None
