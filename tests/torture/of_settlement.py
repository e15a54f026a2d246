"""Scenarios of settlements: on the host every step is one commit, on the terminal one line of its journal."""

from __future__ import annotations

from typing import Final

import msgspec

from server.ledger import settlement
from server.ledger.comparison import Item, Standing, Total
from server.ledger.model import Kind
from server.ledger.settlement import Claim, Result, State
from terminal_emulator import file_storage
from terminal_emulator.record import RecordState
from terminal_emulator.settled import Settlement, Stage
from tests.torture import subjects
from tests.torture.host import NOW_MS, TILL, HostLife, reversal, sale
from tests.torture.table import scenario
from tests.torture.till import TillLife

_on_campus = scenario(subjects.LEDGER, subjects.campus)
_till = scenario(subjects.TILL, subjects.till_at_work)
_small_journal = scenario(subjects.TILL, subjects.till_at_work, (file_storage, "COMPACT_AFTER", 0))

STRANGE: Final = Item(9, int(Kind.SALE), int(Standing.APPROVED), 500, 500, 999)
"""A record that only the terminal has."""


def _claim(batch: int, count: int, *, agrees: bool) -> Claim:
    totals = [Total(int(Kind.SALE), count, 100 * count, 100 * count)]
    return Claim(TILL, batch, 7, b"request", totals, lambda _items: agrees)


# --- the host


@_on_campus
def settlement_that_balances(life: HostLife) -> None:
    life.apply(sale(1), sale(2), sale(3), reversal(3))
    for _ in range(2):  # the answer was lost
        settled = life.call(lambda: settlement.settle(life.ledger, _claim(1, 2, agrees=True), NOW_MS))
        assert (settled.result, settled.state) == (Result.CLOSED, State.BALANCED)
    life.apply(sale(1, batch=2))
    life.call(lambda: settlement.settle(life.ledger, _claim(2, 1, agrees=True), NOW_MS))


@_on_campus
def settlement_with_differences(life: HostLife) -> None:
    life.apply(sale(1), sale(2))
    settled = life.call(lambda: settlement.settle(life.ledger, _claim(1, 2, agrees=False), NOW_MS))
    assert settled.result is Result.UNBALANCED
    items = settlement.host_items(life.store, TILL, 1)
    for part, some in ((1, items), (2, [STRANGE])):
        life.call(lambda part=part, some=some: settlement.take_part(life.store, TILL, 1, part, some))  # type: ignore[misc]
    life.call(lambda: settlement.end_parts(life.store, TILL, 1, len(items) + 1))
    life.apply(sale(1, batch=2))  # sold meanwhile
    settled = life.call(lambda: settlement.close(life.ledger, TILL, 1, lambda found: len(found) == 1, NOW_MS))
    assert (settled.result, settled.state) == (Result.CLOSED, State.DIFFERENCES)


@_on_campus
def settlement_gone_on_with(life: HostLife) -> None:
    """Answers were lost, a part was sent otherwise at first, and a late reversal came before the supervisor's word."""
    life.apply(sale(1), sale(2), sale(3))

    def settle() -> settlement.Settled:
        return life.call(lambda: settlement.settle(life.ledger, _claim(1, 2, agrees=False), NOW_MS))

    def end(records: int) -> settlement.Compared:
        return life.call(lambda: settlement.end_parts(life.store, TILL, 1, records))

    settle()
    items = settlement.host_items(life.store, TILL, 1)
    for part, some in ((1, items[:1]), (1, items[:2]), (2, [STRANGE]), (2, [STRANGE])):
        life.call(lambda part=part, some=some: settlement.take_part(life.store, TILL, 1, part, some))  # type: ignore[misc]
    assert end(4) == settlement.Compared(None, 3)
    seen = end(3).differing
    life.apply(reversal(1))
    closed = life.call(lambda: settlement.close(life.ledger, TILL, 1, lambda found: found == seen, NOW_MS))
    assert closed.state == State.OPEN
    assert settle().result is Result.UNBALANCED
    seen = end(3).differing
    for _ in range(2):
        closed = life.call(lambda: settlement.close(life.ledger, TILL, 1, lambda found: [*found] == seen, NOW_MS))
        assert (closed.state, closed.differences) == (State.DIFFERENCES, 3)


# --- the terminal


def _settle(life: TillLife) -> None:
    batch = life.storage.used[0]
    state = Settlement(batch=batch, operator=7, claimed_at_s=NOW_MS // 1000)
    for stage in (Stage.TOTALS, Stage.UPLOAD, Stage.END, Stage.DIFFERENCES, Stage.CLOSE, Stage.DONE):
        life.storage.save_settlement(msgspec.structs.replace(state, stage=stage))


@_till
def terminal_settles(life: TillLife) -> None:
    life.save(21)
    life.save(21, RecordState.APPROVED)
    _settle(life)
    life.close()
    life.open()


@_small_journal
def terminal_settles_and_compacts(life: TillLife) -> None:
    life.save(21, RecordState.DECLINED)
    _settle(life)
    life.storage.save_epoch(9)
    _settle(life)
