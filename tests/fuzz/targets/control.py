"""Any line on the control socket: one JSON answer, `ok` or `error` in words, no fault of the host; the books balance.

The office behind it is real: an administrator's, on a ledger in memory. It is made anew as soon as an input has changed
something, so that every input meets the same one.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import structlog

from server.admin import OPERATIONS
from server.control import _perform
from server.ledger.store import StoreBroken
from tests.fuzz.target import Target
from tests.server.office import Office

structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)


class Counter:
    """Calls at once, as the gate would between two batches."""

    async def call(self, function: Any, *args: Any) -> Any:
        return function(*args)


class Desk:
    """The office all inputs meet."""

    def __init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.office = Office()
        call = self.office.call
        call("merchant.add", name="一食堂")
        call("terminal.enrol", terminal="3-58", merchant_id=1)
        call("card.issue", uid="04A1B2C3", student_number="S1", name="Ann")
        call("account.topup", who="S1", amount_fen=5_000, batch=2, line=1)
        self.before = self.changes()

    def changes(self) -> int:
        """Grows with every row that is written."""
        return int(self.office.store.execute("SELECT total_changes()")[0][0])


_desk: list[Desk] = []


def perform(desk: Desk, line: bytes) -> dict[str, Any]:
    """What the control socket answers to a line. It never waits: there is nobody else."""
    asked = _perform(line, desk.office.admin, Counter())
    try:
        asked.send(None)
    except StopIteration as done:
        answer: dict[str, Any] = done.value
        return answer
    raise AssertionError("the control socket waits for something")


def run(data: bytes) -> str:
    if not _desk:
        _desk.append(Desk())
    desk = _desk[0]
    try:
        answer = perform(desk, data)
    except StoreBroken:
        _desk.clear()
        raise
    [kind] = answer
    text = msgspec.json.encode(answer)
    assert b"\n" not in text
    if kind == "error":
        assert isinstance(answer["error"], str)
        assert "a fault of the host" not in answer["error"], answer["error"]
    changed = "changed" if desk.changes() != desk.before else ""
    try:
        operation = json.loads(data)["op"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return kind
    return f"{kind} {operation if isinstance(operation, str) and operation in OPERATIONS else '?'} {changed}"


def settle() -> None:
    """After an input that has changed something: do the books balance? And a new office for the next one."""
    for desk in _desk:
        if desk.changes() != desk.before:
            desk.office.audit()
            desk.office.store.close()
            desk.open()


ARGUMENTS = {
    "merchant.add": {"name": "二食堂"},
    "merchant.close": {"merchant_id": 1},
    "terminal.enrol": {"terminal": "3-59", "merchant_id": 1},
    "terminal.revoke": {"terminal": "3-58"},
    "card.issue": {"uid": "04D4E5F6", "student_number": "S2", "name": "Ben"},
    "card.freeze": {"uid": "04A1B2C3"},
    "card.limit": {"uid": "04A1B2C3", "sale_limit_fen": 100, "day_limit_fen": 1000},
    "account.topup": {"who": "S1", "amount_fen": 100, "batch": 2, "line": 2},
    "account.show": {"who": "S1"},
    "class.add": {"name": "students", "sale_limit_fen": 100},
    "class.discount": {"class_id": 0, "meal_id": 0, "percent": 5},
    "meal.set": {"meal_id": 2, "name": "lunch", "start_minute": 660, "end_minute": 780},
    "bonus.set": {"threshold_fen": 10_000, "bonus_fen": 1_000, "merchant_id": 1},
    "points.set": {"fen_per_point": 100},
    "product.set": {"merchant_id": 1, "code": "001", "name": "rice", "price_fen": 100},
    "operator.add": {"merchant_id": 1, "operator": 7, "name": "Ann"},
    "operator.reset": {"merchant_id": 1, "operator": 0},
    "parameter.set": {"name": "offline_sale_fen", "value": 100, "terminal": "3-58"},
    "card_terms.bind": {"uid": "04A1B2C3", "merchant_id": 1},
    "card_terms.set_pin": {"uid": "04A1B2C3", "pin": "4711"},
    "device.find_listing": {"serial_number": "S"},
    "history.listing": {"before": 9, "limit": 2, "what": "meal"},
    "unresolved.resolve": {"kind": "reversal", "number": 1, "note": "seen"},
    "quarantine.listing": {"after": 0, "limit": 2},
}


def seeds() -> list[bytes]:
    found = [{"op": name, "args": ARGUMENTS.get(name, {})} for name in OPERATIONS]
    return [json.dumps(one, ensure_ascii=False).encode() for one in found] + [b"{}", b"[]", b'{"op": 1}', b"\xff", b""]


def words() -> tuple[bytes, ...]:
    """Names of operations and of their arguments, and values at the ends of ranges."""
    names = {field for kind in OPERATIONS.values() for field in kind.__struct_fields__}
    keys = [f'"{name}": '.encode() for name in sorted(names)]
    values = (
        b"-1",
        b"0",
        b"1e999",
        b"9223372036854775807",
        b"9223372036854775808",
        b"null",
        b"true",
        b'"S1"',
        b'"3-58"',
    )
    more = (
        b'"04A1B2C3"',
        b'"#1000001"',
        b'"\\ud800"',
        b'"\\u0000"',
        b"[" * 40,
        "食".encode(),
        b'"args": {',
        b", ",
        b"}",
    )
    return (*(f'"{name}"'.encode() for name in OPERATIONS), *keys, *values, *more)


TARGET = Target(run, seeds, settle, words(), share=0.25)
