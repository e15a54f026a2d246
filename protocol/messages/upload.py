"""Upload of an approved transaction (补传), 0320/00: the host was restored from a backup, and may have lost it.

The terminal sends the transaction as it was, and what the lost host had answered. The verdict says how it stands now,
as a query's answer does; a copy of an upload is answered "known". It is taken only while a recovery is open.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.messages.fields import Layout, Message, choice, code2, signed64, unsigned
from protocol.messages.money import (
    MAX_BATCH,
    MAX_STAN,
    THIS_TERMINAL,
    Told,
    TransactionKind,
    amount_field,
    charged_fields,
    identity_fields,
    request_fields,
)
from protocol.state import Kind


class UploadVerdict(IntEnum):
    """What the host makes of an uploaded sale. UNDECIDED decides nothing; with NOT_OPEN nothing was posted."""

    RESTORED = 1
    KNOWN = 2
    REVERSED = 3
    CONFLICT = 4
    NOT_OPEN = 5
    UNDECIDED = 6


class UploadRequest(Told, frozen=True, kw_only=True):
    """Terminal to host: the request of an approved sale, again, and the answer it had got."""

    kind: TransactionKind = TransactionKind.SALE
    original_terminal: int = THIS_TERMINAL
    original_batch: int = 0
    original_stan: int = 0
    charged_fen: int = 0
    points: int = 0
    rrn: int
    balance_fen: int
    posted_at_ms: int


class UploadAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: how the sale stands."""

    stan: int
    batch: int
    amount_fen: int
    verdict: UploadVerdict
    response_code: str
    rrn: int


LAYOUTS: Final = (
    Layout(
        UploadRequest,
        0x0320,
        0x00,
        "upload",
        [
            *request_fields(),
            choice("kind", TransactionKind, "what it is"),
            unsigned("original_terminal", 4, "terminal of what it refers to, 0 = this terminal"),
            unsigned(
                "original_batch", 3, "batch number of what it refers to, 0 = it refers to nothing", high=MAX_BATCH
            ),
            unsigned("original_stan", 3, "STAN of what it refers to, 0 = nothing", high=MAX_STAN),
            *charged_fields(),
            unsigned("rrn", 8, "RRN it was approved under"),
            signed64("balance_fen", "balance that was answered with it, in fen"),
            unsigned("posted_at_ms", 8, "posting time that was answered with it"),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        UploadAnswer,
        0x0330,
        0x00,
        "upload answer",
        [
            *identity_fields(),
            amount_field("amount in fen, equal to the request's"),
            choice("verdict", UploadVerdict, "how the sale stands now"),
            code2("response_code", "response code: 00 with restored and known; with undecided it says why"),
            unsigned("rrn", 8, "RRN of the sale at this host, 0 = it has none"),
        ],
        kind=Kind.ANSWER,
    ),
)
