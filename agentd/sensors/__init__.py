"""Samples of this host, for heartbeats. Not here: what an attempt uses (runner)."""
