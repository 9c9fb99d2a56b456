"""A control plane that was taken over, against a real agent under a real policy."""
