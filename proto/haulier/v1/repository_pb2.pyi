from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignedMetadata(_message.Message):
    __slots__ = ("name", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    data: bytes
    def __init__(self, name: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("offer", "piece")
    OFFER_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    offer: RepositoryOffer
    piece: ArtefactPiece
    def __init__(self, offer: _Optional[_Union[RepositoryOffer, _Mapping]] = ..., piece: _Optional[_Union[ArtefactPiece, _Mapping]] = ...) -> None: ...

class RepositoryOffer(_message.Message):
    __slots__ = ("metadata", "target_paths")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TARGET_PATHS_FIELD_NUMBER: _ClassVar[int]
    metadata: _containers.RepeatedCompositeFieldContainer[SignedMetadata]
    target_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, metadata: _Optional[_Iterable[_Union[SignedMetadata, _Mapping]]] = ..., target_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class ArtefactPiece(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("wanted", "published")
    WANTED_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    wanted: ArtefactWanted
    published: ReleasesPublished
    def __init__(self, wanted: _Optional[_Union[ArtefactWanted, _Mapping]] = ..., published: _Optional[_Union[ReleasesPublished, _Mapping]] = ...) -> None: ...

class ArtefactWanted(_message.Message):
    __slots__ = ("target_path", "offset", "length_bytes")
    TARGET_PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_BYTES_FIELD_NUMBER: _ClassVar[int]
    target_path: str
    offset: int
    length_bytes: int
    def __init__(self, target_path: _Optional[str] = ..., offset: _Optional[int] = ..., length_bytes: _Optional[int] = ...) -> None: ...

class ReleasesPublished(_message.Message):
    __slots__ = ("versions", "releases")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    versions: MetadataVersions
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    def __init__(self, versions: _Optional[_Union[MetadataVersions, _Mapping]] = ..., releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ...) -> None: ...

class MetadataVersions(_message.Message):
    __slots__ = ("root", "timestamp", "snapshot", "targets", "ends_in_s")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    ENDS_IN_S_FIELD_NUMBER: _ClassVar[int]
    root: int
    timestamp: int
    snapshot: int
    targets: int
    ends_in_s: float
    def __init__(self, root: _Optional[int] = ..., timestamp: _Optional[int] = ..., snapshot: _Optional[int] = ..., targets: _Optional[int] = ..., ends_in_s: _Optional[float] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("version", "architecture", "digest", "target_path", "length_bytes", "unpacked_bytes", "min_from", "back_from")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TARGET_PATH_FIELD_NUMBER: _ClassVar[int]
    LENGTH_BYTES_FIELD_NUMBER: _ClassVar[int]
    UNPACKED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MIN_FROM_FIELD_NUMBER: _ClassVar[int]
    BACK_FROM_FIELD_NUMBER: _ClassVar[int]
    version: str
    architecture: str
    digest: str
    target_path: str
    length_bytes: int
    unpacked_bytes: int
    min_from: str
    back_from: str
    def __init__(self, version: _Optional[str] = ..., architecture: _Optional[str] = ..., digest: _Optional[str] = ..., target_path: _Optional[str] = ..., length_bytes: _Optional[int] = ..., unpacked_bytes: _Optional[int] = ..., min_from: _Optional[str] = ..., back_from: _Optional[str] = ...) -> None: ...

class ListReleasesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("releases", "versions")
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    versions: MetadataVersions
    def __init__(self, releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ..., versions: _Optional[_Union[MetadataVersions, _Mapping]] = ...) -> None: ...

class FetchMetadataRequest(_message.Message):
    __slots__ = ("trusted_root",)
    TRUSTED_ROOT_FIELD_NUMBER: _ClassVar[int]
    trusted_root: int
    def __init__(self, trusted_root: _Optional[int] = ...) -> None: ...

class FetchMetadataResponse(_message.Message):
    __slots__ = ("name", "data", "last")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    name: str
    data: bytes
    last: bool
    def __init__(self, name: _Optional[str] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class FetchArtefactRequest(_message.Message):
    __slots__ = ("target_path", "offset", "bytes_per_s_max")
    TARGET_PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_S_MAX_FIELD_NUMBER: _ClassVar[int]
    target_path: str
    offset: int
    bytes_per_s_max: int
    def __init__(self, target_path: _Optional[str] = ..., offset: _Optional[int] = ..., bytes_per_s_max: _Optional[int] = ...) -> None: ...

class FetchArtefactResponse(_message.Message):
    __slots__ = ("offset", "data", "length_bytes")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LENGTH_BYTES_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    length_bytes: int
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ..., length_bytes: _Optional[int] = ...) -> None: ...
