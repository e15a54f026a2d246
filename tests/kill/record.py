"""What one terminal of the load side knows, in a file of its own: each line is on the disk before it counts.

Sales are numbered by their STAN and follow from it, so that a line needs no more than that and the answer's bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from protocol.messages import SaleRequest
from tests.wire import CLAIMED_AT_S

CARDS: Final = (b"\x04\xa1\xb2\xc3", b"\x04\xd4\xe5\xf6")
BATCH: Final = 1


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """`what` is sent, answered, reversing or reversed; `answer` the body of the host's message."""

    what: str
    stan: int
    answer: bytes = b""


def sale(stan: int) -> SaleRequest:
    """The sale of this number: always the same one."""
    return SaleRequest(
        stan=stan, batch=BATCH, amount_fen=1 + stan % 7, payer=CARDS[stan % 2], claimed_at_s=CLAIMED_AT_S
    )


class Record:
    """One terminal's memory. Opening it again finds all that was written; a torn last line was never counted.

    `reading` looks only: somebody else may be writing it.
    """

    def __init__(self, path: Path, *, reading: bool = False) -> None:
        self.newest = 0
        """The newest STAN used."""
        self.answered: dict[int, bytes] = {}
        """Sales that were approved, with the body of the approval."""
        self.reversed: dict[int, bytes] = {}
        """Sales whose reversal was confirmed, with the body of the confirmation."""
        self.reversing: set[int] = set()
        self.in_doubt: set[int] = set()
        """Sent, and neither answered nor reversed."""
        whole = self._read(path)
        self._file = path.open("rb" if reading else "ab")
        if not reading:
            self._file.truncate(whole)

    def _read(self, path: Path) -> int:
        path.touch()
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for text in data[:whole].splitlines():
            self._take(msgspec.json.decode(text, type=Line))
        return whole

    def _take(self, line: Line) -> None:
        self.newest = max(self.newest, line.stan)
        if line.what == "sent":
            self.in_doubt.add(line.stan)
        elif line.what == "reversing":
            self.reversing.add(line.stan)
        else:
            self.in_doubt.discard(line.stan)
            (self.answered if line.what == "answered" else self.reversed)[line.stan] = line.answer

    def note(self, what: str, stan: int, answer: bytes = b"") -> None:
        """On the disk when this returns."""
        line = Line(what, stan, answer)
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._take(line)

    def close(self) -> None:
        self._file.close()
