"""Checks manifests without a control plane: against each other, and against nothing that is applied."""

from __future__ import annotations

from collections.abc import Sequence

from haulier.v1 import operator_pb2 as op

from controlplane.manifests.findings import SourceFile
from controlplane.manifests.parsing import parse
from controlplane.manifests.validating import validate


def validate_offline(files: Sequence[op.ManifestFile]) -> op.ValidateManifestsResponse:
    """What the control plane would find if nothing were applied yet."""
    parsed = parse([SourceFile(file.path, file.content) for file in files])
    found = [*parsed.findings, *validate(parsed.documents, {}, parsed.refused)]
    answer = op.ValidateManifestsResponse(
        findings=[
            op.Finding(
                path=finding.path,
                line=finding.line,
                column=finding.column,
                field=finding.field,
                message=finding.message,
                hint=finding.hint,
            )
            for finding in found
        ]
    )
    if not found:
        for document in parsed.documents:
            answer.outcomes.add(kind=document.key[0], name=document.key[1], change=op.MANIFEST_CHANGE_CREATED)
    return answer
