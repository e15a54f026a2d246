"""From what the terminal remembers to what it says: one table of all kinds of transactions."""

from __future__ import annotations

from typing import Final

from protocol.messages import (
    CompletionAnswer,
    CompletionRequest,
    CompletionVoidAnswer,
    CompletionVoidRequest,
    FollowUpRequest,
    MoneyAnswer,
    MoneyRequest,
    PointsSaleAnswer,
    PointsSaleRequest,
    PointsVoidAnswer,
    PointsVoidRequest,
    PreAuthAnswer,
    PreAuthRequest,
    PreAuthVoidAnswer,
    PreAuthVoidRequest,
    QueryRequest,
    RefundAnswer,
    RefundRequest,
    SaleAnswer,
    SaleRequest,
    TopUpAnswer,
    TopUpRequest,
    TopUpVoidAnswer,
    TopUpVoidRequest,
    VoidAnswer,
    VoidRequest,
)
from protocol.messages.money import TransactionKind
from terminal_emulator.record import Record

MESSAGES: Final[dict[TransactionKind, tuple[type[MoneyRequest], type[MoneyAnswer]]]] = {
    TransactionKind.SALE: (SaleRequest, SaleAnswer),
    TransactionKind.VOID: (VoidRequest, VoidAnswer),
    TransactionKind.REFUND: (RefundRequest, RefundAnswer),
    TransactionKind.PREAUTH: (PreAuthRequest, PreAuthAnswer),
    TransactionKind.PREAUTH_VOID: (PreAuthVoidRequest, PreAuthVoidAnswer),
    TransactionKind.COMPLETION: (CompletionRequest, CompletionAnswer),
    TransactionKind.COMPLETION_VOID: (CompletionVoidRequest, CompletionVoidAnswer),
    TransactionKind.TOPUP: (TopUpRequest, TopUpAnswer),
    TransactionKind.TOPUP_VOID: (TopUpVoidRequest, TopUpVoidAnswer),
    TransactionKind.POINTS_SALE: (PointsSaleRequest, PointsSaleAnswer),
    TransactionKind.POINTS_VOID: (PointsVoidRequest, PointsVoidAnswer),
}
"""What is sent at once and waited for. An offline sale is not: it is uploaded later."""

NEVER_REVERSED: Final = frozenset({TransactionKind.REFUND})
"""The customer has money coming and nothing to lose: the request is repeated until the host decides."""


def request_of(record: Record) -> MoneyRequest:
    """The request of a record, without a PIN; the same for every copy."""
    kind = MESSAGES[record.kind][0]
    if issubclass(kind, FollowUpRequest):
        return kind(
            **record.told(),
            original_terminal=record.original_terminal,
            original_batch=record.original_batch,
            original_stan=record.original_stan,
        )
    return kind(  # every sale comes here: by way of `told` it takes four times as long
        stan=record.stan,
        batch=record.batch,
        amount_fen=record.amount_fen,
        operator=record.operator,
        entry_mode=record.entry_mode,
        payer=record.payer,
        claimed_at_s=record.claimed_at_s,
    )


def query_of(record: Record) -> QueryRequest:
    """What became of the transaction of this record?"""
    return QueryRequest(
        stan=record.stan,
        batch=record.batch,
        amount_fen=record.amount_fen,
        entry_mode=record.entry_mode,
        payer=record.payer,
        claimed_at_s=record.claimed_at_s,
    )
