"""`fanka backup`: the ledger and its configuration in one checked file, while the host serves. Keys only on request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import Parameter
from cyclopts.types import PositiveInt

from tools.listing import console, moment, print_json, progress
from tools.options import AsJson, data_folder, step_aside, zone_of

if TYPE_CHECKING:
    from server.backup import ShowProgress
    from server.folder import DataFolder
    from server.ledger.checks import Check

BAD: Final = 1
"""Exit code when the ledger fails its checks: there is no backup of it to be had."""


def backup(
    data: Path | None = None,
    /,
    *,
    to: str | None = None,
    keep: PositiveInt | None = None,
    keys_to: Annotated[Path | None, Parameter(name="--keys-to")] = None,
    json: AsJson = False,
) -> int:
    """Back up a data folder, also while its host runs: one consistent file, checked before it gets its name.

    Exit code 0 if the backup is good, 1 if the ledger fails its checks, 2 if there is no backup for another reason.

    Parameters
    ----------
    data
        The data folder; default $FANKA_DATA, this folder, or the only one below it.
    to
        The backup's file, which must not exist; or a folder, in which it is called after the time.
    keep
        With a folder: when the new backup is good, delete all but so many of the backups in it.
    keys_to
        Copy kek.key there, or only that: a new file, or a folder, apart from the ledger's backups. Without this key
        every terminal has to be enrolled again; whoever has it and a backup has the keys of all terminals.
    """
    from server.backup import BackupBad, check_apart, copy_kek, kek_place, prune
    from tools.faults import InputError, explained

    with explained():
        if to is None and keys_to is None:
            raise InputError("backup: expected --to FILE or --to FOLDER (or --keys-to FILE), got neither")
        place = Path(to) if to is not None else None
        if to is not None and to.endswith("/") and not Path(to).is_dir():
            raise InputError(f"backup: --to: expected a folder, found none called {to}; make it first")
        if keep is not None and (place is None or not place.is_dir()):
            raise InputError(f"backup: --keep: expected --to to name a folder that is there, got {to}")
        folder = data_folder(data)
        keys = kek_place(folder, keys_to, place) if keys_to is not None else None
        step_aside()
        result: dict[str, Any] = {}
        if place is not None:
            check_apart(folder, place)
            try:
                path, result = _ledger(folder, place, quiet=json)
            except BackupBad as bad:
                sentence = "no backup was made: the ledger's books do not hold; keep the data folder, find out why"
                print_checks(bad.checks, {"backup": None}, sentence, as_json=json)
                return BAD
            if keep is not None:
                result["deleted"] = [str(gone) for gone in prune(place, keep, path)]
        if keys is not None:
            result |= {"keys": str(keys), "keys_fingerprint": copy_kek(folder, keys)}
    if json:
        print_json(result)
    else:
        _print_done(folder, result)
    return 0


def _ledger(folder: DataFolder, to: Path, *, quiet: bool) -> tuple[Path, dict[str, Any]]:
    import time
    from importlib.metadata import version

    from server.backup import EMBEDDED, make_backup

    with shown_progress(quiet=quiet) as show:
        path, manifest = make_backup(
            folder, to, now_ms=time.time_ns() // 1_000_000, program=version("fanka"), show=show
        )
    found = path.stat()
    is_beside = manifest.store == EMBEDDED and found.st_dev == folder.ledger_path.stat().st_dev
    return path, {
        "backup": str(path),
        "bytes": found.st_size,
        "same_disk": is_beside,
        **msgspec.structs.asdict(manifest),
    }


@contextlib.contextmanager
def shown_progress(*, quiet: bool) -> Iterator[ShowProgress]:
    """A bar that follows a job through its stages."""
    with progress(quiet=quiet) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def print_checks(checks: list[Check], nothing: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    """The checks that failed, and what follows from it."""
    if as_json:
        print_json({**nothing, "checks": [msgspec.structs.asdict(check) for check in checks]})
        return
    for check in checks:
        console().print(f"BAD  {check.name:<26}{check.detail}")
    console().print(sentence)


def _print_done(folder: DataFolder, result: dict[str, Any]) -> None:
    show = console().print
    if "backup" in result:
        zone = zone_of(folder.path)
        show(f"backup: {result['backup']}, {result['bytes'] >> 10} KiB, all checks hold")
        show(f"taken:  {moment(result['taken_at_ms'], zone)} ({zone}), business day {result['business_day']}")
        show(f"newest transfer: {result['newest_seq']}, digest {result['newest_digest']}")
        if result["same_disk"]:
            show("it is on the ledger's own disk, and is lost with it: keep a copy elsewhere")
        for gone in result.get("deleted", []):
            show(f"deleted: {gone}")
        if "keys" not in result:
            show(
                f"kek.key is not in it (fingerprint {result['kek_fingerprint'] or 'none yet'}): keep a copy of that"
                " file apart from this backup, or every terminal has to be enrolled again"
            )
    if "keys" in result:
        show(f"keys:   {result['keys']}, fingerprint {result['keys_fingerprint']}: keep it apart from the backups")
