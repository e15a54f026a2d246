"""Parameters of terminals and rules: one value for the campus, a merchant or one terminal; the narrowest counts.
Of offline limits the least counts.

`Parameters` is the list of all there are, with the program's own values. A row of the table replaces one of them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from server.ledger.store import Store


class Scope(IntEnum):
    """For whom a value is; a narrower one counts more. Stored."""

    CAMPUS = 0
    MERCHANT = 1
    TERMINAL = 2


CAMPUS_OWNER: Final = 0


class Profile(IntEnum):
    """What a terminal's keys do at rest. Numbered as on the wire."""

    CANTEEN = 0
    MEMBER = 1


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for one terminal. Amounts in fen."""

    profile: int = Profile.CANTEEN
    repeat_guard: int = 1
    """1 = the same payer and amount as the sale before must be confirmed."""
    check_passwords: int = 1
    """1 = a void, refund or top-up is refused unless the host has checked its password just before."""
    offline_sale_fen: int = 3_000
    """Offline: at most so much in one sale; 0 = nothing is sold offline."""
    offline_card_fen: int = 5_000
    """Offline: at most so much with one card."""
    offline_total_fen: int = 500_000
    """Offline: at most so much at one terminal."""
    offline_count: int = 500
    """Offline: at most so many sales at one terminal."""
    meal_limit_fen: int = 0
    """A payer's sales in one meal, where neither the card nor its class has a limit; 0 = none."""
    topup_limit_fen: int = 100_000
    """A top-up at a terminal of more than this is refused: a slip of the finger makes no fortune; 0 = none is."""
    pin_sale_fen: int = 0
    """A sale of more than this needs the card's PIN; 0 = none does for its amount."""
    pin_count: int = 0
    """A card's sales after so many on one day need its PIN; 0 = none does for their number."""
    discount_percent: int = 20
    """A cashier may give a discount of so much; more takes the supervisor's password."""
    hold_hours: int = 720
    """How long a pre-authorization holds money."""
    refund_days: int = 180
    """How long after a sale it may be refunded."""


NAMES: Final = Parameters.__struct_fields__
RANGES: Final = {
    "profile": (Profile.CANTEEN, Profile.MEMBER),
    "repeat_guard": (0, 1),
    "check_passwords": (0, 1),
    "offline_count": (0, 65_535),
    "pin_count": (0, 65_535),
    "discount_percent": (0, 100),
    "hold_hours": (1, 24 * 30),
    "refund_days": (0, 180),
}
"""Least and largest value of what is no amount."""
CAMPUS_ONLY: Final = frozenset(
    {"meal_limit_fen", "topup_limit_fen", "pin_sale_fen", "pin_count", "hold_hours", "refund_days"}
)
"""Rules of the ledger: the same at every terminal."""
CHECK_PASSWORDS: Final = "check_passwords"
"""A rule of the ledger, too, but each merchant's own."""
OFFLINE_SALE: Final = "offline_sale_fen"
OFFLINE: Final = (OFFLINE_SALE, "offline_card_fen", "offline_total_fen", "offline_count")
"""Terminals keep them. The host checks the first again when a sale comes, against the campus's value, so no narrower
one may be larger: the least counts."""
CAMPUS: Final = "the campus"
"""As the history of the configuration calls it."""


def title(name: str) -> str:
    """A parameter as people read it."""
    return name.removesuffix("_fen").replace("_", " ")


def described(name: str, whose: str) -> str:
    """A parameter in the history of the configuration, where `tariffs` looks for what was in force before."""
    return f"{title(name)} of {whose}"


class ParameterRecord(msgspec.Struct, frozen=True):
    """A value that somebody has set."""

    scope: int
    owner: int
    name: str
    value: int


class ParameterTable:
    """See the module's docstring. Nothing here opens a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def values(self) -> list[ParameterRecord]:
        """All that somebody has set, wide scopes first."""
        return self._found("ORDER BY scope, owner, name")

    def in_force(self, terminal_id: int, merchant_id: int) -> Parameters:
        """What counts for one terminal."""
        found = self._found(
            "WHERE scope = 0 OR (scope = 1 AND owner = ?1) OR (scope = 2 AND owner = ?2) ORDER BY scope",
            merchant_id,
            terminal_id,
        )
        values: dict[str, int] = {}
        for record in found:
            if record.name in OFFLINE:
                wider = values.get(record.name, getattr(Parameters(), record.name))
                values[record.name] = record.value if record.scope == Scope.CAMPUS else min(wider, record.value)
            elif record.name in NAMES:
                values[record.name] = record.value
        return Parameters(**values)

    def of_campus(self) -> Parameters:
        """What counts where nothing narrower does, and for the ledger's rules."""
        found = self._found("WHERE scope = 0")
        return Parameters(**{record.name: record.value for record in found if record.name in NAMES})

    def set(self, record: ParameterRecord) -> None:
        """Set one value."""
        self._store.execute(
            "INSERT INTO parameters (scope, owner, name, value) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (scope, owner, name) DO UPDATE SET value = excluded.value",
            (record.scope, record.owner, record.name, record.value),
        )

    def unset(self, scope: Scope, owner: int, name: str) -> None:
        """Let the next wider scope count again."""
        self._store.execute(
            "DELETE FROM parameters WHERE scope = ? AND owner = ? AND name = ?", (int(scope), owner, name)
        )

    def _found(self, condition: str, *values: int) -> list[ParameterRecord]:
        sql = f"SELECT scope, owner, name, value FROM parameters {condition}"  # noqa: S608 - conditions are our own
        return [ParameterRecord(*row) for row in self._store.execute(sql, values)]
