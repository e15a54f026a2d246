"""Logs of the server as lists of events: a test may look at them, and nobody pays for rendering them."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def logs():
    """Every log entry of this test so far, each as a dictionary with `event` and `log_level`."""
    with structlog.testing.capture_logs() as entries:
        yield entries
    for entry in entries:
        print(entry)  # shown by pytest with a failure
