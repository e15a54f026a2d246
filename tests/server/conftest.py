"""Logs of the server as lists of events: a test may look at them, and nobody pays for rendering them."""

import sys

import pytest
import structlog


@pytest.fixture(autouse=True)
def logs():
    """Every log entry of this test so far, each as a dictionary with `event` and `log_level`."""
    before = structlog.get_config()
    structlog.reset_defaults()
    forget_bound_loggers()
    with structlog.testing.capture_logs() as entries:
        yield entries
    structlog.configure(**before)
    for entry in entries:
        print(entry)  # shown by pytest with a failure


def forget_bound_loggers():
    """A test that ran a command in this process may have configured its log; loggers remember that when first used."""
    for name, module in [*sys.modules.items()]:
        if name.startswith("server.") and hasattr(module, "log"):
            vars(module.log).pop("bind", None)
