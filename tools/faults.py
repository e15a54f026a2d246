"""Known faults as one line and an exit code, instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from server.config import ConfigError
from server.folder import FolderError
from server.keys import KeyFault
from server.ledger.store import StoreBroken, StoreError
from server.operations.desk import AdminError
from tools.os_errors import explain

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
        _leave(group, BROKEN)
    except* (AdminError, InputError, ConfigError, FolderError, StoreError, KeyFault, OSError) as group:
        _leave(group, USAGE)


def _leave(group: BaseExceptionGroup[BaseException], code: int) -> None:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    try:
        print(f"error: {explain(error) if isinstance(error, OSError) else error}", file=sys.stderr)
    except OSError:
        sys.stderr = None  # nobody reads it: it must not be tried again at the end, which would change the exit code
    raise SystemExit(code)
