"""Checks manifests without a control plane: against each other, and against nothing that is applied."""

from __future__ import annotations

from collections.abc import Sequence

from haulier.v1 import operator_pb2 as op

from controlplane.manifests.idle_fields import warnings_of
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import WARNING, Finding, SourceFile
from controlplane.manifests.validating import validate


def _message(finding: Finding) -> op.Finding:
    weight = op.FINDING_SEVERITY_WARNING if finding.severity == WARNING else op.FINDING_SEVERITY_ERROR
    return op.Finding(
        path=finding.path,
        line=finding.line,
        column=finding.column,
        field=finding.field,
        message=finding.message,
        hint=finding.hint,
        severity=weight,
    )


def validate_offline(files: Sequence[op.ManifestFile]) -> op.ValidateManifestsResponse:
    """What the control plane would find if nothing were applied yet."""
    parsed = parse([SourceFile(file.path, file.content) for file in files])
    found = [*parsed.findings, *validate(parsed.documents, {}, parsed.refused)]
    answer = op.ValidateManifestsResponse(
        findings=map(_message, found), warnings=map(_message, () if found else warnings_of(parsed.documents))
    )
    if not found:
        for document in parsed.documents:
            answer.outcomes.add(kind=document.key[0], name=document.key[1], change=op.MANIFEST_CHANGE_CREATED)
    return answer
