"""What every test shares: settings of the libraries, and how a run of tests ends."""

import threading

import pytest
from hypothesis import settings

from tests.kit import warden

# A busy machine is slow and not wrong: hypothesis judges values, pytest's timeout judges time.
settings.register_profile("haulier", deadline=None, max_examples=60)
settings.load_profile("haulier")


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGTERM and SIGHUP end a run as Ctrl-C does: what fixtures have started is ended by them."""
    if threading.current_thread() is threading.main_thread():
        warden.stop_once()
