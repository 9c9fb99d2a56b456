"""The host's own law: what any step may do here. No remote message can widen it.

`law.py` decides; `places.py` says what a datastore's name may mean here, `programs.py` which programs the host names;
`reading.py` reads the file and names what is wrong in it, `explaining.py` says it in sentences for the host's owner.
The file is described in `docs/host-policy.md`.
"""
