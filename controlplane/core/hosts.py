"""What hosts say of themselves: what they are, and which release runs there."""

from typing import NamedTuple


class Facts(NamedTuple):
    """What a host is."""

    os: str = ""
    os_version: str = ""
    architecture: str = ""
    cores: int = 0
    memory_bytes: int = 0
    time_zone: str = ""


class Running(NamedTuple):
    """What a host says of its release; ``state`` is the contract's word in lower case, empty when it has none."""

    version: str = ""
    digest: str = ""
    previous_digest: str = ""
    state: str = ""
    rollout_id: str = ""
    wanted_digest: str = ""
    cause_code: str = ""
    cause: str = ""
    failed_digests: tuple[str, ...] = ()
    pin: str = ""
    opted_out: bool = False
    fetched_bytes: int = 0
