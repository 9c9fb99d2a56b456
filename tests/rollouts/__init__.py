"""Does a bad release halt by itself, and does a good one never? ``python -m tests.rollouts``."""
