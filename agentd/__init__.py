"""The agent: the daemon that runs on a data host, and the programs that belong to it.

The files here only start processes and wire packages together: `__main__.py` is the command `haulier-agentd`,
`daemon.py` the daemon with its one loop, `runnerhost.py` the process that forks a child for each attempt.

One heartbeat, package by package: `core` decides that it is due; `daemon.py` hands the effect to `link`, which merges
it with whatever else waits and sends it; the answer comes back through `link/translate.py` as an event; `core` moves
the deadlines, and `runner` writes them down for the attempts' processes.

What the daemon does:
  core          decides, without doing: leases, deadlines, slots, sessions, upgrade requests
  journal       what survives a restart
  link          the connection to the control plane: joining, sessions, reports, logs, certificates
  runner        the processes of attempts: start, watch, stop, adopt
  supervision   how the daemon tells systemd, probes and `haulier-agentd status` how it is
  sensors       what it tells of its host: samples for heartbeats, facts for rollouts
  upgrading     the daemon's part of an upgrade: fetch a release, ask for it, report on it

What an attempt's process does:
  executors     what each step kind does
  datastores    how each kind of datastore is read, written, fenced and inspected
  proof         what equal data is: digests, and which rows differ

What the host allows:
  policy        the host's policy: its file, and the decisions it makes
  enforcement   applies that policy to a step, and turns it into a sandbox and a unit's settings
  isolation     the kernel's means: Landlock, cgroups, privileges, resource limits
  processes     tells one process from another, even after its pid was used again

Programs and ground:
  updater       the process that replaces releases, as root; never loaded by the daemon
  selftest      what a release must be able to do before it is kept: `haulier-agentd selftest`
  checks        `haulier-agentd check`: a policy, or a release's settings, looked at before they count
  config        the agent's configuration file
  installation  where this installation lies, and how to start another process of it
  disk          durable writes, and how much room a disk has left

Not here: anything about other hosts; the control plane knows those.
"""
