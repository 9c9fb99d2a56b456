"""The daemon's part of an upgrade: `fetching.py` brings a release's files, `requests.py` leaves the request for the
updater and reads its answers, `reporting.py` sends what is kept of a failure.

Not here: installing a release (`agentd.updater`), or when to ask for one (`core/upgrade_requests.py`).
"""
