"""A ledger back from its backup. A kill at any point leaves a folder without a ledger, or with the whole restored one.

Everything is done to `ledger.db.restoring`: copied, checked, its history raised. Only then does it get its name, as the
last step, and no host can serve it before: a restored ledger whose history stayed as it was would not be noticed by the
terminals that have sold since.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from server.backup import (
    BACKUP_WHOLE,
    COMPANIONS,
    BackupBad,
    BackupError,
    Manifest,
    ShowProgress,
    check_store,
    check_whole,
    read_manifest,
)
from server.config import ConfigError, default_text, load_config, parse_config
from server.folder import LOST_AND_FOUND, DataFolder, FolderError, sync_folder, write_new
from server.keys import KekFiles, KeyFault, coming_fingerprint, known_fingerprint, load_kek
from server.ledger.checks import Check
from server.ledger.copy import copy_ledger
from server.ledger.ledger import Ledger
from server.ledger.model import SaleLimits
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.ledger.sqlite_copy import BACKUP_ROWS, CONFIG, copy_pages, registry_digest
from server.ledger.store import StoreError
from server.stores import is_embedded, open_postgres, place_of

RESTORING: Final = ".restoring"
WRITING: Final = ".writing"
ASIDE: Final = ".before-restore-"
NOTES: Final = (*BACKUP_ROWS, "probe")
"""Rows of `meta` that say something about the backup, or the disk before: not about the ledger that is restored."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore has done."""

    ledger: str
    """Where it is."""
    newest_seq: int
    newest_digest: str
    business_day: int
    taken_at_ms: int
    """When the backup was made; 0 if it does not say (a plain copy of a ledger)."""
    newest_posted_at_ms: int
    """When its newest transfer was posted; 0 if it has none."""
    history: int
    kek_fingerprint: str
    moved_aside: list[str]
    """What stood in the way, under its new name."""


def restore(
    backup: Path,
    folder: DataFolder,
    *,
    kek: Path | None = None,
    replace: bool = False,
    now_ms: int,
    show: ShowProgress,
) -> Restored:
    """Put the ledger of `backup` into a new data folder, or one whose ledger is lost.

    `kek` is a file with the key-encryption key, for a folder that has none. With `replace` a ledger file that is there
    is moved aside first; a database that the folder's configuration names must be empty.

    Raises BackupError, BackupBad, FolderError (FolderBusy), ConfigError, KeyFault, StoreError or OSError: then the
    folder has the ledger it had before, or still none.
    """
    _check_place(backup, folder, replace)
    _make_folder(folder.path)
    with folder.locked("fanka restore"):
        _check_place(backup, folder, replace)  # once more: now nobody changes it
        _unlink_all(_restoring(folder))
        try:
            _check_kek(folder, kek)
            with _damage_explained(backup):
                restored, missing = _build(backup, folder, kek, now_ms, show)
            for path, content in missing.items():  # before the ledger: a folder that has one can be served
                _write_whole(path, content)
            aside = _put_in_place(folder, load_config(folder.config_path).ledger.postgres, show)
        except OSError as error:
            if error.errno == errno.ENOSPC and error.filename is None:
                error.filename = str(folder.path)  # a write knows only its descriptor
            raise
        finally:
            _unlink_all(_restoring(folder))
    return msgspec.structs.replace(restored, ledger=place_of(folder), moved_aside=[str(path) for path in aside])


@contextlib.contextmanager
def _damage_explained(backup: Path) -> Iterator[None]:
    """A file too broken to be read (its driver has many exceptions for that) is no backup."""
    try:
        yield
    except (BackupError, ConfigError, KeyFault, StoreError, OSError):
        raise
    except Exception as error:
        raise BackupError(
            f"{backup}: expected a whole backup, reading it failed: {type(error).__name__}: {error}; take another one"
        ) from error


def _put_in_place(folder: DataFolder, postgres: str, show: ShowProgress) -> list[Path]:
    """The one step after which there is a ledger: a name in the folder, or a commit in the database."""
    if postgres:
        with (
            contextlib.closing(SqliteStore(_restoring(folder), readonly=True)) as source,
            contextlib.closing(open_postgres(postgres)) as target,
        ):
            copy_ledger(source, target, lambda done, total: show("filling", done, total))
        return []
    aside = _move_aside(folder.ledger_path)
    _restoring(folder).rename(folder.ledger_path)
    sync_folder(folder.path)
    return aside


def _restoring(folder: DataFolder) -> Path:
    return folder.ledger_path.with_name(folder.ledger_path.name + RESTORING)


def _check_place(backup: Path, folder: DataFolder, replace: bool) -> None:
    """Raise unless there is something to restore and nothing in its way."""
    if not backup.is_file():
        raise BackupError(f"{backup}: expected a backup file, found none; check the path")
    if folder.path.exists() and not folder.path.is_dir():
        raise FolderError(f"{folder.path}: expected a data folder or a new one, found a file; choose another place")
    if folder.ledger_path.exists():
        if folder.ledger_path.samefile(backup):
            raise BackupError(f"{backup}: expected a backup, got the folder's own ledger")
        if not replace and (not folder.config_path.is_file() or is_embedded(folder)):
            raise FolderError(
                f"{folder.ledger_path}: expected no ledger here, found one; with --replace it is moved aside first"
            )
    if folder.path.is_dir() and not folder.config_path.exists():
        ours = (folder.kek_path, folder.ledger_path, folder.config_path, folder.control_path, folder.lock_path)
        names = (*(path.name for path in ours), folder.running_path.name, LOST_AND_FOUND)
        for child in sorted(folder.path.iterdir()):
            if not child.name.startswith(names):  # ledger.db-wal, kek.key.55c7039c60773823.old, fanka.toml.writing
                raise FolderError(
                    f"{folder.path}: expected a data folder or an empty one, found {child.name} in it and no"
                    " fanka.toml; choose another place"
                )


def _make_folder(path: Path) -> None:
    new = [place for place in (path, *path.parents) if not place.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if new:
        path.chmod(0o700)
    for place in new:
        sync_folder(place.parent)


def _check_kek(folder: DataFolder, kek: Path | None) -> None:
    """Raise KeyFault at once, not after an hour of copying, when there is no key at all or none that can be read."""
    if kek is not None:
        load_kek(kek)
    elif not folder.kek_path.exists():
        raise KeyFault(
            f"{folder.kek_path}: expected the key-encryption key, found no file; name its copy with --kek FILE:"
            " without it every terminal has to be enrolled again"
        )


def _missing_keks(registry: Registry, folder: DataFolder, kek: Path | None, backup: Path) -> dict[Path, bytes]:
    """Which KEKs the folder lacks for this ledger, and the files to put them into. KeyFault if nobody has one.

    A ledger may need two, and others than the folder has now: it may be older than the last change of the KEK, or from
    the midst of it. The host takes them by fingerprint, from whatever file they are in.
    """
    files = KekFiles(folder.kek_path)
    given = KekFiles(kek) if kek is not None else None
    known, coming = known_fingerprint(registry), coming_fingerprint(registry)
    if known is None:
        return {} if given is None or files.path.exists() else {files.path: given.load()}
    missing = {}
    for wanted, place in ((known, files.path), (coming, files.next_path)):
        found = files.find(wanted) if wanted is not None else None
        if wanted is None or (found is not None and files.path.exists()):
            continue
        found = found or (given.find(wanted) if given is not None else None)
        if found is None:
            raise KeyFault(
                f"{backup}: its terminal keys are under the key-encryption key with fingerprint {wanted}, which is in"
                f" none of {folder.path}/kek.key*; name the copy of that key with --kek FILE"
            )
        missing[place.with_name(f"{files.path.name}.{wanted}.old") if place.exists() else place] = found
    return missing


def _build(
    backup: Path, folder: DataFolder, kek: Path | None, now_ms: int, show: ShowProgress
) -> tuple[Restored, dict[Path, str]]:
    """The whole restored ledger, durable, under its working name; and the other files that the folder lacks."""
    restoring = _restoring(folder)
    write_new(restoring, "")
    copy_pages(backup, restoring, lambda done, total: show("copying", done, total))
    found_digest = registry_digest(restoring)  # before an older schema is brought up to date
    with contextlib.closing(SqliteStore(restoring, create=False)) as store:
        registry = Registry(store)
        missing = {path: key.hex() + "\n" for path, key in _missing_keks(registry, folder, kek, backup).items()}
        check_store(store, backup, show)
        manifest = read_manifest(store)
        if manifest is not None and (why := check_whole(manifest, store.head(), found_digest)):
            raise BackupBad(f"{backup}: {why}", [Check(BACKUP_WHOLE, False, why)])
        if not folder.config_path.exists():
            missing[folder.config_path] = registry.meta(CONFIG) or default_text()
            parse_config(missing[folder.config_path], "the backup's fanka.toml")
        with store.transaction():
            for name in NOTES:
                store.execute("DELETE FROM meta WHERE name = ?", (name,))
        ledger = Ledger(store, SaleLimits(0, 0))
        ledger.open_history(now_ms)
        restored = _describe(store, ledger, manifest)
    _sync_file(restoring)  # most of its pages were copied without a sync
    sync_folder(restoring.parent)
    left = [path for path in _companions(restoring) if path != restoring and path.exists()]
    if left:
        raise BackupError(f"{restoring}: expected one whole file, found {left[0].name}; try again")
    return restored, missing


def _describe(store: SqliteStore, ledger: Ledger, manifest: Manifest | None) -> Restored:
    seq, digest = store.head()
    posted = store.execute("SELECT posted_at_ms FROM transfers WHERE seq = ?", (seq,))
    return Restored(
        ledger="",
        newest_seq=seq,
        newest_digest=digest.hex(),
        business_day=ledger.business_day,
        taken_at_ms=manifest.taken_at_ms if manifest is not None else 0,
        newest_posted_at_ms=posted[0][0] if posted else 0,
        history=ledger.history,
        kek_fingerprint=known_fingerprint(Registry(store)) or "",
        moved_aside=[],
    )


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + WRITING)
    unfinished.unlink(missing_ok=True)
    write_new(unfinished, text)
    unfinished.replace(path)
    sync_folder(path.parent)


def _move_aside(ledger: Path) -> list[Path]:
    """Give a ledger that is there, with its write-ahead log, another name; what the names are.

    A log without its ledger goes too: beside another ledger SQLite would take it for that one's. All get their second
    names before the first ones go, so that at no moment the two are apart, and the ledger's goes before its log's, so
    that nothing serves it without. Each step is on the disk before the next.
    """
    _undo_aside(ledger)
    found = [path for path in _companions(ledger) if path.exists()]
    aside = _free_name(ledger)
    moved = []
    for path in found:
        if not _second_names(path, ledger):  # a log may have one from a restore that was interrupted
            moved.append(aside.with_name(aside.name + path.name.removeprefix(ledger.name)))
            os.link(path, moved[-1])
    sync_folder(ledger.parent)
    for path in found:
        path.unlink()
        sync_folder(ledger.parent)
    return moved


def _undo_aside(ledger: Path) -> None:
    """Take back the second names that an interrupted restore gave to a ledger which still has its first: a host may
    have written it since, so that only the first name goes with the log beside it."""
    if ledger.exists():
        for second in _second_names(ledger, ledger):
            _unlink_all(second)


def _second_names(path: Path, ledger: Path) -> list[Path]:
    """The names under which a file has been moved aside already."""
    return [other for other in ledger.parent.glob(f"{ledger.name}{ASIDE}*") if other.samefile(path)]


def _free_name(ledger: Path) -> Path:
    number = 1
    while any(path.exists() for path in _companions(ledger.with_name(f"{ledger.name}{ASIDE}{number}"))):
        number += 1
    return ledger.with_name(f"{ledger.name}{ASIDE}{number}")


def _companions(path: Path) -> Iterator[Path]:
    """A database file and what SQLite puts beside it; the file itself first."""
    return (path.with_name(path.name + companion) for companion in COMPANIONS)


def _unlink_all(path: Path) -> None:
    for companion in _companions(path):
        companion.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
