"""Backups: one file that holds a whole ledger, the configuration, and what both of them say about themselves.

A backup is always an embedded ledger file, whatever store it was made from: `fanka verify` and `fanka restore` take it
as it is. It gets its name only when it is whole, has passed every check and is on the disk; until then it is called
`NAME.unfinished`. It holds terminal keys wrapped under the key-encryption key, and never that key.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from server.config import default_text, load_config, parse_config
from server.folder import DataFolder, sync_folder, write_new
from server.keys import KekFiles, fingerprint_of, known_fingerprint
from server.ledger.checks import Check
from server.ledger.copy import copy_ledger
from server.ledger.ledger import NO_DAY
from server.ledger.recovery import FIRST_HISTORY
from server.ledger.registry import Registry
from server.ledger.sqlite import PAGE_SIZE, SqliteStore
from server.ledger.sqlite_copy import CONFIG, MANIFEST, copy_pages, leave_wal, registry_digest, write_meta
from server.ledger.store import Store
from server.ledger.verify import verify
from server.stores import open_postgres, without_password

EMBEDDED: Final = "embedded"
POSTGRES: Final = "postgres"
"""Where a ledger stood."""
BACKUP_WHOLE: Final = "backup_whole"
"""Name of the check that only backups have."""
SYNC_BYTES: Final = 4 << 20
"""The copy goes to the disk in pieces of this size. Left to the system it would pile up there, and the host's next
commit would have to wait until all of it is written."""
PAUSE_SHARE: Final = 1.0
"""Pause for as long as the last piece took: at most half of the disk's time is the backup's."""
PAUSE_MAX_S: Final = 0.5
NAME: Final = re.compile(r"ledger-\d{8}T\d{6}Z\.backup")
"""What a backup is called that is put into a folder: by the time it was made, UTC."""
COMPANIONS: Final = ("", "-journal", "-wal", "-shm")

ShowProgress = Callable[[str, int, int], None]
"""(what is done, how much of it, of how much)"""


class BackupError(Exception):
    """No backup was made, or there is none to be read; says what was expected, what came and what to do."""


class BackupBad(BackupError):
    """What was copied fails its checks, so it is no backup. `checks` says which rows."""

    def __init__(self, text: str, checks: list[Check]) -> None:
        super().__init__(text)
        self.checks = checks


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says about itself."""

    taken_at_ms: int
    newest_seq: int
    """The newest transfer in it."""
    newest_digest: str
    """That transfer's digest, hex: the end of the journal's hash chain."""
    business_day: int
    epoch: int
    """How often the host had been started on this ledger."""
    history: int
    """How often it had been restored, counted from 1."""
    kek_fingerprint: str
    """Of the key-encryption key that opens its terminal keys; empty before the host's first start."""
    program: str
    """Version of Fanka that made it."""
    store: str
    """Where the ledger stood: EMBEDDED or POSTGRES."""
    registry_digest: str
    """Of all that the hash chain does not cover, so that a copy gone bad is noticed there too."""


class Pace(Protocol):
    """The passing of time, for whoever copies."""

    def now_s(self) -> float:
        """Seconds from some moment on."""

    def sleep(self, seconds: float) -> None:
        """Let others work."""


class RealPace:
    """The system's clock."""

    def now_s(self) -> float:
        """See `Pace`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `Pace`."""
        time.sleep(seconds)


def make_backup(
    folder: DataFolder, to: Path, *, now_ms: int, program: str, show: ShowProgress, pace: Pace | None = None
) -> tuple[Path, Manifest]:
    """Back up a data folder's ledger, also while its host runs, to the file `to`, or into the folder `to`.

    Raises BackupError, BackupBad, StoreError or OSError: then there is no backup, and what was begun is gone.
    """
    folder.check()
    postgres = load_config(folder.config_path).ledger.postgres
    path = to / name_at(now_ms) if to.is_dir() else to
    check_free(path)
    with _unfinished(path) as (unfinished, descriptor):
        if postgres:
            copy_rows(postgres, unfinished, show)
        else:
            copy_pages(folder.ledger_path, unfinished, _Paced(descriptor, pace or RealPace(), show).step)
        store = POSTGRES if postgres else EMBEDDED
        manifest = describe(unfinished, now_ms=now_ms, program=program, store=store)
        write_meta(
            unfinished,
            {MANIFEST: msgspec.json.encode(manifest).decode(), CONFIG: _config_text(folder)},
        )
        os.fsync(descriptor)
        check_copy(unfinished, show)
        check_free(path)  # nobody else's file came into being under the name meanwhile
        unfinished.rename(path)
        sync_folder(path.parent)
    return path, manifest


def _config_text(folder: DataFolder) -> str:
    """The settings as they are written, but for the database's password: backups are carried about and kept."""
    text = folder.config_path.read_text("utf-8")
    postgres = parse_config(text).ledger.postgres
    if not postgres:
        return text
    bare = without_password(postgres)
    text = text.replace(postgres, bare)
    if parse_config(text).ledger.postgres == bare:
        return text
    return default_text({("ledger", "postgres"): bare})  # it is written in some way we cannot change by replacing


def copy_rows(postgres: str, target: Path, show: ShowProgress) -> None:
    """Copy the ledger in a database, as of one snapshot, into the empty file `target`. Not synced."""
    with (
        contextlib.closing(open_postgres(postgres, readonly=True, create=False)) as source,
        contextlib.closing(SqliteStore(target)) as store,
    ):
        copy_ledger(source, store, lambda done, total: show("copying", done, total))
    leave_wal(target)


def name_at(now_ms: int) -> str:
    """The name of a backup made at this time."""
    return f"ledger-{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%dT%H%M%SZ}.backup"


def check_free(path: Path) -> None:
    """Raise BackupError unless a new file may come into being under this name."""
    if path.exists() or path.is_symlink():
        raise BackupError(f"{path}: expected a new name, found a file; a backup never overwrites anything")
    if not path.parent.is_dir():
        raise BackupError(f"{path.parent}: expected a folder to put the backup into, found none; make it first")


@contextlib.contextmanager
def _unfinished(path: Path) -> Iterator[tuple[Path, int]]:
    """An empty file beside `path`, for its owner alone, that is gone afterwards unless it was renamed; and it open.

    The lock on it tells one that a killed process has left, which is done away with, from one under way.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"{unfinished}: another backup to this name is under way; wait for it") from None
        if not _is_named(unfinished, descriptor):
            raise BackupError(f"{path}: another backup to this name ended just now; try again")
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        try:
            yield unfinished, descriptor
        finally:
            for companion in COMPANIONS:
                unfinished.with_name(unfinished.name + companion).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _is_named(path: Path, descriptor: int) -> bool:
    """Whether an open file has this name, still: a finished backup has got its own, and must not be written to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class _Paced:
    """Writes the copy out piece by piece, and pauses after each: a backup has time, the tills have not."""

    def __init__(self, descriptor: int, pace: Pace, show: ShowProgress) -> None:
        self._descriptor = descriptor
        self._pace = pace
        self._show = show
        self._synced = 0
        self._began_s = pace.now_s()

    def step(self, done: int, total: int) -> None:
        """See `OnStep`."""
        self._show("copying", done, total)
        if done < total and (done - self._synced) * PAGE_SIZE < SYNC_BYTES:
            return
        self._synced = done
        os.fdatasync(self._descriptor)
        self._pace.sleep(min(PAUSE_MAX_S, PAUSE_SHARE * (self._pace.now_s() - self._began_s)))
        self._began_s = self._pace.now_s()


def describe(path: Path, *, now_ms: int, program: str, store: str) -> Manifest:
    """What the ledger file at `path` says about itself."""
    with contextlib.closing(SqliteStore(path, readonly=True)) as opened:
        registry = Registry(opened)
        seq, digest = opened.head()
        days = registry.days(1)
        return Manifest(
            taken_at_ms=now_ms,
            newest_seq=seq,
            newest_digest=digest.hex(),
            business_day=days[0].day if days else NO_DAY,
            epoch=int(registry.meta("epoch") or 0),
            history=int(registry.meta("history") or FIRST_HISTORY),
            kek_fingerprint=known_fingerprint(registry) or "",
            program=program,
            store=store,
            registry_digest=registry_digest(path),
        )


def check_copy(path: Path, show: ShowProgress) -> None:
    """Raise BackupBad unless the ledger file at `path` holds in every respect."""
    with contextlib.closing(SqliteStore(path, readonly=True)) as store:
        check_store(store, path, show)


def check_store(store: Store, path: Path, show: ShowProgress) -> None:
    """The same for one that is open."""
    checks = verify(store, lambda done, total: show("checking", done, total))
    bad = [check for check in checks if not check.ok]
    if bad:
        found = "; ".join(f"{check.name}: {check.detail}" for check in bad)
        raise BackupBad(f"{path}: expected a ledger whose books hold, got {found}", bad)


def read_manifest(store: Store) -> Manifest | None:
    """A backup's manifest; None for a ledger file that `fanka backup` has not made. BackupError if it is garbled."""
    text = Registry(store).meta(MANIFEST)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BackupError(f"manifest: expected what a backup says about itself, got {text[:80]!r}: {error}") from error


def check_backup(path: Path) -> list[Check]:
    """One more check of a ledger file that is a backup; none of one that is not. Never raises for what is in it."""
    try:
        with contextlib.closing(SqliteStore(path, readonly=True)) as store:
            manifest, newest = read_manifest(store), store.head()
        why = check_whole(manifest, newest, registry_digest(path)) if manifest is not None else None
    except Exception as error:  # the driver has many words for a broken file, and the other checks say them
        return [Check(BACKUP_WHOLE, False, f"not finished: {type(error).__name__}: {error}")]
    if manifest is None:
        return []
    return [Check(BACKUP_WHOLE, why is None, why or "everything is as the backup says of itself")]


def check_whole(manifest: Manifest, newest: tuple[int, bytes], found_digest: str) -> str | None:
    """How a backup differs from what it says about itself; None if it does not. `newest` is its newest transfer."""
    if (newest[0], newest[1].hex()) != (manifest.newest_seq, manifest.newest_digest):
        return (
            f"expected transfer {manifest.newest_seq} with digest {manifest.newest_digest} to be the newest,"
            f" got {newest[0]} with {newest[1].hex()}"
        )
    if found_digest != manifest.registry_digest:
        return (
            "expected who is who (customers, cards, merchants, terminals, days) to be as when the backup was made:"
            f" digest {manifest.registry_digest}, got {found_digest}"
        )
    return None


def prune(folder: Path, keep: int, made: Path) -> list[Path]:
    """Delete all but the `keep` newest backups of a folder, by their names; never the one just made. What is gone.

    Only files that are called like a backup count: nothing else in the folder is touched.
    """
    found = sorted((path for path in folder.iterdir() if NAME.fullmatch(path.name)), reverse=True)
    others = [path for path in found if path != made]
    gone = others[keep - 1 :]
    for path in gone:
        path.unlink()
    return gone


def kek_place(folder: DataFolder, to: Path, backup: Path | None) -> Path:
    """The file that a copy of the key-encryption key may become: new, and apart from ledger and backups.

    `to` is the file or a folder for it, `backup` where a backup goes at the same time. Raises BackupError.
    """
    path = to / folder.kek_path.name if to.is_dir() else to
    check_free(path)
    backups = None if backup is None else backup if backup.is_dir() else backup.parent
    apart = [other.resolve() for other in (folder.path, backups) if other is not None]
    if path.parent.resolve() in apart or any(NAME.fullmatch(child.name) for child in path.parent.iterdir()):
        raise BackupError(
            f"{path}: expected a place apart from the ledger and its backups: whoever finds one of them together with"
            " kek.key has the keys of all terminals"
        )
    return path


def check_apart(folder: DataFolder, to: Path) -> None:
    """Raise BackupError if a backup to the file or folder `to` would stand beside the ledger or kek.key."""
    place = (to if to.is_dir() else to.parent).resolve()
    if place in (folder.path.resolve(), folder.kek_path.resolve().parent) or (place / folder.kek_path.name).exists():
        raise BackupError(
            f"{to}: expected a place apart from the ledger and kek.key: whoever finds a backup together with kek.key"
            " has the keys of all terminals, and what is lost with the ledger is no backup of it"
        )


def copy_kek(folder: DataFolder, path: Path) -> str:
    """Copy the key-encryption key to a new file for its owner alone; its fingerprint. Raises KeyFault or OSError."""
    files = KekFiles(folder.kek_path)
    if files.next_path.exists():
        raise BackupError(
            f"{files.next_path}: expected one key-encryption key, found a second: keys are being re-wrapped;"
            " finish that first (`fanka admin keys rewrap`), then copy the new one"
        )
    kek = files.load()
    write_new(path, kek.hex() + "\n")
    sync_folder(path.parent)
    return fingerprint_of(kek)
