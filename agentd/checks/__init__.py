"""Checks that an administrator runs before something counts: `haulier-agentd check`.

`policy_check.py` says in sentences what a policy allows on this host, and what the kernel cannot enforce;
`settings_check.py` does the same for the settings that a release brings. Nothing is changed.

Not here: reading a policy (`agentd.policy`), or what a new release must be able to do (`agentd.selftest`).
"""
