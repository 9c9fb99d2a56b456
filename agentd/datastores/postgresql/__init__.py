"""PostgreSQL databases as datastores.

`engine.py` declares it, `place.py` says where a datastore is. `datastore.py` is the engine, `connecting.py` and
`session.py` its connection, `writing.py` a writer's session and `eviction.py` the end of an earlier one.
`privileges.py` and `roles.py` ask what a role may do before anything moves, `replacing.py` puts one table in another's
place, `locks.py` takes a table without making others queue, `failures.py` turns SQLSTATEs into messages.

Not here: the fence that all SQL engines share (`agentd.datastores.fences`).
"""
