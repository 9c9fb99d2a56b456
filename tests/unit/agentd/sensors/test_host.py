"""What an agent takes of its host is its own use, and not the host's."""

import time
from pathlib import Path

from agentd.sensors.host import HostSensor


def test_the_processor_that_the_agent_used_is_its_own(tmp_path: Path) -> None:
    sensor = HostSensor(tmp_path)
    began = time.process_time()
    while time.process_time() - began < 0.2:
        pass
    busy = sensor.sample([])
    assert busy.agent_cpu_cores > 0
    # A process that ended between two looks is not an error, and one that began meanwhile counts from its beginning.
    assert sensor.sample([2**22 - 1]).agent_cpu_cores >= 0
