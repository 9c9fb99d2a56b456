"""Rollouts of agent releases, fleets, and what operators do with single hosts: labels, cordon, decommission.

Not here: decisions (``core.rollouts``), the files of releases (``controlplane.releases``), sessions
(``service.agents``).
"""
