"""What people write: manifests parsed, validated, compared and compiled.

Bytes in, values out: ``parsing`` turns YAML into documents that are right by themselves (``document_checks``),
``validating`` checks them against each other and against what is applied, ``diffing`` says what an apply would change,
``needing`` what a deletion would break. ``ready_made`` are the workflows that come with Haulier, ``idle_fields`` the
fields that only people read. Every complaint is a ``Finding``: what, where and how to mend it.

Not here: files, the store, time, and decisions about when a step runs (those are core's).
"""
