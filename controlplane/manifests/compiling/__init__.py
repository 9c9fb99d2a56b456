"""A Migration and its Workflow into step plans, and results and templates into the bytes that agents receive.

Here are the step kinds and their parameters, references such as ``${steps.extract.output}``, and the checks of both.
Not here: when a step runs (``core``), the models of the manifests (``manifests.kinds``).
"""
