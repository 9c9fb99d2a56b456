"""Replacing the certificate authority while everybody goes on working."""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.core.events import Event, asked_by
from controlplane.identity.peers import IdentityError
from controlplane.service.access.identities import Identities
from controlplane.service.errors import Precondition
from controlplane.store.port import Store

_NAMED_MAX = 10


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """Where a change stands."""

    fingerprint: str
    ends_in_s: float
    next_fingerprint: str  # empty outside of a change
    bundle_pem: bytes
    waiting_agents: list[str]  # who needs the old one still


class AuthorityChange:
    """One change at a time: ``rotate`` begins it, ``retire`` ends it."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        identities: Identities,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._clock = clock
        self._identities = identities
        self._random_bytes = random_bytes

    async def state(self) -> AuthorityState:
        """Return where the change stands."""
        authorities, wall_now = self._identities.authorities, self._identities.wall_clock()
        waiting: list[str] = []
        if authorities.following is not None:
            key_id = authorities.present.key_id
            waiting = await self._store.read(lambda tx: tx.authority_holders(key_id, wall_now))
        return AuthorityState(
            authorities.present.fingerprint,
            max(0.0, authorities.present.not_after_at - wall_now),
            authorities.following.fingerprint if authorities.following else "",
            authorities.bundle_pem,
            waiting,
        )

    async def rotate(self, reason: str, by: str) -> AuthorityState:
        """Begin a change. Raises ``Precondition`` while one is under way or the key cannot be kept."""
        serial = int.from_bytes(self._random_bytes(16), "big") >> 1
        try:
            following = self._identities.authorities.rotate(now=self._identities.wall_clock(), serial=serial)
        except IdentityError as error:
            raise Precondition(str(error)) from None
        await self._record("AuthorityRotated", following.fingerprint, asked_by(by, reason))
        return await self.state()

    async def retire(self, reason: str, by: str) -> AuthorityState:
        """End a change. Raises ``Precondition`` when there is none, or while an agent would be cut off."""
        waiting = (await self.state()).waiting_agents
        if waiting:
            named = ", ".join(waiting[:_NAMED_MAX])
            others = f" and {len(waiting) - _NAMED_MAX} more" if len(waiting) > _NAMED_MAX else ""
            raise Precondition(
                f"the old authority is still needed by {named}{others}: bring them back so that they renew, revoke "
                "them, or wait until their certificates have ended"
            )
        try:
            retired = self._identities.authorities.finish()
        except IdentityError as error:
            raise Precondition(str(error)) from None
        await self._record("AuthorityRetired", retired, asked_by(by, reason))
        return await self.state()

    async def _record(self, event: str, fingerprint: str, why: str) -> None:
        fact = Event(self._clock(), event, "authority", detail=f"{fingerprint}: {why}")
        await self._store.write(lambda tx: tx.record([fact]))
