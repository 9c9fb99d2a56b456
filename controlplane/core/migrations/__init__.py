"""What happens to a whole migration: its order of steps, its end, undo, resuming, and what it leaves behind.

Not here: one step's lease, retries and placement (``core.steps``), the states themselves (``core.states``).
"""
