"""Sale (消费), 0200/00: take an amount from the payer's account, once."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages.fields import Field, Layout, Message, choice, code2, payer, signed64, unsigned
from protocol.state import Kind

MAX_STAN: Final = 999_999
MAX_BATCH: Final = 999_999


class EntryMode(IntEnum):
    """How the payer was read (ISO 8583 field 22 in spirit)."""

    CARD = 1
    CODE = 2


class SaleRequest(Message, frozen=True, kw_only=True):
    """Terminal to host. (terminal, batch, STAN) is the identity: stored by the terminal before this is sent."""

    stan: int
    batch: int
    amount_fen: int
    operator: int = 0
    entry_mode: EntryMode = EntryMode.CARD
    payer: bytes
    claimed_at_s: int


class SaleAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal. The same for every copy of the same request, for ever."""

    stan: int
    batch: int
    amount_fen: int
    response_code: str
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
    """The amount of a sale: never 0."""
    return unsigned("amount_fen", 4, note, low=1, high=MAX_AMOUNT_FEN)


def payer_field() -> Field:
    """Who pays."""
    return payer("payer", "length, then card UID or payment code, zero padded")


def claimed_at_field() -> Field:
    """When, by the terminal's own clock."""
    return unsigned(
        "claimed_at_s", 4, "terminal clock at the sale, seconds since 1970-01-01 UTC; a claim, never trusted"
    )


def request_fields() -> list[Field]:
    """What a sale says, and a reversal repeats."""
    return [
        *identity_fields(),
        amount_field("amount in fen"),
        unsigned("operator", 2, "operator number of the cashier, 0 = none signed on"),
        choice("entry_mode", EntryMode, "how the payer was read"),
        payer_field(),
        claimed_at_field(),
    ]


def decided_fields() -> list[Field]:
    """How the host says what it decided and booked."""
    return [
        unsigned("rrn", 8, "RRN 检索参考号: the host's number for its decision, 0 = none made"),
        signed64("balance_fen", "balance of the payer's account after it, in fen; 0 when the payer is unknown"),
        unsigned("posted_at_ms", 8, "posting time, milliseconds since 1970-01-01 UTC; 0 = nothing decided"),
    ]


LAYOUTS: Final = (
    Layout(SaleRequest, 0x0200, 0x00, "sale", request_fields(), kind=Kind.REQUEST),
    Layout(
        SaleAnswer,
        0x0210,
        0x00,
        "sale answer",
        [
            *identity_fields(),
            amount_field("amount in fen, equal to the request's"),
            code2("response_code", "response code"),
            *decided_fields(),
        ],
        kind=Kind.ANSWER,
    ),
)
