"""What is remembered: rows, guarded writes, revisions.

``port`` says what a store can do; ``sqlite`` does it. The store finds candidates, because locking is dialect work; the
core chooses among them. Not here: any decision.
"""
