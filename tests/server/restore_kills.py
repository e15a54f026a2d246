"""Restores a backup again and again, killed at the first system call, the second, the third, ... to the last.

A process of its own: `python -m tests.server.restore_kills FOLDER BACKUP KEK CASE`. It forks for every kill, which is
quick and, without threads, safe. Prints one JSON line per kill: the call it came at, and what was found afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from server.folder import DataFolder
from server.ledger.ledger import Ledger
from server.ledger.model import SaleLimits
from server.ledger.sqlite import SqliteStore
from server.ledger.verify import verify
from server.restore import restore

CALLS = ("open", "os.", "fcntl.")
"""Audit events that are system calls on files. What SQLite does between them touches only the unfinished ledger."""
MANY = 1000
LATER_MS = 1_789_100_000_000


def die_at(number: int, note: int) -> Callable[..., None]:
    """An audit hook that is this process's end at its `number`-th call; the call goes into the pipe `note`."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if not event.startswith(CALLS):
            return
        count += 1
        if count == number:
            names = [os.path.basename(str(name)) for name in arguments[:2] if isinstance(name, str | Path)]
            os.write(note, " ".join([event, *names]).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def killed_at(number: int, backup: Path, folder: Path, kek: Path) -> str | None:
    """Restore in a child that dies at call `number`; which call that was, or None if it came to its end before."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        sys.addaudithook(die_at(number, writer))
        restore(backup, DataFolder(folder), kek=kek, replace=True, now_ms=LATER_MS, show=lambda *_: None)
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        call = pipe.read().decode()
    assert (status == 0) == (call == ""), f"expected a kill or success, got {status} at {call!r}"
    return call or None


def state(path: Path) -> list[object]:
    """[newest transfer, history, books hold] of a ledger as a host would find it; nothing if there is none."""
    if not path.exists():
        return []
    # As a host does: the log beside it counts.
    with contextlib.closing(SqliteStore(path, create=False)) as store:
        ledger = Ledger(store, SaleLimits(0, 0))
        return [ledger.head_seq, ledger.history, all(check.ok for check in verify(store))]


def main() -> None:
    """See the module's docstring."""
    template, backup, kek = map(Path, sys.argv[1:4])
    for number in range(1, MANY):
        folder = template.with_name(f"{template.name}-{number}")
        shutil.copytree(template, folder)
        call = killed_at(number, backup, folder, kek)
        looked = folder.with_name(f"{folder.name}-looked")
        shutil.copytree(folder, looked)  # looking opens and changes it: not the one that is restored again
        found: dict[str, object] = {"call": call, "ledger": state(looked / "ledger.db")}
        for aside in folder.glob("ledger.db.before-restore-?"):
            found["aside_kept"] = state(looked / aside.name)
        if call is not None:
            restore(backup, DataFolder(folder), kek=kek, replace=True, now_ms=LATER_MS, show=lambda *_: None)
        found["again"] = state(folder / "ledger.db")
        found["aside"] = [
            state(path) for path in sorted(folder.glob("ledger.db.before-restore-*")) if path.name[-1].isdigit()
        ]
        found["names"] = sorted(path.name for path in folder.iterdir())
        print(json.dumps(found), flush=True)
        shutil.rmtree(folder)
        shutil.rmtree(looked)
        if call is None:
            return
    raise AssertionError(f"expected an end within {MANY} calls")


if __name__ == "__main__":
    main()
