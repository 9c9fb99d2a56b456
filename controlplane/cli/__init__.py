"""The `haulier` command: it asks the control plane, and shows the answers.

It opens no database, holds no state of its own and decides nothing; what it knows about a control plane is one profile
file. One folder per noun: ``commands`` asks, ``tables`` turns answers into text. ``screen`` is how everything looks,
``asking`` the way to the control plane. ``main`` builds the tree of commands and is the only place where an exception
becomes a message and an exit code.

Not here: what a manifest means (``controlplane.manifests``), what a migration may do (``controlplane.core``).
"""
