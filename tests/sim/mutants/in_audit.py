"""Planted in sealing and witnessing: heads that a crash takes back, false alarms, and tampering that nobody notices."""

from tests.sim.planting import Change, Planted

LOG = "controlplane.service.audit.log"
CHECKER = "controlplane.service.audit.checking"
WITNESSES = "controlplane.service.audit.witnessing"
LISTENER = "controlplane.rpc.agents.servicer"

PLANTED = (
    Planted(
        "silence-means-nothing-seen",
        "A heartbeat tells the whole: without a head its agent has seen none, and is shown one without a proof.",
        ("C6",),
        (
            Change(
                LISTENER,
                "            if (seen := translate.witnessed_of(beat)) is not None:\n                told.tell(seen)\n",
                "            told.tell(translate.witnessed_of(beat))\n",
            ),
        ),
    ),
    Planted(
        "hello-has-seen-nothing",
        "Each session begins anew: what its agent has seen comes with the first heartbeat.",
        ("C6",),
        (Change(LISTENER, "translate.witnessed_of(first.hello))", "None)"),),
    ),
    Planted(
        "head-before-its-commit",
        "The new head is at hand while it is being written, so that nobody is shown an old one.",
        ("C6",),
        (
            Change(
                LOG,
                "        await self._store.write(keep)\n",
                "        self.tiles, self.head = tiles, head\n        await self._store.write(keep)\n",
            ),
        ),
    ),
    Planted(
        "sealed-from-memory-alone",
        "What is recorded is at hand: nothing has to be read back.",
        ("C6", "C"),
        (Change(LOG, "            await self._seal_to(last - len(recorded))\n", ""),),
    ),
    Planted(
        "witness-believed-before-compared",
        "What we have signed is a root of ours, and need not be computed from the tree.",
        ("C6",),
        (
            Change(
                WITNESSES,
                "        self.seen[told.agent_id] = seen\n",
                "        self.seen[told.agent_id] = seen\n"
                "        if self._is_signed(seen):\n            self._log.remember(seen.size, seen.root)\n",
            ),
        ),
    ),
    Planted(
        "checked-but-once",
        "When every entry has been compared, nothing is left to compare but what is new.",
        ("C6",),
        (
            Change(
                CHECKER,
                "                self._round, self._thorough = Frontier(), False\n",
                "                self._thorough = False\n",
            ),
        ),
    ),
    Planted(
        "head-shown-at-hello-alone",
        "Whoever connects is shown the newest head; the next one comes with the next session.",
        ("C6",),
        (
            Change(
                LISTENER,
                'message.HasField("heartbeat") or message.HasField("hello")\n',
                'message.HasField("hello")\n',
            ),
        ),
    ),
    Planted(
        "proof-from-the-era-before",
        "A proof begins at what the agent has seen, whatever happened to the log since.",
        ("C6",),
        (Change(WITNESSES, "await self._proof(verdict.since, head)", "await self._proof(seen.size, head)"),),
    ),
)
