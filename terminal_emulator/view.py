"""What the cashier should see, without a word of text: `lcd.render` turns it into four lines.

The brain makes a View when somebody looks (`brain.view`); nobody looks in a load test, so it costs nothing there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from protocol import TerminalNumber
from protocol.messages.money import TransactionKind
from protocol.messages.parameters import Profile
from terminal_emulator.offline import OfflineRefusal
from terminal_emulator.record import Merchant


class Screen(StrEnum):
    """What the screen is about. The comment names the fields of `View` that matter beyond those of every screen."""

    OFF = "off"  # no power yet
    IDLE = "idle"  # merchant, terminal, link, pending_reversals, host_rolled_back, upload, records_differ
    AMOUNT = "amount"  # amount_text as keyed so far
    NO_LINK = "no_link"  # amount_fen, link: Enter or a tap without a session; nothing was sent, Enter tries again.
    # With kind and stan: of a dialog, and Enter goes on
    CARD = "card"  # amount_fen: please tap the card
    SENDING = "sending"  # amount_fen
    RESENDING = "resending"  # amount_fen, attempt 2.. (no answer, link lost or host busy: the same request again)
    ASKING = "asking"  # amount_fen: asking the host what became of the sale
    APPROVED = "approved"  # amount_fen, balance_fen, stan
    DECLINED = "declined"  # amount_fen, response_code, balance_fen (code 51 only)
    UNCHARGED = "uncharged"  # amount_fen: outcome unknown: NOT charged, will be reversed; do not hand out the meal
    REPEATING = "repeating"  # kind, amount_fen: outcome unknown, and it is repeated until the host decides
    SHUT = "shut"  # shut, operator: nothing but signing on, or unlocking
    DIALOG = "dialog"  # panel: whatever a function shows
    LAST_ASKING = "last_asking"  # amount_fen: after power loss: finding out about the last sale
    LAST_APPROVED = "last_approved"  # amount_fen, balance_fen, stan: after power loss: the last sale did succeed
    LAST_REVERSED = "last_reversed"  # kind, amount_fen, stan: people were told before; now the host has confirmed it
    LAST_UNCHARGED = "last_uncharged"  # amount_fen, response_code or "": after power loss: it was NOT charged
    LAST_REPEATING = "last_repeating"  # kind, amount_fen: after power loss: is repeated until the host decides
    OFFLINE_APPROVED = "offline_approved"  # amount_fen, stan, offline_waiting: sold without the host
    OFFLINE_REFUSED = "offline_refused"  # amount_fen, offline_refusal: not without the host
    LOCKED = "locked"  # lock: no sale is possible until somebody acts


class Link(StrEnum):
    """The line to the host: ONLINE, or why not. Everything but ONLINE is being mended by reconnecting."""

    CONNECTING = "connecting"  # not tried yet
    ONLINE = "online"
    UNREACHABLE = "unreachable"  # no connection: cable, switch, address, or the host is down
    LOST = "lost"  # the connection broke
    TIMEOUT = "timeout"  # connected, but no answer in time
    BUSY = "busy"  # the host closed during the handshake: crowded, stopping, its database away. No refusal
    REFUSED = "refused"  # the host proved itself with another key: terminal not registered, revoked, or wrong key
    GARBLED = "garbled"  # the host's bytes broke the protocol (another version, a damaged line)


class Lock(StrEnum):
    """Why the terminal cannot sell at all."""

    MEMORY_FULL = "memory_full"  # the journal holds all it may: settle first
    NUMBERS_USED_UP = "numbers_used_up"  # batch 999999, STAN 999999: the terminal needs a new number


class Shut(StrEnum):
    """Why the keypad does nothing but one thing."""

    SIGNED_OFF = "signed_off"  # any key: sign on
    LOCKED = "locked"  # any key: the operator's password


class UploadProgress(NamedTuple):
    """Of the records that a restored host gets again: how many have their verdict, and how many there are."""

    done: int
    total: int


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One state of the screen. Amounts in fen; `balance_fen` is None when there is none to show."""

    screen: Screen
    kind: TransactionKind = TransactionKind.SALE
    """What the amount is about."""
    link: Link
    terminal: TerminalNumber
    merchant: Merchant | None = None
    """None before the first session: no name is known yet."""
    amount_text: str = ""
    """The amount while it is being keyed, in yuan: "0", "12", "12.", "12.5"."""
    amount_fen: int = 0
    attempt: int = 0
    """How often the request has been sent: 1 first, 2 and 3 are repetitions."""
    response_code: str = ""
    balance_fen: int | None = None
    stan: int = 0
    pending_reversals: int = 0
    """Told to people as "did not happen" and not confirmed by the host yet."""
    pending_repeats: int = 0
    """Refunds whose outcome is unknown: they are repeated until the host decides."""
    host_rolled_back: bool = False
    """The host has lost sales it approved: a person has to look into it. Selling goes on."""
    upload: UploadProgress | None = None
    """None when nothing is left to be uploaded."""
    records_differ: int = 0
    """Records that a restored host contradicts: a person has to look into it. Selling goes on."""
    lock: Lock | None = None
    shut: Shut | None = None
    operator: int = 0
    profile: Profile = Profile.CANTEEN
    panel: tuple[str, ...] = ()
    """Four lines of a dialog, in the cashier's language."""
    is_armed: bool = False
    """Clear was pressed at rest: the next key may make a combination."""
    sells_offline: bool = False
    """A card sale made now is decided here alone."""
    offline_waiting: int = 0
    """Sales made offline that the host has not judged yet."""
    is_settling: bool = False
    """Whether a settlement was begun and is not done: the line went, or the power, or differences were not accepted."""
    offline_unbooked: int = 0
    """Sales made offline that the host would not book: the merchant bears them."""
    offline_refusal: OfflineRefusal | None = None
    fixed_fen: int = 0
    """The amount of fixed-amount mode; 0 = off."""
    charged_fen: int | None = None
    """What an approval took or gave, if it is not the amount."""
    points_balance: int = 0
    """The payer's points after an approval that has moved some; negative: owed."""
    discount_fen: int = 0
    """What the cashier took off before."""
