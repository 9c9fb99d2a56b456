"""What is remembered: rows, guarded writes, revisions.

``verbs`` says by subject what a transaction can do and what each verb promises, ``port`` what a store is; ``sqlite``
does it, with the same subjects in its own ``verbs``. ``rows`` turns rows into values and back, for every store. The
store finds candidates, because locking is dialect work; the core chooses among them. Not here: any decision.
"""
