"""`fanka verify`: recompute every invariant of a ledger and name the rows that break one. Exit code 0 if all hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.listing import console, print_json, progress
from tools.options import AsJson, data_folder, step_aside

if TYPE_CHECKING:
    from server.folder import DataFolder
    from server.ledger.checks import Check


EXPECTED: Final = re.compile(r"(\d{1,18}):([0-9a-fA-F]{16,64})")


def verify(data: Path | None = None, /, *, expect: tuple[str, ...] = (), json: AsJson = False) -> int:
    """Recompute and check everything the ledger promises; also while the host runs. Exit code 1 if anything is wrong.

    Parameters
    ----------
    data
        The data folder; default $FANKA_DATA, this folder, or the only one below it. Or a ledger file, like a backup.
    expect
        SEQ:DIGEST as it was written down elsewhere (the first 16 hex digits are enough); more than once if wanted. Only
        so it shows that the journal's end was cut off, or all of it written anew.
    """
    from server.backup import check_backup
    from server.stores import place_of
    from tools.faults import explained

    with explained():
        expected = [read_expected(text) for text in expect]
        ledger = data if data is not None and data.is_file() else data_folder(data)
        where = place_of(ledger)
        step_aside()
        newest = newest_transfer(ledger)
        checks = check_ledger(ledger, expected, quiet=json)
        if isinstance(ledger, Path):
            checks += check_backup(ledger)
    ok = all(check.ok for check in checks)
    if json:
        found = {"ok": ok, "ledger": where, "newest": newest, "checks": [_fields(check) for check in checks]}
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


def newest_transfer(ledger: Path | DataFolder) -> dict[str, object] | None:
    """Sequence number and digest of the journal's last row, or None if it cannot be read: the checks will say why.

    Taken before them: what the host adds meanwhile may come after their snapshot, this does not.
    """
    from server.stores import open_ledger

    try:
        store = open_ledger(ledger)
        try:
            seq, digest = store.head()
        finally:
            store.close()
        return {"seq": seq, "digest": digest.hex()}
    except Exception:  # the driver has many words for a broken file
        return None


def read_expected(text: str) -> tuple[int, bytes]:
    """A transfer's number and how its digest begins. InputError if the text is something else."""
    from tools.faults import InputError

    found = EXPECTED.fullmatch(text.strip())
    if found is None or len(found[2]) % 2:
        raise InputError(
            f"--expect: expected SEQ:DIGEST, like 812:9f86d081884c7d65 (16 to 64 hex digits, in pairs), got {text!r}"
        )
    return int(found[1]), bytes.fromhex(found[2])


def check_ledger(
    ledger: Path | DataFolder, expected: Sequence[tuple[int, bytes]] = (), *, quiet: bool = False
) -> list[Check]:
    """All checks of a ledger file, or of a folder's ledger, with progress on the screen. StoreRefused if it is none."""
    from server.config import ConfigError
    from server.ledger.checks import INTEGRITY, Check
    from server.ledger.sqlite import SchemaDiffers
    from server.ledger.store import StoreError
    from server.ledger.verify import verify as verify_store
    from server.stores import open_ledger, place_of

    try:
        store = open_ledger(ledger)
    except SchemaDiffers as error:
        return [Check(INTEGRITY, False, str(error))]
    except (StoreError, ConfigError):
        raise
    except Exception as error:  # the driver has many words for a file that is beyond opening
        return [Check(INTEGRITY, False, f"{place_of(ledger)}: cannot be opened: {type(error).__name__}: {error}")]
    try:
        with progress(quiet=quiet) as bar:
            task = bar.add_task("transfers", total=None)
            return verify_store(
                store, lambda done, total: bar.update(task, completed=done, total=total), expected=expected
            )
    finally:
        store.close()


def _fields(check: Check) -> dict[str, object]:
    return {"name": check.name, "ok": check.ok, "detail": check.detail}
