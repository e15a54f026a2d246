"""Upload of a sale made offline (脱机交易上送), 0220/00: the terminal has approved it alone, and now the host judges.

The records of one terminal are numbered without gaps and chained. `tag` is the AES-CMAC (RFC 4493) under K_saf over

    previous_tag   16   the tag of the record before it, zeros before the first
    saf_sequence    4
    record         46   the bytes of the body from stan to stop_list_version, as they stand there

so a record that is missing, out of order or altered shows, whoever kept it meanwhile. They go up in order, one at a
time. `next_saf_sequence` and `last_tag` of each answer say where the host stands. With GAP nothing was taken: the
terminal sends that record, or, if its memory has lost it, numbers and tags the records that wait anew from there.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages.fields import Layout, Message, choice, code2, octets, unsigned
from protocol.messages.money import Told, amount_field, identity_fields, points_balance_field, request_fields
from protocol.security import chain_tag
from protocol.state import Kind

TAG_SIZE: Final = 16
NO_TAG: Final = bytes(TAG_SIZE)
"""What stands before a terminal's first record."""
RECORD_SIZE: Final = 46
"""What a tag covers of the body: its first fields, behind the processing code."""


class OfflineVerdict(IntEnum):
    """What the host makes of a sale made offline.

    With ACCEPTED it is posted. With OVER_LIMIT, STOPPED, REFUSED and TAMPERED it is not, for ever, and the merchant
    bears it. DUPLICATE: it came before, and `response_code` is what was decided then. GAP and UNDECIDED decide nothing.
    """

    ACCEPTED = 1
    DUPLICATE = 2
    OVER_LIMIT = 3
    STOPPED = 4
    REFUSED = 5
    TAMPERED = 6
    GAP = 7
    UNDECIDED = 8


class OfflineSaleRequest(Told, frozen=True, kw_only=True):
    """Terminal to host: a sale that a payer's card has made while there was no host to ask."""

    stop_list_version: int = 0
    saf_sequence: int
    previous_tag: bytes
    tag: bytes


class OfflineSaleAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the verdict, and where the chain goes on."""

    stan: int
    batch: int
    amount_fen: int
    verdict: OfflineVerdict
    response_code: str
    rrn: int
    charged_fen: int = 0
    points: int = 0
    points_balance: int = 0
    next_saf_sequence: int
    last_tag: bytes


def tag_of(key: bytes, request: OfflineSaleRequest) -> bytes:
    """The tag that this request has to carry, under K_saf `key`; what it carries does not matter."""
    record = OfflineSaleRequest.layout.encode(request)[1 : 1 + RECORD_SIZE]
    return chain_tag(key, request.previous_tag, request.saf_sequence, record)


LAYOUTS: Final = (
    Layout(
        OfflineSaleRequest,
        0x0220,
        0x00,
        "offline sale",
        [
            *request_fields("amount in fen, as the payer was told"),
            unsigned("stop_list_version", 4, "version of the stop list that it was checked against, 0 = none"),
            unsigned("saf_sequence", 4, "number of the record: dense, from 1, for the life of the terminal", low=1),
            octets("previous_tag", TAG_SIZE, "tag of the record before it, zeros before the first"),
            octets("tag", TAG_SIZE, "AES-CMAC under K_saf over previous_tag, saf_sequence and the record"),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        OfflineSaleAnswer,
        0x0230,
        0x00,
        "offline sale answer",
        [
            *identity_fields(),
            amount_field("amount in fen, equal to the request's"),
            choice("verdict", OfflineVerdict, "what became of it"),
            code2("response_code", "response code: 00 if it is posted, else why not"),
            unsigned("rrn", 8, "RRN of the decision, 0 = none made"),
            unsigned(
                "charged_fen", 4, "what was booked for the merchant, in fen; 0 unless posted", high=MAX_AMOUNT_FEN
            ),
            unsigned("points", 4, "points that the payer has earned by it"),
            points_balance_field(),
            unsigned("next_saf_sequence", 4, "number of the record wanted next, 0 = nothing decided"),
            octets("last_tag", TAG_SIZE, "tag of the record before that one, as the host has it"),
        ],
        kind=Kind.ANSWER,
    ),
)
