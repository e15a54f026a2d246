"""What the operating system refuses, in our words: where, what was expected, what came, what to do."""

from __future__ import annotations

import errno
import sys
from typing import Final, NoReturn

ADVICE: Final = {
    errno.ENOENT: ("something by this name", "check the path"),
    errno.EISDIR: ("a file", "name a file in it"),
    errno.ENOTDIR: ("a folder where a file stands", "check the path"),
    errno.EACCES: ("a place this user may use", "look at its owner and permissions"),
    errno.EPERM: ("a place this user may use", "look at its owner and permissions"),
    errno.EROFS: ("a place that can be written to", "choose another"),
    errno.ENOSPC: ("room on the disk", "make some"),
}
"""Error number to what was expected and what to do."""


def explain(error: OSError) -> str:
    """One line about a failed call. An error of ours carries a whole sentence: its number in front helps nobody."""
    if error.filename is None:
        return error.strerror or str(error)
    expected, mend = ADVICE.get(error.errno or 0, ("to be able to use it", "look at the path and its disk"))
    name = error.filename.decode("utf-8", "replace") if isinstance(error.filename, bytes) else str(error.filename)
    return f'{name}: expected {expected}, got "{error.strerror or error}"; {mend}'


def leave(group: BaseExceptionGroup[BaseException], code: int, *, prefix: str = "error: ") -> NoReturn:
    """Say the first error of a group in one message on standard error, and end the command."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    try:
        print(f"{prefix}{explain(error) if isinstance(error, OSError) else error}", file=sys.stderr)
    except OSError:
        sys.stderr = None  # nobody reads it: it must not be tried again at the end, which would change the exit code
    raise SystemExit(code)
