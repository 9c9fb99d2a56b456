"""Digests of rows and of whole datasets.

A row's digest is blake2b with 16 bytes over its canonical bytes. A dataset's digest is the sum of its rows' digests
modulo 2^128: independent of row order and of how rows were cut into parts, and, unlike xor, changed by a row that is
there twice. Digests of parts add up to the digest of the whole.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from agentd.proof.encoding import encode_rows
from agentd.proof.types import Columns

MODULUS = 1 << 128
EMPTY = bytes(16)


def row_digests(batch: pa.RecordBatch, columns: Columns) -> list[bytes]:
    """16 bytes for each row of the batch, in order. The batch must be in the columns' exact Arrow form."""
    blake2b = hashlib.blake2b
    return [
        blake2b(row, digest_size=16).digest() for encoded in encode_rows(batch, columns) for row in encoded.to_pylist()
    ]


@dataclass(slots=True)
class DatasetDigest:
    """Running digest and row count of a dataset whose batches pass by."""

    columns: Columns
    rows: int = 0
    total: int = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in one batch in the columns' exact Arrow form."""
        self.total = (self.total + sum(map(int.from_bytes, row_digests(batch, self.columns)))) % MODULUS
        self.rows += batch.num_rows

    def value(self) -> bytes:
        """The digest so far, 16 bytes big-endian; 16 zero bytes for no rows."""
        return self.total.to_bytes(16)


def combined(digests: Iterable[bytes]) -> bytes:
    """Digest of the whole from the digests of its disjoint parts, each 16 bytes big-endian."""
    return (sum(map(int.from_bytes, digests)) % MODULUS).to_bytes(16)


def digest_of(batches: Iterable[pa.RecordBatch], columns: Columns) -> DatasetDigest:
    """Digest and row count of a stream of batches, one batch in memory at a time."""
    digest = DatasetDigest(columns)
    for batch in batches:
        digest.add(batch)
    return digest
