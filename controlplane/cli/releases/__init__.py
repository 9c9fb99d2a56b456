"""`haulier release`: build, sign, publish; keys and passphrases, which stay on the signer's machine.

Not here: what signing and building do (``controlplane.releases``).
"""
