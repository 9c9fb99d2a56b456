"""The agent's configuration: `agent.toml`, and the settings that a release may bring beside it.

`reading.py` reads, checks and merges them, and names the file and the line of what is wrong. A new setting of the agent
begins here.

Not here: what steps may do on this host (`agentd.policy`), or the updater's settings (`agentd.updater.settings`).
"""
