"""The gRPC services over the contract, with their listeners and probes.

One folder per subject: ``servicer`` has the methods (read the request, ask a service, answer), ``translate`` turns
values into messages and back; nothing behind it knows the contract. Here are what all calls pass: ``server``
(listeners), ``interceptors`` (who calls, may they, errors as statuses), ``listening_identity``, and ``http_probes``.

Not here: decisions and transactions (``service``), who may call which method (``identity.roles``), why the control
plane is not ready (``service.health``).
"""
