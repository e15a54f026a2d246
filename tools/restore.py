"""`fanka restore`: a ledger back from its backup, and in plain words what comes back by itself and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tools.listing import console, moment, print_json
from tools.options import AsJson, zone_of

if TYPE_CHECKING:
    from server.restore import Restored


def restore(
    backup: Path,
    data: Path,
    /,
    *,
    kek: Path | None = None,
    replace: Annotated[bool, Parameter(negative=())] = False,
    json: AsJson = False,
) -> int:
    """Restore a ledger from a backup, into a new data folder or one that has lost its ledger. Stop the host first.

    The backup is checked before anything is touched. Exit code 1 if it fails its checks, 2 if it was not restored for
    another reason; restoring may be tried again.

    Parameters
    ----------
    backup
        The file that `fanka backup` made.
    data
        The data folder; it is made if it is not there, with the configuration that is in the backup.
    kek
        The copy of kek.key, for a folder that has lost that too.
    replace
        Move a ledger that is there aside first (to ledger.db.before-restore-1); nothing is ever deleted.
    """
    import time

    import msgspec

    from server.backup import BackupBad
    from server.folder import DataFolder
    from server.restore import restore as put_back
    from tools.backup import BAD, print_checks, shown_progress
    from tools.faults import explained

    now_ms = time.time_ns() // 1_000_000
    with explained():
        try:
            with shown_progress(quiet=json) as show:
                done = put_back(backup, DataFolder(data), kek=kek, replace=replace, now_ms=now_ms, show=show)
        except BackupBad as bad:
            print_checks(bad.checks, {"ledger": None}, "nothing was restored: take another backup", as_json=json)
            return BAD
    if json:
        print_json(msgspec.structs.asdict(done))
    else:
        _print_done(done, data, now_ms)
    return 0


def _print_done(done: Restored, data: Path, now_ms: int) -> None:
    show = console().print
    zone = zone_of(data)
    show(f"restored: {done.ledger}, all checks hold, history {done.history}")
    for aside in done.moved_aside:
        show(f"moved aside: {aside}")
    if done.taken_at_ms:
        age = age_text(now_ms - done.taken_at_ms)
        show(f"the backup was made {moment(done.taken_at_ms, zone)} ({zone}), {age} ago")
    show(f"newest transfer: {done.newest_seq} on business day {done.business_day}, digest {done.newest_digest}")
    show(
        "comes back by itself: every sale and reversal that a terminal has made since, when it connects. Start the host"
        " and let every terminal connect: `fanka admin ledger show` counts them"
    )
    show(
        "does not come back: what was done at the office since: top-ups, corrections, cards issued, frozen or replaced,"
        " merchants, terminals enrolled or revoked. Do it again, from your papers"
    )


def age_text(age_ms: int) -> str:
    """A time span as people say it."""
    minutes = max(0, age_ms) // 60_000
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
