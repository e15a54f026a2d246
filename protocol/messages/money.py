"""What every request for money says and every answer to one tells: the common part of sale, void, refund and others.

A request is known for ever by (terminal, batch, STAN); whatever it refers to is named the same way, because numbers
given by a host are lost with it. The original's terminal may be another of the same merchant; 0 means the sender.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages.fields import Field, Layout, Message, Privacy, choice, code2, octets, payer, signed64, unsigned
from protocol.pin_block import PIN_BLOCK_SIZE
from protocol.state import Kind

MAX_STAN: Final = 999_999
MAX_BATCH: Final = 999_999
NO_PIN_BLOCK: Final = bytes(PIN_BLOCK_SIZE)
"""No PIN was keyed. No PIN block is all zeros but with a chance of 2**-128."""
THIS_TERMINAL: Final = 0
AMOUNT_NOTE: Final = "amount in fen"


class EntryMode(IntEnum):
    """How the payer was read (ISO 8583 field 22 in spirit)."""

    CARD = 1
    CODE = 2


class TransactionKind(IntEnum):
    """What a transaction is. The numbers are those that the host's journal keeps."""

    SALE = 1
    VOID = 5
    REFUND = 6
    PREAUTH = 7
    PREAUTH_VOID = 8
    COMPLETION = 9
    COMPLETION_VOID = 10
    TOPUP = 11
    TOPUP_VOID = 12
    POINTS_SALE = 13
    POINTS_VOID = 14
    OFFLINE_SALE = 15


class Told(Message, frozen=True, kw_only=True):
    """What a transaction is, as its terminal tells it: in the request, and again when it is reversed or uploaded."""

    stan: int
    batch: int
    amount_fen: int
    operator: int = 0
    entry_mode: EntryMode = EntryMode.CARD
    payer: bytes
    claimed_at_s: int


class MoneyRequest(Told, frozen=True, kw_only=True):
    """Terminal to host: move money, or say why not. The record of it is stored by the terminal before this is sent."""

    pin_block: bytes = NO_PIN_BLOCK


class FollowUpRequest(MoneyRequest, frozen=True, kw_only=True):
    """A money request about an earlier transaction: a void, a refund, a completion."""

    original_terminal: int = THIS_TERMINAL
    original_batch: int
    original_stan: int


class MoneyAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal. The same for every copy of the same request, for ever."""

    stan: int
    batch: int
    amount_fen: int
    response_code: str
    charged_fen: int = 0
    points: int = 0
    points_balance: int = 0
    rrn: int
    balance_fen: int
    posted_at_ms: int


def identity_fields() -> list[Field]:
    """STAN and batch number: with the terminal number of the header, the identity of a transaction."""
    return [
        unsigned(
            "stan",
            3,
            "STAN 流水号: trace and voucher number, 999999 is followed by 1 of the next batch",
            low=1,
            high=MAX_STAN,
        ),
        unsigned("batch", 3, "batch number 批次号", low=1, high=MAX_BATCH),
    ]


def amount_field(note: str) -> Field:
    """The amount of a transaction: never 0."""
    return unsigned("amount_fen", 4, note, low=1, high=MAX_AMOUNT_FEN)


def payer_field() -> Field:
    """Who pays."""
    return payer("payer", "length, then card UID or payment code, zero padded")


def entry_mode_field() -> Field:
    """How the payer was read."""
    return choice("entry_mode", EntryMode, "how the payer was read")


def cashier_field() -> Field:
    """Who works at the till."""
    return unsigned("operator", 2, "operator number of the cashier, 0 = none signed on")


def claimed_at_field() -> Field:
    """When, by the terminal's own clock."""
    return unsigned(
        "claimed_at_s", 4, "terminal clock at the sale, seconds since 1970-01-01 UTC; a claim, never trusted"
    )


def pin_field() -> Field:
    """The payer's PIN, enciphered."""
    return octets(
        "pin_block",
        PIN_BLOCK_SIZE,
        "ISO 9564-1 format 4 under K_pin of the session; zeros = none",
        privacy=Privacy.HIDDEN,
    )


def request_fields(amount_note: str = AMOUNT_NOTE) -> list[Field]:
    """The fields of a Told: all that a money request says but the PIN."""
    return [
        *identity_fields(),
        amount_field(amount_note),
        cashier_field(),
        entry_mode_field(),
        payer_field(),
        claimed_at_field(),
    ]


def original_fields() -> list[Field]:
    """Which earlier transaction a request is about."""
    return [
        unsigned("original_terminal", 4, "terminal number of the original, as in the header; 0 = this terminal"),
        unsigned("original_batch", 3, "batch number of the original", low=1, high=MAX_BATCH),
        unsigned("original_stan", 3, "STAN of the original", low=1, high=MAX_STAN),
    ]


def decided_fields() -> list[Field]:
    """How the host says what it decided and booked."""
    return [
        unsigned("rrn", 8, "RRN 检索参考号: the host's number for its decision, 0 = none made"),
        signed64("balance_fen", "balance of the payer's account after it, in fen; 0 when the payer is unknown"),
        unsigned("posted_at_ms", 8, "posting time, milliseconds since 1970-01-01 UTC; 0 = nothing decided"),
    ]


def charged_fields() -> list[Field]:
    """What was moved in the end: a discount makes it less than the amount, a bonus more."""
    return [
        unsigned("charged_fen", 4, "what was taken from the payer, or given, in fen; 0 when declined"),
        unsigned("points", 4, "points earned, spent or taken back by it"),
    ]


def points_balance_field() -> Field:
    """What is left of a payer's points, or owed."""
    return signed64("points_balance", "the payer's points after it, negative: owed; 0 if it has moved none")


def layouts_of(
    request: type[MoneyRequest],
    answer: type[MoneyAnswer],
    mti: int,
    processing_code: int,
    title: str,
    amount_note: str = AMOUNT_NOTE,
) -> tuple[Layout, Layout]:
    """A money request and its answer on the wire. They differ in nothing but their names and what they refer to."""
    original = original_fields() if issubclass(request, FollowUpRequest) else []
    asked = [*request_fields(amount_note), pin_field(), *original]
    return (
        Layout(request, mti, processing_code, title, asked, kind=Kind.REQUEST),
        Layout(answer, mti + 0x10, processing_code, f"{title} answer", answer_fields(), kind=Kind.ANSWER),
    )


def answer_fields(amount_note: str = "amount in fen, equal to the request's") -> list[Field]:
    """The fields of a MoneyAnswer."""
    return [
        *identity_fields(),
        amount_field(amount_note),
        code2("response_code", "response code"),
        *charged_fields(),
        points_balance_field(),
        *decided_fields(),
    ]
