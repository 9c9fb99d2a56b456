from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ColumnType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLUMN_TYPE_UNSPECIFIED: _ClassVar[ColumnType]
    COLUMN_TYPE_BOOL: _ClassVar[ColumnType]
    COLUMN_TYPE_INT64: _ClassVar[ColumnType]
    COLUMN_TYPE_DECIMAL: _ClassVar[ColumnType]
    COLUMN_TYPE_FLOAT64: _ClassVar[ColumnType]
    COLUMN_TYPE_TEXT: _ClassVar[ColumnType]
    COLUMN_TYPE_BYTES: _ClassVar[ColumnType]
    COLUMN_TYPE_DATE: _ClassVar[ColumnType]
    COLUMN_TYPE_TIMESTAMP: _ClassVar[ColumnType]
    COLUMN_TYPE_TIMESTAMPTZ: _ClassVar[ColumnType]

class DefinitionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEFINITION_KIND_UNSPECIFIED: _ClassVar[DefinitionKind]
    DEFINITION_KIND_ROW_SECURITY: _ClassVar[DefinitionKind]
    DEFINITION_KIND_POLICY: _ClassVar[DefinitionKind]
    DEFINITION_KIND_PUBLICATION: _ClassVar[DefinitionKind]
    DEFINITION_KIND_SUBSCRIPTION: _ClassVar[DefinitionKind]
    DEFINITION_KIND_GRANT: _ClassVar[DefinitionKind]
    DEFINITION_KIND_COLUMN_GRANT: _ClassVar[DefinitionKind]
    DEFINITION_KIND_OWNER: _ClassVar[DefinitionKind]
    DEFINITION_KIND_PRIMARY_KEY: _ClassVar[DefinitionKind]
    DEFINITION_KIND_INDEX: _ClassVar[DefinitionKind]
    DEFINITION_KIND_UNIQUE: _ClassVar[DefinitionKind]
    DEFINITION_KIND_CHECK: _ClassVar[DefinitionKind]
    DEFINITION_KIND_EXCLUSION: _ClassVar[DefinitionKind]
    DEFINITION_KIND_NOT_NULL: _ClassVar[DefinitionKind]
    DEFINITION_KIND_DEFAULT: _ClassVar[DefinitionKind]
    DEFINITION_KIND_IDENTITY: _ClassVar[DefinitionKind]
    DEFINITION_KIND_GENERATED: _ClassVar[DefinitionKind]
    DEFINITION_KIND_SEQUENCE: _ClassVar[DefinitionKind]
    DEFINITION_KIND_FOREIGN_KEY: _ClassVar[DefinitionKind]
    DEFINITION_KIND_REFERENCING_KEY: _ClassVar[DefinitionKind]
    DEFINITION_KIND_TRIGGER: _ClassVar[DefinitionKind]
    DEFINITION_KIND_RULE: _ClassVar[DefinitionKind]
    DEFINITION_KIND_VIEW: _ClassVar[DefinitionKind]
    DEFINITION_KIND_DEPENDENT: _ClassVar[DefinitionKind]
    DEFINITION_KIND_COMMENT: _ClassVar[DefinitionKind]
    DEFINITION_KIND_SECURITY_LABEL: _ClassVar[DefinitionKind]
    DEFINITION_KIND_REPLICA_IDENTITY: _ClassVar[DefinitionKind]
    DEFINITION_KIND_PARTITION: _ClassVar[DefinitionKind]
    DEFINITION_KIND_INHERITANCE: _ClassVar[DefinitionKind]
    DEFINITION_KIND_STORAGE: _ClassVar[DefinitionKind]
    DEFINITION_KIND_STATISTICS: _ClassVar[DefinitionKind]
    DEFINITION_KIND_TYPE: _ClassVar[DefinitionKind]
    DEFINITION_KIND_COLLATION: _ClassVar[DefinitionKind]
    DEFINITION_KIND_METADATA: _ClassVar[DefinitionKind]
    DEFINITION_KIND_SKIPPED_FILE: _ClassVar[DefinitionKind]

class IfExists(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IF_EXISTS_UNSPECIFIED: _ClassVar[IfExists]
    IF_EXISTS_REFUSE: _ClassVar[IfExists]
    IF_EXISTS_REPLACE: _ClassVar[IfExists]
COLUMN_TYPE_UNSPECIFIED: ColumnType
COLUMN_TYPE_BOOL: ColumnType
COLUMN_TYPE_INT64: ColumnType
COLUMN_TYPE_DECIMAL: ColumnType
COLUMN_TYPE_FLOAT64: ColumnType
COLUMN_TYPE_TEXT: ColumnType
COLUMN_TYPE_BYTES: ColumnType
COLUMN_TYPE_DATE: ColumnType
COLUMN_TYPE_TIMESTAMP: ColumnType
COLUMN_TYPE_TIMESTAMPTZ: ColumnType
DEFINITION_KIND_UNSPECIFIED: DefinitionKind
DEFINITION_KIND_ROW_SECURITY: DefinitionKind
DEFINITION_KIND_POLICY: DefinitionKind
DEFINITION_KIND_PUBLICATION: DefinitionKind
DEFINITION_KIND_SUBSCRIPTION: DefinitionKind
DEFINITION_KIND_GRANT: DefinitionKind
DEFINITION_KIND_COLUMN_GRANT: DefinitionKind
DEFINITION_KIND_OWNER: DefinitionKind
DEFINITION_KIND_PRIMARY_KEY: DefinitionKind
DEFINITION_KIND_INDEX: DefinitionKind
DEFINITION_KIND_UNIQUE: DefinitionKind
DEFINITION_KIND_CHECK: DefinitionKind
DEFINITION_KIND_EXCLUSION: DefinitionKind
DEFINITION_KIND_NOT_NULL: DefinitionKind
DEFINITION_KIND_DEFAULT: DefinitionKind
DEFINITION_KIND_IDENTITY: DefinitionKind
DEFINITION_KIND_GENERATED: DefinitionKind
DEFINITION_KIND_SEQUENCE: DefinitionKind
DEFINITION_KIND_FOREIGN_KEY: DefinitionKind
DEFINITION_KIND_REFERENCING_KEY: DefinitionKind
DEFINITION_KIND_TRIGGER: DefinitionKind
DEFINITION_KIND_RULE: DefinitionKind
DEFINITION_KIND_VIEW: DefinitionKind
DEFINITION_KIND_DEPENDENT: DefinitionKind
DEFINITION_KIND_COMMENT: DefinitionKind
DEFINITION_KIND_SECURITY_LABEL: DefinitionKind
DEFINITION_KIND_REPLICA_IDENTITY: DefinitionKind
DEFINITION_KIND_PARTITION: DefinitionKind
DEFINITION_KIND_INHERITANCE: DefinitionKind
DEFINITION_KIND_STORAGE: DefinitionKind
DEFINITION_KIND_STATISTICS: DefinitionKind
DEFINITION_KIND_TYPE: DefinitionKind
DEFINITION_KIND_COLLATION: DefinitionKind
DEFINITION_KIND_METADATA: DefinitionKind
DEFINITION_KIND_SKIPPED_FILE: DefinitionKind
IF_EXISTS_UNSPECIFIED: IfExists
IF_EXISTS_REFUSE: IfExists
IF_EXISTS_REPLACE: IfExists

class Column(_message.Message):
    __slots__ = ("name", "type", "precision", "scale", "required")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: ColumnType
    precision: int
    scale: int
    required: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[ColumnType, str]] = ..., precision: _Optional[int] = ..., scale: _Optional[int] = ..., required: _Optional[bool] = ...) -> None: ...

class CsvStore(_message.Message):
    __slots__ = ("root", "delimiter", "null_text", "file_mode", "group")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    DELIMITER_FIELD_NUMBER: _ClassVar[int]
    NULL_TEXT_FIELD_NUMBER: _ClassVar[int]
    FILE_MODE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    root: str
    delimiter: str
    null_text: str
    file_mode: str
    group: str
    def __init__(self, root: _Optional[str] = ..., delimiter: _Optional[str] = ..., null_text: _Optional[str] = ..., file_mode: _Optional[str] = ..., group: _Optional[str] = ...) -> None: ...

class ParquetStore(_message.Message):
    __slots__ = ("root", "file_mode", "group")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    FILE_MODE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    root: str
    file_mode: str
    group: str
    def __init__(self, root: _Optional[str] = ..., file_mode: _Optional[str] = ..., group: _Optional[str] = ...) -> None: ...

class SqliteStore(_message.Message):
    __slots__ = ("path", "file_mode", "group", "lock_wait_s")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_MODE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LOCK_WAIT_S_FIELD_NUMBER: _ClassVar[int]
    path: str
    file_mode: str
    group: str
    lock_wait_s: int
    def __init__(self, path: _Optional[str] = ..., file_mode: _Optional[str] = ..., group: _Optional[str] = ..., lock_wait_s: _Optional[int] = ...) -> None: ...

class DuckdbStore(_message.Message):
    __slots__ = ("path", "file_mode", "group", "lock_wait_s")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_MODE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LOCK_WAIT_S_FIELD_NUMBER: _ClassVar[int]
    path: str
    file_mode: str
    group: str
    lock_wait_s: int
    def __init__(self, path: _Optional[str] = ..., file_mode: _Optional[str] = ..., group: _Optional[str] = ..., lock_wait_s: _Optional[int] = ...) -> None: ...

class PostgresqlStore(_message.Message):
    __slots__ = ("host", "port", "database", "user", "password_ref", "schema", "sslmode", "sslrootcert", "sslcert", "sslkey", "lock_wait_s")
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_REF_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SSLMODE_FIELD_NUMBER: _ClassVar[int]
    SSLROOTCERT_FIELD_NUMBER: _ClassVar[int]
    SSLCERT_FIELD_NUMBER: _ClassVar[int]
    SSLKEY_FIELD_NUMBER: _ClassVar[int]
    LOCK_WAIT_S_FIELD_NUMBER: _ClassVar[int]
    host: str
    port: int
    database: str
    user: str
    password_ref: str
    schema: str
    sslmode: str
    sslrootcert: str
    sslcert: str
    sslkey: str
    lock_wait_s: int
    def __init__(self, host: _Optional[str] = ..., port: _Optional[int] = ..., database: _Optional[str] = ..., user: _Optional[str] = ..., password_ref: _Optional[str] = ..., schema: _Optional[str] = ..., sslmode: _Optional[str] = ..., sslrootcert: _Optional[str] = ..., sslcert: _Optional[str] = ..., sslkey: _Optional[str] = ..., lock_wait_s: _Optional[int] = ...) -> None: ...

class Datastore(_message.Message):
    __slots__ = ("name", "csv", "parquet", "sqlite", "duckdb", "postgresql")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    PARQUET_FIELD_NUMBER: _ClassVar[int]
    SQLITE_FIELD_NUMBER: _ClassVar[int]
    DUCKDB_FIELD_NUMBER: _ClassVar[int]
    POSTGRESQL_FIELD_NUMBER: _ClassVar[int]
    name: str
    csv: CsvStore
    parquet: ParquetStore
    sqlite: SqliteStore
    duckdb: DuckdbStore
    postgresql: PostgresqlStore
    def __init__(self, name: _Optional[str] = ..., csv: _Optional[_Union[CsvStore, _Mapping]] = ..., parquet: _Optional[_Union[ParquetStore, _Mapping]] = ..., sqlite: _Optional[_Union[SqliteStore, _Mapping]] = ..., duckdb: _Optional[_Union[DuckdbStore, _Mapping]] = ..., postgresql: _Optional[_Union[PostgresqlStore, _Mapping]] = ...) -> None: ...

class DatasetLocation(_message.Message):
    __slots__ = ("dataset", "datastore", "object", "columns", "key")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DATASTORE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    datastore: Datastore
    object: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    key: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dataset: _Optional[str] = ..., datastore: _Optional[_Union[Datastore, _Mapping]] = ..., object: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., key: _Optional[_Iterable[str]] = ...) -> None: ...

class Definitions(_message.Message):
    __slots__ = ("kind", "names", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: DefinitionKind
    names: _containers.RepeatedScalarFieldContainer[str]
    count: int
    def __init__(self, kind: _Optional[_Union[DefinitionKind, str]] = ..., names: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ...) -> None: ...

class Waiver(_message.Message):
    __slots__ = ("kind", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: DefinitionKind
    name: str
    def __init__(self, kind: _Optional[_Union[DefinitionKind, str]] = ..., name: _Optional[str] = ...) -> None: ...

class StagedPart(_message.Message):
    __slots__ = ("file", "rows", "size_bytes", "digest", "file_sha256")
    FILE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FILE_SHA256_FIELD_NUMBER: _ClassVar[int]
    file: str
    rows: int
    size_bytes: int
    digest: bytes
    file_sha256: bytes
    def __init__(self, file: _Optional[str] = ..., rows: _Optional[int] = ..., size_bytes: _Optional[int] = ..., digest: _Optional[bytes] = ..., file_sha256: _Optional[bytes] = ...) -> None: ...

class Staged(_message.Message):
    __slots__ = ("datastore", "directory", "columns", "parts", "rows", "digest")
    DATASTORE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    datastore: Datastore
    directory: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    parts: _containers.RepeatedCompositeFieldContainer[StagedPart]
    rows: int
    digest: bytes
    def __init__(self, datastore: _Optional[_Union[Datastore, _Mapping]] = ..., directory: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[StagedPart, _Mapping]]] = ..., rows: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class ExtractParams(_message.Message):
    __slots__ = ("source", "staging", "part_rows_max")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STAGING_FIELD_NUMBER: _ClassVar[int]
    PART_ROWS_MAX_FIELD_NUMBER: _ClassVar[int]
    source: DatasetLocation
    staging: Datastore
    part_rows_max: int
    def __init__(self, source: _Optional[_Union[DatasetLocation, _Mapping]] = ..., staging: _Optional[_Union[Datastore, _Mapping]] = ..., part_rows_max: _Optional[int] = ...) -> None: ...

class ExtractResult(_message.Message):
    __slots__ = ("output", "definitions")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    output: Staged
    definitions: _containers.RepeatedCompositeFieldContainer[Definitions]
    def __init__(self, output: _Optional[_Union[Staged, _Mapping]] = ..., definitions: _Optional[_Iterable[_Union[Definitions, _Mapping]]] = ...) -> None: ...

class TransformParams(_message.Message):
    __slots__ = ("input", "sql", "columns", "staging")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SQL_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    STAGING_FIELD_NUMBER: _ClassVar[int]
    input: Staged
    sql: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    staging: Datastore
    def __init__(self, input: _Optional[_Union[Staged, _Mapping]] = ..., sql: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., staging: _Optional[_Union[Datastore, _Mapping]] = ...) -> None: ...

class TransformResult(_message.Message):
    __slots__ = ("output",)
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    output: Staged
    def __init__(self, output: _Optional[_Union[Staged, _Mapping]] = ...) -> None: ...

class LoadParams(_message.Message):
    __slots__ = ("input", "destination", "if_exists", "waive")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    IF_EXISTS_FIELD_NUMBER: _ClassVar[int]
    WAIVE_FIELD_NUMBER: _ClassVar[int]
    input: Staged
    destination: DatasetLocation
    if_exists: IfExists
    waive: _containers.RepeatedCompositeFieldContainer[Waiver]
    def __init__(self, input: _Optional[_Union[Staged, _Mapping]] = ..., destination: _Optional[_Union[DatasetLocation, _Mapping]] = ..., if_exists: _Optional[_Union[IfExists, str]] = ..., waive: _Optional[_Iterable[_Union[Waiver, _Mapping]]] = ...) -> None: ...

class LoadResult(_message.Message):
    __slots__ = ("rows", "read_bytes", "published_fence", "already_published", "waived", "former_content_kept")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FENCE_FIELD_NUMBER: _ClassVar[int]
    ALREADY_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    WAIVED_FIELD_NUMBER: _ClassVar[int]
    FORMER_CONTENT_KEPT_FIELD_NUMBER: _ClassVar[int]
    rows: int
    read_bytes: int
    published_fence: int
    already_published: bool
    waived: _containers.RepeatedCompositeFieldContainer[Definitions]
    former_content_kept: bool
    def __init__(self, rows: _Optional[int] = ..., read_bytes: _Optional[int] = ..., published_fence: _Optional[int] = ..., already_published: _Optional[bool] = ..., waived: _Optional[_Iterable[_Union[Definitions, _Mapping]]] = ..., former_content_kept: _Optional[bool] = ...) -> None: ...

class StagedByStep(_message.Message):
    __slots__ = ("datastore", "step_id")
    DATASTORE_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    datastore: Datastore
    step_id: str
    def __init__(self, datastore: _Optional[_Union[Datastore, _Mapping]] = ..., step_id: _Optional[str] = ...) -> None: ...

class CleanUpParams(_message.Message):
    __slots__ = ("staged", "former_content_at")
    STAGED_FIELD_NUMBER: _ClassVar[int]
    FORMER_CONTENT_AT_FIELD_NUMBER: _ClassVar[int]
    staged: StagedByStep
    former_content_at: DatasetLocation
    def __init__(self, staged: _Optional[_Union[StagedByStep, _Mapping]] = ..., former_content_at: _Optional[_Union[DatasetLocation, _Mapping]] = ...) -> None: ...

class CleanUpResult(_message.Message):
    __slots__ = ("removed", "freed_bytes")
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    FREED_BYTES_FIELD_NUMBER: _ClassVar[int]
    removed: int
    freed_bytes: int
    def __init__(self, removed: _Optional[int] = ..., freed_bytes: _Optional[int] = ...) -> None: ...

class TestQuery(_message.Message):
    __slots__ = ("name", "sql", "expected_rows_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SQL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    sql: str
    expected_rows_json: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., sql: _Optional[str] = ..., expected_rows_json: _Optional[_Iterable[str]] = ...) -> None: ...

class ValidateParams(_message.Message):
    __slots__ = ("source", "extracted", "loaded", "transform_sql", "destination", "test_queries", "published_fence", "show_values", "show_values_for_s")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EXTRACTED_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_SQL_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    TEST_QUERIES_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FENCE_FIELD_NUMBER: _ClassVar[int]
    SHOW_VALUES_FIELD_NUMBER: _ClassVar[int]
    SHOW_VALUES_FOR_S_FIELD_NUMBER: _ClassVar[int]
    source: DatasetLocation
    extracted: Staged
    loaded: Staged
    transform_sql: str
    destination: DatasetLocation
    test_queries: _containers.RepeatedCompositeFieldContainer[TestQuery]
    published_fence: int
    show_values: bool
    show_values_for_s: float
    def __init__(self, source: _Optional[_Union[DatasetLocation, _Mapping]] = ..., extracted: _Optional[_Union[Staged, _Mapping]] = ..., loaded: _Optional[_Union[Staged, _Mapping]] = ..., transform_sql: _Optional[str] = ..., destination: _Optional[_Union[DatasetLocation, _Mapping]] = ..., test_queries: _Optional[_Iterable[_Union[TestQuery, _Mapping]]] = ..., published_fence: _Optional[int] = ..., show_values: _Optional[bool] = ..., show_values_for_s: _Optional[float] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("name", "passed", "expected", "found", "found_rows_json", "expected_rows_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    FOUND_ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    passed: bool
    expected: str
    found: str
    found_rows_json: _containers.RepeatedScalarFieldContainer[str]
    expected_rows_json: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., passed: _Optional[bool] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ..., found_rows_json: _Optional[_Iterable[str]] = ..., expected_rows_json: _Optional[_Iterable[str]] = ...) -> None: ...

class ColumnDifference(_message.Message):
    __slots__ = ("column", "expected_shape", "found_shape")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_SHAPE_FIELD_NUMBER: _ClassVar[int]
    FOUND_SHAPE_FIELD_NUMBER: _ClassVar[int]
    column: str
    expected_shape: str
    found_shape: str
    def __init__(self, column: _Optional[str] = ..., expected_shape: _Optional[str] = ..., found_shape: _Optional[str] = ...) -> None: ...

class RowDifference(_message.Message):
    __slots__ = ("kind", "key_json", "columns_json", "changed", "row_digest")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_JSON_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_JSON_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ROW_DIGEST_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key_json: str
    columns_json: str
    changed: _containers.RepeatedCompositeFieldContainer[ColumnDifference]
    row_digest: bytes
    def __init__(self, kind: _Optional[str] = ..., key_json: _Optional[str] = ..., columns_json: _Optional[str] = ..., changed: _Optional[_Iterable[_Union[ColumnDifference, _Mapping]]] = ..., row_digest: _Optional[bytes] = ...) -> None: ...

class ValidateResult(_message.Message):
    __slots__ = ("checks", "rows", "source_digest", "destination_digest", "differences", "differences_count", "left_behind", "values_apart")
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEFT_BEHIND_FIELD_NUMBER: _ClassVar[int]
    VALUES_APART_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    rows: int
    source_digest: bytes
    destination_digest: bytes
    differences: _containers.RepeatedCompositeFieldContainer[RowDifference]
    differences_count: int
    left_behind: _containers.RepeatedCompositeFieldContainer[Definitions]
    values_apart: bool
    def __init__(self, checks: _Optional[_Iterable[_Union[Check, _Mapping]]] = ..., rows: _Optional[int] = ..., source_digest: _Optional[bytes] = ..., destination_digest: _Optional[bytes] = ..., differences: _Optional[_Iterable[_Union[RowDifference, _Mapping]]] = ..., differences_count: _Optional[int] = ..., left_behind: _Optional[_Iterable[_Union[Definitions, _Mapping]]] = ..., values_apart: _Optional[bool] = ...) -> None: ...

class RunProgramParams(_message.Message):
    __slots__ = ("program", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    program: str
    values: _containers.ScalarMap[str, str]
    def __init__(self, program: _Optional[str] = ..., values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RunProgramResult(_message.Message):
    __slots__ = ("output", "output_cut")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CUT_FIELD_NUMBER: _ClassVar[int]
    output: str
    output_cut: bool
    def __init__(self, output: _Optional[str] = ..., output_cut: _Optional[bool] = ...) -> None: ...
