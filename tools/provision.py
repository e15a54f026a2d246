"""What a load test needs in a ledger: merchants, enrolled terminals with keys, and cards with money on them.

Everything has a name that says so (merchants `load 1` .., students `L000001` .., terminals from 9000-1), and all of it
may be made again: what is there stays, terminals get a new key.
"""

from __future__ import annotations

from typing import Final

import msgspec

from protocol import TerminalNumber
from tools.admin_client import AdminChannel

MERCHANTS: Final = 20
FIRST_GROUP: Final = 9000
GROUP_SIZE: Final = 500
"""Terminals per group and merchant block: enrolled in one commit."""
IMPORT_CHUNK: Final = 200
OPENING_FEN: Final = 10_000_000
"""100,000 yuan on each card: no load test of a day can empty it."""
DAY_LIMIT_FEN: Final = 999_999_999
"""So that the host's own default day limit does not decline a long test."""


class Provisioned(msgspec.Struct, frozen=True):
    """Terminals with key version and root key, and card numbers."""

    terminals: list[tuple[TerminalNumber, int, bytes]]
    cards: list[bytes]

    def __repr__(self) -> str:
        return f"<Provisioned {len(self.terminals)} terminals, {len(self.cards)} cards>"


def provision(channel: AdminChannel, terminals: int, cards: int) -> Provisioned:
    """Make sure they are there. AdminError if the ledger refuses."""
    merchants = _merchants(channel)
    enrolled = []
    for start in range(0, terminals, GROUP_SIZE):
        block = start // GROUP_SIZE
        rows = channel.call(
            "terminal.enrol_many",
            first=f"{FIRST_GROUP + block}-1",
            count=min(GROUP_SIZE, terminals - start),
            merchant_id=merchants[block % len(merchants)],
        )
        enrolled += [
            (TerminalNumber.parse(row["terminal"]), int(row["key_version"]), bytes.fromhex(row["root_key"]))
            for row in rows
        ]
    for start in range(0, cards, IMPORT_CHUNK):
        numbers = range(start + 1, min(start + IMPORT_CHUNK, cards) + 1)
        lines = [
            {
                "line": number,
                "student_number": f"L{number:06}",
                "name": f"load {number}",
                "card_uid": card_uid(number).hex(),
                "balance_fen": OPENING_FEN,
                "day_limit_fen": DAY_LIMIT_FEN,
            }
            for number in numbers
        ]
        channel.call("import.apply", lines=lines)
    return Provisioned(enrolled, [card_uid(number) for number in range(1, cards + 1)])


def card_uid(number: int) -> bytes:
    """Seven bytes as of a contactless card, recognisable as ours."""
    return b"\x4c\x4f\x41" + number.to_bytes(4, "big")


def _merchants(channel: AdminChannel) -> list[int]:
    """The test merchants' numbers; those missing are added."""
    known = {row["name"]: int(row["merchant_id"]) for row in channel.call("merchant.listing")}
    names = [f"load {number}" for number in range(1, MERCHANTS + 1)]
    found = [
        known[name] if name in known else int(channel.call("merchant.add", name=name)["merchant_id"]) for name in names
    ]
    for merchant_id in found:  # no supervisor stands at these tills
        channel.call("parameter.set", name="check_passwords", value=0, merchant_id=merchant_id)
    return found
