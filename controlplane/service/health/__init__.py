"""How the control plane itself is: readiness with its reasons, metrics, the health of loops, the doctor's rounds.

A new metric, or a new reason for "not ready", goes here. ``store_proof`` proves that the store can be written to.
Not here: the HTTP and gRPC probes that show them (``rpc``).
"""
