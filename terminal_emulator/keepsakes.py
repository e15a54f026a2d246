"""The small things a terminal keeps through a power cut besides its records: each is one value, the newest counts.

`storage.keep(value)` and `storage.kept(Type)`, which gives `Type()` when nothing was ever kept. To keep one more thing,
write its Struct with a tag and defaults, and add it to `Kept`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from protocol.messages import OperatorRole
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import Merchant

MAX_BLOCKED: Final = 500
"""More than are refused so at one till between two changes of the stop list; they fill a line of the journal."""


class FixedAmount(msgspec.Struct, frozen=True, gc=False, tag="fixed_amount"):
    """Fixed-amount mode (定额): every tap is a sale of this amount; 0 = off."""

    amount_fen: int = 0


class SignOn(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="sign_on"):
    """Who works at this terminal. The verifier lets them go on when the host is away: never the password itself."""

    operator: int = 0
    role: OperatorRole = OperatorRole.TELLER
    name: str = ""
    is_on: bool = False
    is_locked: bool = False
    """The keypad was locked (锁机) and waits for the operator's password."""
    tries: int = 0
    """Wrong passwords so far that were checked here."""
    salt: bytes = b""
    verifier: bytes = b""
    """Made of the password of the last sign-on (`functions.sign_on.verifier_of`); empty if there was none, or a
    supervisor's."""
    key_version: int = 0
    """Of the terminal's key that went into it."""

    @property
    def is_left_open(self) -> bool:
        """Whether somebody is signed on who can go on without a line; a power cut is no sign-off."""
        return bool(self.verifier)

    def __repr__(self) -> str:
        return f"<SignOn of {self.operator:02d}, on: {self.is_on}, locked: {self.is_locked}>"


class Clock(msgspec.Struct, frozen=True, gc=False, tag="clock"):
    """How far the host's clock was ahead of this terminal's at the last sign-on: its own is set by that."""

    ahead_s: float = 0.0


class OfflineMode(msgspec.Struct, frozen=True, gc=False, tag="offline_mode"):
    """Whether the cashier has switched to selling offline (脱机), whatever the line does."""

    is_on: bool = False


class StopListHeld(msgspec.Struct, frozen=True, gc=False, tag="stop_list_held"):
    """Whether a stop list was ever fetched whole: without one nobody knows whose cards are good. One on which there is
    no card looks like none otherwise."""

    is_held: bool = False


class Blocked(msgspec.Struct, frozen=True, gc=False, tag="blocked"):
    """Cards that the host has refused as lost or frozen, named as on the stop list, oldest first, at most MAX_BLOCKED.
    Nothing is sold to them offline until the host has approved one again, or its stop list has said that it is good."""

    cards: tuple[bytes, ...] = ()


class Unproved(msgspec.Struct, frozen=True, gc=False, tag="unproved"):
    """Whether the terminal's number was keyed (F2+1+7), and no host has opened a session under it since."""

    is_so: bool = False


class OpeningFloat(msgspec.Struct, frozen=True, gc=False, tag="opening_float"):
    """The change put into the drawer (存零头), and the batch that was in use; settling that clears it. 0 = none."""

    amount_fen: int = 0
    batch: int = 0


Offline = OfflineMode | StopListHeld | Blocked
Kept = Parameters | Merchant | Unproved | SignOn | Clock | FixedAmount | OpeningFloat | Offline
