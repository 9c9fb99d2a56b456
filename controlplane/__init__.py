"""The control plane: it holds the inventory, decides what should happen, and leases steps to agents.

Layers, from the inside out; each may import only what ``tests/repo/test_imports.py`` lists:

- ``core``       decisions: pure functions over values
- ``store``      what is remembered: guarded writes, group commit
- ``manifests``  what people write: models, checks, compilation
- ``identity``   who is who: certificates, tokens, roles
- ``releases``   releases of the agent: built, signed, verified, kept
- ``service``    one method = one transaction: load, decide, save
- ``loops``      passes in the background, each on its period
- ``rpc``        gRPC services, listeners and probes
- ``cli``        the `haulier` command, which knows the contract only
- ``admin``      what an administrator does on the control plane's own host
- ``host``       the process on its host: service manager, lock, names in the state directory
- ``serve``      puts a control plane together, runs it, stops it

The subjects are the same folders in every layer: ``steps``, ``migrations``, ``inventory``, ``agents``, ``access``,
``rollouts``, ``releases``, ``audit``, ``events``, ``health``. So a thing is found by two questions: what is it about,
and is it decided (``core``), remembered (``store``), done (``service``), sent (``rpc``) or shown (``cli``)? A column of
a list, for instance, is read in ``store``, sent in the subject's ``rpc`` folder and shown in its ``cli`` folder.

One result on its way: ``rpc.agents.servicer.Session`` receives it → ``rpc.agents.translate.outcome_of`` makes it a
value → ``service.steps.settling.settle`` opens a transaction → ``store`` finds the attempt and its step →
``core.steps.leasing.settle`` decides → ``store.apply`` writes what was decided, guarded → the batch is fsynced → the
agent is sent the acknowledgement.
"""
