"""Rollouts of agent releases: waves and who is in them, the next thing to do, gates, maintenance windows.

Not here: what hosts said (``service.rollouts``), signed releases (``controlplane.releases``), the Fleet manifest
(``manifests.kinds.fleet``).
"""
