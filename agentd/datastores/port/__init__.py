"""What every engine implements, and the values that cross this line.

`engine.py` is the value by which an engine is declared to everything else. `datastore.py` is the protocol with its
locations and results; `failures.py` the one exception that work on data raises, with a code and a remedy;
`definitions.py` what hangs on an object beside its rows; `sharing.py` who may read the files that Haulier makes.

`messages.py` reads what the contract's messages of datastores have in common.

Not here: any engine, or the list of them (`agentd/datastores/engines.py`).
"""
