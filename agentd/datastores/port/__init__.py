"""What every engine implements, and the values that cross this line.

`datastore.py` is the protocol with its places, locations and results; `failures.py` the one exception that work on data
raises, with a code and a remedy; `definitions.py` what hangs on an object beside its rows; `sharing.py` who may read
the files that Haulier makes.

Not here: any engine.
"""
