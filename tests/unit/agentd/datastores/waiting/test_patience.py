"""A wait for others: its pauses grow, its end comes, and it says for whom it was, by the given clock."""

import pytest

from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.failures import Cancelled, StepFailure
from agentd.datastores.waiting.patience import Holder, Patience, spelled


class Scene:
    """A clock that only a pause moves, and what the writer was told."""

    def __init__(self, bound_s: float, cancelled_after: int = 1000) -> None:
        self.now = 100.0
        self.pauses: list[float] = []
        self.told: list[str] = []
        self._cancelled_after = cancelled_after
        writer = Writer("t", 1, "att_1", "mig_1", waits=self.told.append, check_cancelled=self._check)
        self.patience = Patience(writer, "lite", bound_s, clock=lambda: self.now, pause=self._pause)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def _check(self) -> None:
        if len(self.pauses) >= self._cancelled_after:
            raise Cancelled

    def bear_to_the_end(self, *holders: Holder) -> StepFailure:
        with pytest.raises(StepFailure) as caught:
            while True:
                self.patience.bear("a lock on 'things'", holders)
        return caught.value


def test_pauses_grow_and_end_at_the_bound() -> None:
    scene = Scene(60.0)
    failure = scene.bear_to_the_end(Holder("pid 7 of user 'ada'", 12.0, "End it."))
    assert scene.pauses[:3] == [0.5, 0.75, 1.125]
    assert max(scene.pauses) <= 10.0
    assert sum(scene.pauses) == pytest.approx(60.0)
    assert (failure.code, failure.retryable) == ("busy", True)
    assert failure.message == (
        "datastore 'lite': a lock on 'things' is held by pid 7 of user 'ada' for 12s; it was not let go within 1m00s, "
        "and nothing was changed"
    )
    assert failure.hint == "End it. A longer lockWait of the Datastore 'lite' waits longer."
    assert scene.told[0] == "waiting for a lock on 'things', held by pid 7 of user 'ada' for 12s"


def test_an_age_that_cannot_be_seen_is_counted_from_the_first_sight() -> None:
    scene = Scene(30.0)
    scene.bear_to_the_end(Holder("pid 7 of user 'ada'"))
    assert scene.told[0].endswith("for 0s at least")
    assert scene.told[2].endswith("for 1s at least")


def test_many_holders_are_counted_and_none_is_said_too() -> None:
    assert (
        "held by a for 0s, b for 0s, c for 0s and 2 more"
        in Scene(0.0).bear_to_the_end(*(Holder(name, 0.0) for name in "abcde")).message
    )
    assert "held by a session that is not seen" in Scene(0.0).bear_to_the_end().message


def test_a_wait_ends_when_it_is_cancelled() -> None:
    scene = Scene(60.0, cancelled_after=2)
    with pytest.raises(Cancelled):
        while True:
            scene.patience.bear("x", [])
    assert len(scene.pauses) == 2


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0s"), (59.9, "59s"), (192, "3m12s"), (7500, "2h05m")])
def test_durations_are_spelled_for_people(seconds: float, text: str) -> None:
    assert spelled(seconds) == text
