"""Whether this control plane can do its work, and if not, why: each reason in words.

Liveness asks nobody: a slow disk or a lost database is not a reason to be killed.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.service.health.loop_health import LoopHealth
from controlplane.service.health.store_proof import StoreProof

# A loop is late when it has not passed for this much longer than its period.
LOOP_LATE_S = 30.0
DISK_FREE_BLOCKS_BYTES = 16 * 1024 * 1024
DISK_FREE_WARNS_BYTES = 512 * 1024 * 1024
CERTIFICATE_WARNS_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is not as it should be; one that does not ``block`` only warns."""

    code: str
    message: str
    block: bool = True


@dataclass(frozen=True, slots=True)
class WatchedLoop:
    """A loop and how often it should pass, in seconds."""

    health: LoopHealth
    period_s: float


class Readiness:
    """Asks everything that this process knows of itself."""

    def __init__(
        self,
        clock: Callable[[], float],
        state_dir: Path,
        store: StoreProof,
        audit_troubles: Sequence[str],
        certificate_ends_in_s: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._state_dir = state_dir
        self._store = store
        self._audit_troubles = audit_troubles
        self._certificate_ends_in_s = certificate_ends_in_s
        self.loops: Sequence[WatchedLoop] = ()
        self.listening = False  # set once every listener is up, cleared when the first goes

    def is_ready(self) -> bool:
        """Tell whether nothing blocks."""
        return not any(reason.block for reason in self.reasons())

    def reasons(self) -> list[Reason]:
        """Return everything that is not as it should be, what blocks first."""
        found = [*self._of_listeners(), *self._of_store(), *self._of_loops(), *self._of_certificate()]
        found += [Reason("audit_log", f"the audit log is not intact: {what}", False) for what in self._audit_troubles]
        return sorted(found, key=lambda reason: not reason.block)

    def loop_ages(self) -> dict[str, float]:
        """Return how long ago each loop ended a pass, in seconds; one that never has is left out."""
        now = self._clock()
        return {each.health.name: now - at for each in self.loops if (at := each.health.last_run_at) is not None}

    def _of_listeners(self) -> list[Reason]:
        return [] if self.listening else [Reason("listeners", "the listeners are not up")]

    def _of_store(self) -> list[Reason]:
        found = [Reason("store", self._store.failure)] if self._store.failure else []
        try:
            free = shutil.disk_usage(self._state_dir).free
        except OSError as error:
            return [*found, Reason("disk", f"{self._state_dir} cannot be looked at: {error.strerror}")]
        if free < DISK_FREE_WARNS_BYTES:
            message = f"{free // 1_048_576} MiB are left where the store is"
            found.append(Reason("disk", message, free < DISK_FREE_BLOCKS_BYTES))
        return found

    def _of_loops(self) -> list[Reason]:
        found = []
        for name, age in self.loop_ages().items():
            period_s = next(each.period_s for each in self.loops if each.health.name == name)
            if age > period_s + LOOP_LATE_S:
                message = f"{name} ended its last pass {age:.0f} s ago; it should each {period_s:g} s"
                found.append(Reason("loop_late", message))
        for each in self.loops:
            if each.health.last_error:
                found.append(Reason("loop_failed", f"{each.health.name}: {each.health.last_error}", False))
        return found

    def _of_certificate(self) -> list[Reason]:
        left_s = self._certificate_ends_in_s()
        if left_s <= 0:
            return [Reason("certificate", "the certificate of the listeners has ended")]
        if left_s < CERTIFICATE_WARNS_S:
            return [Reason("certificate", f"the certificate of the listeners ends in {left_s / 3600:.0f} h", False)]
        return []
