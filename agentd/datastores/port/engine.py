"""What declares an engine: one value, which policy, sandbox, translation, runner, self-test and inspection read.

Light, because the daemon reads it too: whatever a library of an engine is needed for is loaded when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haulier.v1 import kinds_pb2 as k

    from agentd.datastores.inspection.text import Proposal
    from agentd.datastores.port.datastore import Datastore


class Where(Enum):
    """What sort of place an engine has its data at."""

    DIRECTORY = "directory"  # files below a root of this host
    FILE = "file"  # one file of this host; its journal and its fences stand beside it
    SERVER = "server"  # reached by the network, or by a socket of this host


@dataclass(frozen=True, slots=True)
class PlaceAsked:
    """A datastore as a step's parameters define it, in the words of a host's policy.

    `path` is set for engines of this host's files, the rest for servers. `certificates` are paths on this host.
    """

    name: str
    engine: str
    path: str = ""
    host: str = ""
    port: int = 0
    database: str = ""
    user: str = ""
    schema: str = ""
    sslmode: str = ""
    secret: str = ""
    certificates: tuple[str, ...] = ()


# Of a table that cannot be read where there are others: a sentence is handed over. None: the first one is raised.
Failed = Callable[[str], None] | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """How `haulier-agentd inspect` knows an engine's data, and what it proposes.

    `is_it` judges the first 16 bytes of a file; None is for the engine of whatever no other one knows. `urls` are
    prefixes of places that are no path. `propose` is given the place, the table that is wanted ("": every one) and
    whom to tell of tables that cannot be read; it raises StepFailure. `name_of` is a place's name in manifests.
    """

    propose: Callable[[str, str, Failed], Iterator[Proposal]]
    is_it: Callable[[bytes], bool] | None = None
    urls: tuple[str, ...] = ()
    name_of: Callable[[str], str] = lambda where: Path(where).stem


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine.

    `name` is its name in manifests and policies, and of its field in the contract's Datastore. `place` reads that
    field: it is given the message, the side of the migration for messages (source, destination or ""), and the
    password; it raises StepFailure (bad_params). `open` makes the datastore at such a place for the attempt of an id,
    by which a successor can evict it.

    For servers: `asked` says what the message asks for, `port` is the one where none is named, `secret_variables` are
    those of the environment where its library would find a password by itself. `preload` names modules that are loaded
    before the first fork. `readers_write` is True where a reader too writes beside the file. `example` names a file
    ("": none of its own) and an object for the self-test; None where that cannot make one.
    """

    name: str
    where: Where
    place: Callable[[k.Datastore, str, str], Any]
    open: Callable[[Any, str], Datastore]
    inspection: Inspection
    asked: Callable[[k.Datastore], PlaceAsked] | None = None
    port: int = 0
    secret_variables: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    readers_write: bool = False
    example: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        is_server = self.where is Where.SERVER
        if is_server is not (self.asked is not None) or is_server is not bool(self.port):
            raise ValueError(f"engine {self.name!r}: a server, and nothing else, says what is asked for and its port")

    @property
    def is_server(self) -> bool:
        """Whether it is somewhere else than in files of this host."""
        return self.where is Where.SERVER

    @property
    def path_field(self) -> str:
        """Field of its message that says where its files are; "" for a server."""
        return {Where.DIRECTORY: "root", Where.FILE: "path", Where.SERVER: ""}[self.where]

    def asked_of(self, message: k.Datastore) -> PlaceAsked:
        """What a message asks for, in the policy's words."""
        if self.asked is not None:
            return self.asked(message)
        return PlaceAsked(message.name, self.name, getattr(getattr(message, self.name), self.path_field))
