"""The decider: one control plane that holds the inventory and leases steps to agents.

Rooms, from the inside out:

- ``core``      what should happen: pure functions over values
- ``store``     what is remembered: guarded writes, group commit
- ``manifests`` what people write: parse, validate, compile
- ``identity``  who is who: certificates, tokens, roles
- ``service``   one method = one transaction: load → decide → save
- ``loops``     idempotent passes on a period or a nudge
- ``rpc``       door for machines; ``cli`` door for hands
- ``serve``     the composition root, the only file that knows every room

One result walked through them: ``rpc.agents.door.Session`` receives it → ``rpc.agents.translate.outcome_of`` makes it
a value → ``service.steps.settling.settle`` opens a transaction → ``store`` finds the attempt and its step →
``core.steps.leasing.settle`` decides → ``store.apply`` writes what was decided, guarded → the batch is fsynced → the
door acknowledges.
"""
