"""Planted in rollouts: hosts that are asked too many, too early, or after it was forbidden, and words misread."""

from tests.sim.planting import Change, Planted

ROLLOUTS = "controlplane.service.rollouts.rollouts"
HEALTHY = "controlplane.service.rollouts.healthy_clock"
LISTENER = "controlplane.rpc.agents.servicer"
LINK = "agentd.link.translate"
PLANNING = "controlplane.core.rollouts.planning"

PLANTED = (
    Planted(
        "looks-beside-decisions",
        "A look needs no turn: what it decided is said in any case, because hosts are waiting for it.",
        ("U6", "L4"),
        (
            Change(
                ROLLOUTS,
                "        async with self._turn:\n            now, unsaved_s = self._clock(),",
                "        if True:\n            now, unsaved_s = self._clock(),",
            ),
            Change(
                ROLLOUTS,
                "                    return  # somebody decided meanwhile: the next look sees it\n",
                "                    pass\n",
            ),
        ),
    ),
    Planted(
        "a-paused-rollout-goes-on",
        "The guard of a rollout's row is in the way of two looks at once, which do no harm.",
        ("U6", "C3"),
        (
            Change(
                ROLLOUTS,
                "        async with self._turn:\n            now, unsaved_s = self._clock(),",
                "        if True:\n            now, unsaved_s = self._clock(),",
            ),
            Change("sql:move_rollout", "revision = ?", "revision >= 0 * ?"),
        ),
    ),
    Planted(
        "probation-told-as-kept",
        "A host that runs the new release and is well has kept it.",
        ("U8",),
        (
            Change(
                LINK,
                "HostState.PROBATION: release_pb.RELEASE_STATE_PROBATION",
                "HostState.PROBATION: release_pb.RELEASE_STATE_KEPT",
            ),
        ),
    ),
    Planted(
        "release-heard-at-hello-alone",
        "What a host runs changes with a restart, and after one it says hello.",
        ("U8",),
        (Change(LISTENER, 'running_of(beat.release) if beat.HasField("release") else None', "None"),),
    ),
    Planted(
        "back-at-once-and-healthy",
        "A control plane that has just started is as well as it will ever be.",
        ("U7",),
        (
            Change(
                HEALTHY,
                "            self._healthy_from = now + self._settle_s\n",
                "            self._healthy_from = now\n",
            ),
        ),
    ),
    Planted(
        "held-hosts-do-not-count",
        "A host that is held does nothing, and so another may take its place.",
        ("U6",),
        (
            Change(
                PLANNING,
                "row.state in MOVING and not self._is_set_aside(row))\n        return self.policy",
                "row.state in MOVING - PATIENT)\n        return self.policy",
            ),
        ),
    ),
)
