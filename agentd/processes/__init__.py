"""Which process is which: pid, start time and boot, which no other process has together.

Not here: starting, watching and stopping them (`agentd.runner`).
"""
