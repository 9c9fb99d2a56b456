"""The fleet service and the release repository: rollouts, hosts, and artefacts that agents fetch at a given pace.

Not here: decisions (``core.rollouts``), verification of releases (``controlplane.releases``).
"""
