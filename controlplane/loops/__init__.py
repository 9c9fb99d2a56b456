"""Idempotent passes with no input, on a period or a nudge; each shows its last run and last error.

A loop holds no truth: whatever it does it reads from the store, so running it twice, late or never at all can delay
work but not corrupt it.
"""
