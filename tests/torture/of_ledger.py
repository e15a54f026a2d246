"""Scenarios of the ledger: every kind of commit, start, end and checkpoint, and disks that are full for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import apsw

from server.ledger import ledger, migrate, sqlite
from server.ledger.sqlite import SqliteStore
from server.ledger.sqlite_log import Wait
from server.ledger.store import StoreFull
from server.ledger.verify import verify
from server.operations.imports import ImportLine
from tests.torture import subjects
from tests.torture.host import BEN, DAY, LEDGER, TILL, HostLife, reversal, sale, set_up, upload
from tests.torture.table import scenario
from tests.torture.witness import Violated

SMALL_WAL_BYTES: Final = 16 * 1024
"""A write-ahead log this long is checkpointed: a few sales, where the product waits for 32 MiB."""
SMALL_PROBE_BYTES: Final = 4096

_on_campus = scenario(subjects.LEDGER, subjects.campus)
_small_log = scenario(subjects.LEDGER, subjects.campus, (sqlite, "WAL_LIMIT_BYTES", SMALL_WAL_BYTES))

# --- a ledger comes into being, is opened, is migrated


@scenario(subjects.LEDGER, subjects.nothing, create=True)
def first_creation(life: HostLife) -> None:
    life.close()


@scenario(subjects.LEDGER, subjects.nothing, create=True)
def first_day_of_a_campus(life: HostLife) -> None:
    set_up(life)


@scenario(subjects.LEDGER, subjects.fresh)
def opening_a_new_ledger(life: HostLife) -> None:
    life.open_day(DAY)
    life.next_epoch()


@_on_campus
def opening_a_closed_ledger(life: HostLife) -> None:
    life.next_epoch()


@scenario(subjects.LEDGER, subjects.campus_with_log)
def opening_with_a_hot_log(life: HostLife) -> None:
    life.next_epoch()
    life.apply(sale(1))


@scenario(subjects.LEDGER, subjects.campus_with_log)
def opening_and_closing_at_once(life: HostLife) -> None:
    life.close()


NEXT_MIGRATION: Final = """
CREATE TABLE torture (place INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
INSERT INTO torture (seq) SELECT seq FROM transfers;
ALTER TABLE customers ADD COLUMN torture TEXT NOT NULL DEFAULT '';
CREATE INDEX customers_torture ON customers (torture, student_number);
UPDATE customers SET torture = name;
"""


def _with_next_migration() -> list[migrate.Migration]:
    known = _known_migrations()
    number = known[-1].number + 1
    return [*known, migrate.Migration(number, f"{number:04}_torture.sql", NEXT_MIGRATION)]


_known_migrations: Final = migrate.available


@scenario(subjects.LEDGER, subjects.campus, (migrate, "available", _with_next_migration))
def migration(life: HostLife) -> None:
    life.apply(sale(1))


@scenario(subjects.LEDGER, subjects.campus_with_log, (migrate, "available", _with_next_migration))
def migration_after_a_kill(life: HostLife) -> None:
    life.close()


# --- sales


@_on_campus
def single_sale(life: HostLife) -> None:
    life.apply(sale(1))


@_on_campus
def batch_of_64(life: HostLife) -> None:
    life.apply(*(sale(number, 10 + number) for number in range(1, 65)))
    life.apply(*(sale(number, 1, BEN) for number in range(101, 165)))


@_on_campus
def sale_and_reversal(life: HostLife) -> None:
    life.apply(sale(1))
    life.apply(reversal(1))
    life.apply(reversal(1), sale(1))


@_on_campus
def sale_and_reversal_in_one_batch(life: HostLife) -> None:
    life.apply(sale(1), sale(2, 50, BEN), reversal(1), reversal(2, 50, BEN))


@_on_campus
def tombstone_and_late_sale(life: HostLife) -> None:
    life.apply(reversal(1))
    life.apply(sale(1))


@_on_campus
def copies(life: HostLife) -> None:
    life.apply(sale(1), sale(1))
    life.apply(sale(1))
    life.apply(sale(2), sale(1), sale(2))


@_on_campus
def declined(life: HostLife) -> None:
    life.apply(sale(1, 9_999_999))
    life.apply(sale(2, token=b"\x09\x09\x09\x09"), sale(3, terminal_id=0x0009_0009))


@_small_log
def lunch(life: HostLife) -> None:
    for number in range(1, 7):
        life.apply(sale(number, 100 + number), sale(100 + number, 1, BEN), reversal(number - 1, 99 + number))
        life.maintain()


# --- days, starts, ends


@_on_campus
def day_change(life: HostLife) -> None:
    life.apply(sale(1))
    life.open_day(DAY + 1)
    life.apply(sale(2))


@_on_campus
def next_epoch(life: HostLife) -> None:
    life.next_epoch()
    life.next_epoch()


@_on_campus
def close(life: HostLife) -> None:
    life.apply(sale(1))
    life.close()


@_on_campus
def restart_in_order(life: HostLife) -> None:
    life.apply(sale(1))
    life.close()
    life.open()
    life.apply(sale(2))


@_on_campus
def restart_after_a_kill(life: HostLife) -> None:
    life.apply(sale(1))
    life.vanish()
    life.open()
    life.apply(sale(2))
    life.vanish()
    life.open()


# --- checkpoints and readers


@_small_log
def checkpoint(life: HostLife) -> None:
    for number in range(1, 5):
        life.apply(sale(number), sale(10 + number, 1, BEN))
    life.maintain()


@_small_log
def log_begun_anew_after_a_checkpoint(life: HostLife) -> None:
    for number in range(1, 10):
        life.apply(sale(number))
        life.maintain()


def _at_once(copy: Callable[[], None]) -> Wait:
    copy()
    return lambda: None


@_small_log
def log_copied_by_a_second_connection(life: HostLife) -> None:
    life.close()
    life.copy_log = _at_once
    life.open()
    for number in range(1, 10):
        life.apply(sale(number))
        life.maintain()


@contextmanager
def _reading(life: HostLife) -> Iterator[apsw.Connection]:
    """Another program reads the ledger, and what it has begun to read must stay for it."""
    reader = apsw.Connection(str(life.folder / LEDGER), flags=apsw.SQLITE_OPEN_READONLY, vfs=life.disk.vfs)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM transfers").fetchall()
        yield reader
    finally:
        reader.close()


@_small_log
def checkpoint_held_back_by_a_reader(life: HostLife) -> None:
    life.apply(sale(1))
    with _reading(life):
        for number in range(2, 7):
            life.apply(sale(number))
            life.maintain()
    life.apply(sale(7))
    life.maintain()
    life.apply(sale(8))


@_small_log
def verify_beside_sales(life: HostLife) -> None:
    life.apply(sale(1))
    failed: list[BaseException] = []

    def sell(_done: int, _all: int) -> None:
        try:
            life.apply(sale(2))
        except BaseException as error:
            failed.append(error)  # the host's, not the reader's

    store = SqliteStore(life.folder / LEDGER, readonly=True, vfs=life.disk.vfs)
    try:
        checks = verify(store, sell)
    finally:
        store.close()
    if failed:
        raise failed[0]
    if not all(check.ok for check in checks):
        raise Violated(f"a reader beside the host found {[check for check in checks if not check.ok]}")


@_small_log
def backup_beside_sales(life: HostLife) -> None:
    life.apply(sale(1))
    copy = apsw.Connection(":memory:")
    with _reading(life) as reader, copy.backup("main", reader, "main") as backup:
        number = 1
        while not backup.done:
            backup.step(4)
            number += 1
            life.apply(sale(number))
            life.maintain()
    copy.close()
    life.apply(sale(number + 1))


# --- a disk that is full for a while

_full_disk = scenario(
    subjects.LEDGER,
    subjects.campus,
    (sqlite, "WAL_LIMIT_BYTES", SMALL_WAL_BYTES),
    (ledger, "PROBE_BYTES", SMALL_PROBE_BYTES),
    sick=True,
)


def _fill(life: HostLife) -> None:
    life.disk.fail(1, apsw.FullError, only="write", torn=True)


@_full_disk
def full_disk_then_space(life: HostLife) -> None:
    life.apply(sale(1))
    _fill(life)
    life.apply(sale(2), sale(3))  # heals when it is refused, and is done then
    life.apply(sale(4))


@_full_disk
def full_disk_at_a_checkpoint(life: HostLife) -> None:
    for number in range(1, 5):
        life.apply(sale(number))
    _fill(life)
    life.maintain()
    life.apply(sale(5))
    life.maintain()


@_full_disk
def full_disk_that_is_probed(life: HostLife) -> None:
    _fill(life)
    try:
        life.ledger.probe()
    except StoreFull:
        life.disk.heal()
    else:
        raise Violated("a probe found space on a full disk")
    life.probe()
    life.apply(sale(1))
    life.probe()


# --- after a restore


@_on_campus
def recovery_and_uploads(life: HostLife) -> None:
    life.perform("ledger.recover")
    life.apply(upload(1), upload(2, 9_999_999), upload(3, 50, b"\x09\x09\x09\x09"), sale(4))
    life.apply(upload(1), reversal(1))
    life.perform("ledger.close")


# --- the administrator


@_on_campus
def enrol_and_redeem_a_code(life: HostLife) -> None:
    life.perform("terminal.enrol", terminal="3-9", merchant_id=1, serial_number="SN9", with_code=True)
    life.call(lambda: life.admin.redeem_code(0x0003_0009, "SN9"))
    life.perform("terminal.enrol_many", first="4-1", count=8, merchant_id=1)


@_on_campus
def revoke_and_reinstate(life: HostLife) -> None:
    life.perform("terminal.revoke", terminal="3-1")
    life.apply(sale(1))
    life.perform("terminal.reinstate", terminal="3-1")
    life.apply(sale(2))


@_on_campus
def change_of_a_terminals_key(life: HostLife) -> None:
    life.perform("terminal.rotate", first="3-1", count=2)
    life.call(lambda: life.admin.terminals.adopt_key(TILL, 2))
    life.apply(sale(1))


@_on_campus
def topup_and_correction(life: HostLife) -> None:
    life.perform("account.topup", who="S1", amount_fen=500, batch=3, line=1)
    life.perform("account.topup", who="S1", amount_fen=500, batch=3, line=1)
    life.perform("account.correct", who="S1", amount_fen=-200, batch=3, line=2)


@_on_campus
def cards(life: HostLife) -> None:
    life.perform("card.issue", uid="04777777", student_number="S7", name="Student S7", day_limit_fen=500)
    life.perform("card.freeze", uid=BEN.hex())
    life.apply(sale(1, 1, BEN))
    life.perform("card.unfreeze", uid=BEN.hex())
    life.perform("card.lost", uid="04777777")
    life.perform("card.replace", uid="04777777", new_uid="04888888")


@_on_campus
def import_of_cardholders(life: HostLife) -> None:
    lines = [
        ImportLine(line, f"N{line}", f"New {line}", f"05{line:06x}", 100 * line, day_limit_fen=5_000)
        for line in range(1, 9)
    ]
    life.call(lambda: life.admin.imports.apply(lines[:5]))
    life.call(lambda: life.admin.imports.apply(lines))


@_on_campus
def merchants(life: HostLife) -> None:
    life.perform("merchant.add", name="三食堂")
    life.perform("merchant.rename", merchant_id=3, name="小卖部")
    life.perform("merchant.close", merchant_id=1)
    life.apply(sale(1))
    life.perform("merchant.reopen", merchant_id=1)
