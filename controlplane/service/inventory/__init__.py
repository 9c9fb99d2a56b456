"""The manifests that people applied: apply, delete, list, and which manifest a name means.

Not here: what is right in a manifest (``controlplane.manifests``), migrations under way (``service.migrations``).
"""
