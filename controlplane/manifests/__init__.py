"""What people write: manifests parsed, validated, compared and compiled.

Bytes in, values out. ``parsing`` turns YAML into documents, ``validating`` checks them against each other and against
what is already applied, ``diffing`` says what an apply would change, ``compiling`` turns a Migration and its Workflow
into step plans, and ``params`` makes the bytes an agent receives. Every complaint is a ``Finding``: what, where and how
to mend it.

Not here: files, the store, time, and decisions about when a step runs (those are core's).
"""
