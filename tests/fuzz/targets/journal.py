"""Any bytes as a terminal's journal: a memory that opens again the same, or StorageError and the file untouched.

Only a last line without its end or checksum may be dropped, and that is said; a line that is whole is never lost.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path

from terminal_emulator.file_storage import JOURNAL_NAME, FileStorage
from terminal_emulator.record import Record
from terminal_emulator.storage import StorageError
from tests.fuzz.target import Target

MEND = 1
"""Mode bit: every line gets its checksum."""
RAM = Path("/dev/shm")
_folder = tempfile.TemporaryDirectory(prefix="fanka-fuzz-", dir=RAM if os.access(RAM, os.W_OK) else None)


def line(text: bytes) -> bytes:
    """A whole line of the journal."""
    return b"%08x %s\n" % (zlib.crc32(text), text)


def memory(storage: FileStorage) -> tuple[object, ...]:
    """All that it remembers."""
    return dict(storage.records), storage.used, storage.newest_approved, storage.epoch


def run(data: bytes) -> str:
    mode, text = data[0] if data else 0, data[1:]
    if mode & MEND:
        text = b"".join(map(line, text.split(b"\n")))
    folder = Path(_folder.name)
    path = folder / JOURNAL_NAME
    path.write_bytes(text)
    try:
        storage = FileStorage(folder)
    except StorageError as error:
        assert str(path) in str(error)
        assert path.read_bytes() == text
        return "damaged"
    found, torn = memory(storage), storage.torn
    storage.close()
    kept = path.read_bytes()
    assert kept == text[: len(text) - torn]
    dropped = text[len(kept) :]
    assert b"\n" not in dropped[:-1]
    again = FileStorage(folder)
    assert (memory(again), again.torn) == (found, 0)
    again.save(Record(batch=1, stan=1, amount_fen=1, payer=b"\1", claimed_at_s=0))
    again.close()
    last = FileStorage(folder)
    assert last.records[1, 1].amount_fen == 1
    last.close()
    return f"{min(len(found[0]), 2)} records {'torn' if torn else ''} {found[1:] != ((1, 0), (0, 0), 0)}"


SALE = (
    b'{"type":"sale","batch":1,"stan":2,"amount_fen":100,"payer":"BKGyww==","claimed_at_s":5,"operator":0,'
    b'"entry_mode":1,"state":"approved","response_code":"00","rrn":9,"balance_fen":1,"posted_at_ms":3}'
)
USED, EPOCH = b'{"type":"used","batch":2,"stan":3}', b'{"type":"epoch","epoch":7}'


def seeds() -> list[bytes]:
    whole = line(SALE) + line(USED) + line(EPOCH)
    return [
        b"\0",
        b"\0" + whole,
        b"\0" + whole[:-5],
        b"\0" + whole[:20] + whole[21:],
        b"\1" + SALE,
        b"\1" + USED + b"\n" + SALE,
    ]


WORDS = (
    *(b'"type":"sale"', b'"type":"used"', b'"type":"epoch"', b'"state":"pending"', b'"state":"reversing"', b'"batch":'),
    *(b'"stan":', b'"payer":""', b"null", b"-1", b"1e999", b"9" * 40, b"\n", b"\n\n", b"[" * 40, b"00000000 ", b"\0"),
)
TARGET = Target(run, seeds, words=WORDS, share=0.15)
