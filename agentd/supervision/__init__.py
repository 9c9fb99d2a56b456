"""How the daemon tells others on this host how it is.

`readiness.py` says why it is not ready, `http_probes.py` answers probes, `status_socket.py` serves `haulier-agentd
status`, `service_notices.py` and `vital_signs.py` speak to systemd, `watch.py` notices changed files.

Not here: what it tells the control plane (`agentd.link`, `agentd.sensors`).
"""
