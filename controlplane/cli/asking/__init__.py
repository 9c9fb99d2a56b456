"""The way to the control plane: profile, connection, proxies, the options of every command, completion of names.

Not here: how anything looks (``cli.screen``).
"""
