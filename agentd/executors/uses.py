"""What a step says that it touches, before it touches anything: the host's policy judges it, and the kernel then
keeps the step to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from google.protobuf.message import Message
from haulier.v1 import kinds_pb2 as k

# A datastore, or an absolute path below the policy's roots.
Thing = k.Datastore | str


@dataclass(frozen=True, slots=True)
class HostProgram:
    """A program that the host names in its policy, with values for it."""

    name: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Uses:
    """Everything that one step touches besides its own directory. What is not in here is closed to it.

    `reads`, `writes` and `deletes` hold datastores and absolute paths below the policy's roots: directories, or files
    that are there. What is written may be read as well, and what is deleted may be written: `deletes` holds that at
    which content may be replaced or removed that is not the step's own. `network` holds TCP ports, or is True for any;
    the ports of servers among the datastores need not be named. `programs` says that the step starts programs of the
    system. `host_program` is the one program of the policy that the step is.
    """

    reads: tuple[Thing, ...] = ()
    writes: tuple[Thing, ...] = ()
    deletes: tuple[Thing, ...] = ()
    network: tuple[int, ...] | bool = ()
    programs: bool = False
    host_program: HostProgram | None = field(default=None)

    def things(self) -> Iterator[tuple[Thing, bool, bool]]:
        """Each thing once, with whether it is written and whether something is deleted there."""
        seen: list[Thing] = []
        for thing in (*self.reads, *self.writes, *self.deletes):
            if thing not in seen:
                seen.append(thing)
                deletes = thing in self.deletes
                yield thing, deletes or thing in self.writes, deletes


NOTHING = Uses()


def datastores_at(message: Message, *fields: str) -> tuple[k.Datastore, ...]:
    """The datastores at these fields ("source.datastore") of a message; fields that are not set are left out."""
    found = []
    for path in fields:
        *outer, last = path.split(".")
        at: Message | None = message
        for name in outer:
            at = getattr(at, name) if at is not None and at.HasField(name) else None
        if at is not None and at.HasField(last):
            found.append(getattr(at, last))
    return tuple(found)
