"""Known faults as one line and an exit code, instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from server.backup import BackupError
from server.config import ConfigError
from server.folder import FolderError
from server.keys import KeyFault
from server.ledger.store import StoreBroken, StoreError
from server.operations.desk import AdminError
from tools.os_errors import leave

USAGE: Final = 2
"""Something outside is wrong: a setting, a folder, a port. The message says what to do."""
BROKEN: Final = 70
"""The ledger's disk failed (EX_SOFTWARE of sysexits.h): a supervisor should start the host anew, which recovers."""


class InputError(ValueError):
    """What was given to a command cannot be used; says what was expected, what came and what to do."""


@contextmanager
def explained() -> Iterator[None]:
    """Turn known faults, also inside exception groups, into `error: ...` on standard error and an exit code."""
    try:
        yield
    except* StoreBroken as group:
        leave(group, BROKEN)
    except* (AdminError, BackupError, InputError, ConfigError, FolderError, StoreError, KeyFault, OSError) as group:
        leave(group, USAGE)
