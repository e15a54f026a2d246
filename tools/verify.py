"""`fanka verify`: recompute every invariant of a ledger and name the rows that break one. Exit code 0 if all hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tools.listing import console, print_json, progress
from tools.options import AsJson, data_folder

if TYPE_CHECKING:
    from server.ledger.checks import Check


def verify(data: Path | None = None, /, *, json: AsJson = False) -> int:
    """Recompute and check everything the ledger promises; also while the host runs. Exit code 1 if anything is wrong.

    Parameters
    ----------
    data
        The data folder; default $FANKA_DATA, this folder, or the only one below it. Or a ledger file, like a backup.
    """
    from tools.faults import explained

    with explained():
        path = data if data is not None and data.is_file() else data_folder(data).ledger_path
        newest = newest_transfer(path)
        checks = check_ledger(path, quiet=json)
    ok = all(check.ok for check in checks)
    if json:
        found = {"ok": ok, "ledger": str(path), "newest": newest, "checks": [_fields(check) for check in checks]}
        print_json(found)
    else:
        for check in checks:
            console().print(f"{'ok ' if check.ok else 'BAD'}  {check.name:<26}{check.detail}")
        if newest is not None:
            console().print(f"newest transfer: {newest['seq']}, digest {newest['digest']}")
        broken = sum(not check.ok for check in checks)
        console().print(
            "all checks hold" if ok else f"{broken} of {len(checks)} checks fail: keep the file, find out why"
        )
    return 0 if ok else 1


def newest_transfer(path: Path) -> dict[str, object] | None:
    """Sequence number and digest of the journal's last row, or None if it cannot be read: the checks will say why.

    Taken before them: what the host adds meanwhile may come after their snapshot, this does not.
    """
    from server.ledger.sqlite import SqliteStore

    try:
        store = SqliteStore(path, readonly=True)
        try:
            seq, digest = store.head()
        finally:
            store.close()
        return {"seq": seq, "digest": digest.hex()}
    except Exception:  # the driver has many words for a broken file
        return None


def check_ledger(path: Path, *, quiet: bool = False) -> list[Check]:
    """All checks of one ledger file, with progress on the screen. StoreRefused if it is none."""
    from server.ledger.checks import INTEGRITY, Check
    from server.ledger.sqlite import SqliteStore
    from server.ledger.store import StoreError
    from server.ledger.verify import verify as verify_store

    try:
        store = SqliteStore(path, readonly=True)
    except StoreError:
        raise
    except Exception as error:  # the driver has many words for a file that is beyond opening
        return [Check(INTEGRITY, False, f"{path}: cannot be opened: {type(error).__name__}: {error}")]
    try:
        with progress(quiet=quiet) as bar:
            task = bar.add_task("transfers", total=None)
            return verify_store(store, lambda done, total: bar.update(task, completed=done, total=total))
    finally:
        store.close()


def _fields(check: Check) -> dict[str, object]:
    return {"name": check.name, "ok": check.ok, "detail": check.detail}
