"""What goes into the terminal's brain (keys, taps, the time) and what comes out of it (effects).

Effects are values: the brain decides, the shell around it does. A shell may ignore any of them except Send and HangUp.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from protocol import TerminalNumber
from protocol.messages import Message
from terminal_emulator.record import Merchant, Record


class Key(StrEnum):
    """The keys of the keypad."""

    D0 = "0"
    D1 = "1"
    D2 = "2"
    D3 = "3"
    D4 = "4"
    D5 = "5"
    D6 = "6"
    D7 = "7"
    D8 = "8"
    D9 = "9"
    DOT = "."
    ENTER = "enter"
    CLEAR = "clear"
    DELETE = "delete"
    F1 = "f1"
    F2 = "f2"
    UP = "up"
    DOWN = "down"


class Tap(msgspec.Struct, frozen=True, gc=False):
    """A card held to the reader; `uid` is its number, 1..24 bytes."""

    uid: bytes


class Scan(msgspec.Struct, frozen=True, gc=False):
    """A code held to the scanner: its text, as printed or shown."""

    text: str


Input = Key | Tap | Scan
"""What a cashier and a customer do to a terminal."""


class Now(NamedTuple):
    """The time, from the shell: `monotonic_s` for waiting (trio's clock), `wall_s` since 1970 UTC for dates."""

    monotonic_s: float
    wall_s: float


class BeepKind(StrEnum):
    """The three sounds of the beeper."""

    KEY = "key"
    OK = "ok"
    ERROR = "error"


class NoteKind(StrEnum):
    """Things worth a line in a log; a cashier need not know."""

    MEMORY_ROLLED_BACK = "memory_rolled_back"  # the host knows newer numbers than we do: skipped beyond them
    HOST_ROLLED_BACK = "host_rolled_back"  # the host lost a sale it approved, or its epoch is lower than one we saw
    NOT_OURS = "not_ours"  # an answer that does not fit the request: taken for none
    REJECTED = "rejected"  # the host cannot read a request of ours
    KEY_CHANGED = "key_changed"  # a new root key has been proved, and the old one erased
    KEY_NOT_CHANGED = "key_not_changed"  # a new root key was offered and could not be taken: the old one goes on
    HOST_RESTORED = "host_restored"  # the host was restored from a backup: it gets our records again
    RECORD_DIFFERS = "record_differs"  # the restored host says otherwise than our record: a person has to look
    RECORD_WAITS = "record_waits"  # the restored host lacks the card, or what our record is about: asked again later
    UPLOAD_REFUSED = "upload_refused"  # the restored host lacks a sale of ours, and takes no uploads any more
    UPLOAD_DONE = "upload_done"  # every record has its verdict
    REVERSAL_REFUSED = "reversal_refused"  # a reversal was refused for good: it stays open and needs a person
    OFFLINE_REFUSED = "offline_refused"  # the host would not book a sale made offline: the merchant bears it
    CHAIN_RESENT = "chain_resent"  # the host lacks records made offline that it had: they are sent again
    CHAIN_RENUMBERED = "chain_renumbered"  # records made offline follow the host's chain, which is not the memory's


class Send(msgspec.Struct, frozen=True):
    """Send this request in the open session. `pin`, if one was keyed, the shell puts into the message's PIN block,
    under the key of the session: it is kept nowhere, and not in repr()."""

    message: Message
    pin: str = ""

    def __repr__(self) -> str:
        return f"Send({self.message!r}{', with PIN' if self.pin else ''})"


class HangUp(msgspec.Struct, frozen=True):
    """Close the session and open a new one: a request got no answer, and only one may be outstanding in a session."""

    reason: str


class Beep(msgspec.Struct, frozen=True, gc=False):
    """Sound the beeper."""

    kind: BeepKind


class PrintSlip(msgspec.Struct, frozen=True, gc=False):
    """Print the slip of an approved transaction: `slip.sale_slip` lays it out."""

    record: Record
    merchant: Merchant | None


class PrintReport(msgspec.Struct, frozen=True, gc=False):
    """Print something else: a reprint, totals, a settlement. Whoever lays it out knows the type."""

    report: msgspec.Struct


class ChangeNumber(msgspec.Struct, frozen=True):
    """The terminal's number was changed at its keypad: store it, and connect under it."""

    terminal: TerminalNumber


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """A transaction reached its final state: APPROVED, DECLINED, REVERSED or REFUSED. Exactly one for every one, unless
    it was made offline and a restored host judges it again."""

    record: Record


class Note(msgspec.Struct, frozen=True, gc=False):
    """Something for the log."""

    kind: NoteKind
    detail: str


Effect = Send | HangUp | Beep | PrintSlip | PrintReport | ChangeNumber | Outcome | Note
