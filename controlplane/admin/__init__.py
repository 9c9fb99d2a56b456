"""What an administrator does with a control plane's state on its own host, mostly while nothing serves it.

One file for each verb of `haulier-controlplane` that has more to do than print: `init`, `restore`, `backup` (also used
by the loop that makes backups), `offline_audit` and `check`. Not here: the command line (``controlplane.__main__``).
"""
