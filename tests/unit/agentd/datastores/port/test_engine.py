"""An engine declares what its sort of place needs, or is refused when it is declared."""

from dataclasses import replace

import pytest

from agentd.datastores.engines import ENGINES
from agentd.datastores.port.engine import Where


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_a_server_has_a_port_and_words_for_the_policy_and_nothing_else_has(name: str) -> None:
    engine = ENGINES[name]
    other = Where.FILE if engine.is_server else Where.SERVER
    with pytest.raises(ValueError, match="a server, and nothing else"):
        replace(engine, where=other)
    assert bool(engine.port) is (engine.asked is not None) is engine.is_server


def test_one_engine_takes_whatever_no_other_one_knows() -> None:
    local = [engine for engine in ENGINES.values() if not engine.is_server]
    assert [engine.name for engine in local if engine.inspection.is_it is None] == ["csv"]
