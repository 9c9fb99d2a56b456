"""Clients that misbehave by the thousand, and honest agents beside them whose heartbeats are timed."""
