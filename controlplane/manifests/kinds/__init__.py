"""One model for each kind of manifest: Dataset, Datastore, Migration, Workflow, Fleet; and what they share.

A new field of a manifest goes into the file of its kind; the options of a Datastore are its engine's
(``manifests.engines``). The JSON Schemas and the messages about wrong values are made from these models. Not here:
checks between documents (``manifests.validating``), what agents are sent (``manifests.compiling``).
"""
