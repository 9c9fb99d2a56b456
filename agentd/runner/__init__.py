"""The processes of attempts: started warm, watched by files, ended whole, adopted after a restart.

In the daemon: `runner.py` and `host_client.py`, `stopping.py`, `resource_use.py`. In the host process:
`fork_server.py`. In the child: `child.py`, `secrets.py`. Between them: `attempt_files.py`, the attempt's directory.

Not here: what a step does (`agentd.executors`), whether it should run (`agentd.core`), what it may reach
(`agentd.enforcement`, `agentd.isolation`).
"""
