"""The wire: one session to the control plane, its reports and its logs.

Here: dialling with mutual TLS, merging what waits into messages, translating between contract and core (only
`translate.py` knows both), shipping output, enrolling. Not here: when to dial or what to say (core).
"""
