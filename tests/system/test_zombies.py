"""A writer that was given up and wakes again changes nothing, whatever it writes to and wherever it was stopped."""

import pytest

from tests.system.scene import has_other_hosts
from tests.system.zombies import cemetery, examine, quick_rounds, render


@pytest.mark.timeout(300)
def test_a_zombie_per_datastore_changes_nothing() -> None:
    with cemetery(far=has_other_hosts()) as world:
        outcomes = [outcome for cases in quick_rounds() for outcome in world.play(cases)]
        print(render(outcomes))
        assert not {outcome.case.name: outcome.wrong for outcome in outcomes if outcome.wrong}
        assert len({outcome.digest for outcome in outcomes if outcome.digest}) == 1
        assert examine(world)
