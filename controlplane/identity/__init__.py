"""Who may speak: the certificate authority, join tokens, operator tokens, roles and their methods.

Everything here decides or signs; nothing here listens, stores or reads a clock. Instants, serial numbers and
secrets come in as arguments. Records live in the store, servicers in ``rpc``.
"""
