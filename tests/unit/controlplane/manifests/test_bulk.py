"""Ten thousand manifests are read, checked and compared; the time is printed, not asserted."""

from __future__ import annotations

import itertools
import time

import pytest

from controlplane.manifests.diffing import document_digest
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from controlplane.manifests.validating import validate
from tests.unit.controlplane.manifests.written import dataset, example_specs

_COUNT = 10_000
_SPEC = """columns:
- {name: year, type: int64, required: true}
- {name: month, type: int64, required: true}
- {name: dep_time, type: timestamptz}
- {name: carrier, type: text}
- {name: fare, type: "decimal(10,2)"}
key: [year, month]
dependsOn: [%s]
consumers: [bi, ml]
priority: 5
window: 22:30"""


def test_ten_thousand_datasets(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["airlines", *(f"d{n}" for n in range(_COUNT))]
    files = [
        SourceFile(f"{name}.yaml", dataset(_SPEC % before, name).encode()) for before, name in itertools.pairwise(names)
    ]
    begun = time.process_time()
    parsed = parse(files)
    read = time.process_time()
    findings = validate(parsed.documents, example_specs())
    checked = time.process_time()
    digests = {document_digest(document) for document in parsed.documents}
    compared = time.process_time()
    assert (len(parsed.documents), parsed.findings, findings, len(digests)) == (_COUNT, (), (), _COUNT)
    with capsys.disabled():
        print(
            f"\n{_COUNT:,} Dataset manifests: read {read - begun:.2f} s, checked against each other "
            f"{checked - read:.2f} s, digests {compared - checked:.2f} s of one core"
        )
