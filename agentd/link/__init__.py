"""The connection to the control plane.

`join.py` makes the identity and `identity_files.py` keeps it; `client.py` dials with mutual TLS and holds the session,
`outbox.py` merges what waits into messages, `translate.py` alone knows both the contract and the core's values.
`logs.py` ships output, `renewal.py` and `keys.py` renew the certificate, `signatures.py` checks audit heads,
`proxies.py` keeps to the host's proxies.

Not here: when to dial or what to say (`agentd.core`), or fetching releases (`agentd.upgrading`).
"""
