"""Where this installation lies: the release that the code is of (`release_tree.py`), and the command that starts
another process of the same installation (`own_python.py`).

Not here: installing a release (`agentd.updater`).
"""
