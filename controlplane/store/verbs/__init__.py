"""The verbs of a transaction by subject, with the values that they take and give.

One protocol a file, named like the subject's folder in the other layers; ``port.Tx`` is all of them. A verb's
docstring is its promise: ``tests/contract/store`` holds every store to it. Where nothing is said of order, there is
none; a verb that is given many rows writes all of them or raises.
"""
