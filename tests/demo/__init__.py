"""The demo: real data, real processes, every datastore both ways. `make demo`, `make up`, `make down`."""
