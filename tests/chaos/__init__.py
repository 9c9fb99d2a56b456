"""Kill cycles over real migrations of real tables: `make chaos CYCLES=200`."""
