"""Requests for money on the host's floor: message to command, outcome to answer, and the hash of what was said.

All kinds say the same things (`protocol.messages.money`), so all are translated here. What they mean is for the rules
of the ledger to say, one module for each.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from protocol.messages import LAYOUTS as ALL_LAYOUTS
from protocol.messages import (
    CompletionRequest,
    CompletionVoidRequest,
    FollowUpRequest,
    Message,
    MoneyAnswer,
    MoneyRequest,
    PointsSaleRequest,
    PointsVoidRequest,
    PreAuthRequest,
    PreAuthVoidRequest,
    RefundRequest,
    SaleRequest,
    TopUpRequest,
    TopUpVoidRequest,
    TransactionKind,
    UploadRequest,
    VoidRequest,
)
from protocol.messages.money import THIS_TERMINAL
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import (
    Asked,
    Command,
    Completion,
    Identity,
    Kind,
    Outcome,
    PointsSale,
    PreAuth,
    Refund,
    Sale,
    TopUp,
    Void,
)
from server.payers import Caller, token_of

KINDS: Final[dict[type[MoneyRequest], TransactionKind]] = {
    SaleRequest: TransactionKind.SALE,
    VoidRequest: TransactionKind.VOID,
    RefundRequest: TransactionKind.REFUND,
    PreAuthRequest: TransactionKind.PREAUTH,
    PreAuthVoidRequest: TransactionKind.PREAUTH_VOID,
    CompletionRequest: TransactionKind.COMPLETION,
    CompletionVoidRequest: TransactionKind.COMPLETION_VOID,
    TopUpRequest: TransactionKind.TOPUP,
    TopUpVoidRequest: TransactionKind.TOPUP_VOID,
    PointsSaleRequest: TransactionKind.POINTS_SALE,
    PointsVoidRequest: TransactionKind.POINTS_VOID,
}
"""Every request for money, and what it is."""

FIRST_COMMANDS: Final[dict[TransactionKind, type[Asked]]] = {
    TransactionKind.SALE: Sale,
    TransactionKind.PREAUTH: PreAuth,
    TransactionKind.TOPUP: TopUp,
    TransactionKind.POINTS_SALE: PointsSale,
}
"""Commands that refer to nothing earlier."""


def original_of(terminal_id: int, message: FollowUpRequest | UploadRequest) -> Identity | None:
    """What a request refers to, the sender's own number filled in; None if it refers to nothing."""
    if message.original_stan == 0:
        return None
    terminal = terminal_id if message.original_terminal == THIS_TERMINAL else message.original_terminal
    return Identity(terminal, message.original_batch, message.original_stan)


def request_hash(kind: TransactionKind, terminal_id: int, message: Any) -> bytes:
    """Of all that is said but the PIN, in the request and when it is uploaded. Stored: its recipe never changes."""
    said = f"{message.amount_fen} {message.operator} {message.entry_mode.value} {message.payer.hex()}"
    text = f"{kind.name.lower()} {said} {message.claimed_at_s}"
    original = original_of(terminal_id, message) if isinstance(message, FollowUpRequest | UploadRequest) else None
    if original is not None:
        text += f" {original.terminal_id} {original.batch} {original.stan}"
    return sha256(text.encode()).digest()[:16]


def to_command_of(kind: TransactionKind) -> Callable[[Caller, Any], Command]:
    """The ledger's command of one kind."""
    first = FIRST_COMMANDS.get(kind)
    if first is not None:

        def to_first(caller: Caller, message: MoneyRequest) -> Command:
            step = caller.payers.code_step(message.entry_mode, message.payer)
            return first(**_asked(kind, caller, message), code_step=step)  # type: ignore[return-value]

        return to_first

    def to_follow_up(caller: Caller, message: FollowUpRequest) -> Command:
        # A code shown for this is not looked at: the original says whose money it is, and money only goes back there.
        said = _asked(kind, caller, message)
        original = original_of(caller.terminal_id, message)
        assert original is not None  # the field begins at 1
        if kind is TransactionKind.REFUND:
            return Refund(**said, original=original)
        if kind is TransactionKind.COMPLETION:
            return Completion(**said, original=original)
        return Void(**said, original=original, kind=Kind(kind))

    return to_follow_up


def _asked(kind: TransactionKind, caller: Caller, message: MoneyRequest) -> dict[str, Any]:
    token = token_of(message.entry_mode, message.payer)
    return {
        "identity": Identity(caller.terminal_id, message.batch, message.stan),
        "request_hash": request_hash(kind, caller.terminal_id, message),
        "token": token,
        "amount_fen": message.amount_fen,
        "operator": message.operator,
        "claimed_at_s": message.claimed_at_s,
        "pin_verifier": caller.payers.pin_verifier(caller.keys, message.payer, token, message.pin_block),
    }


def to_answer_of(request: type[MoneyRequest]) -> Callable[[Any, Outcome], Message]:
    """The wire's answer to one kind: a pure function of request and outcome, so copies get the same bytes."""
    kind: type[Message] = ALL_LAYOUTS[request.layout.answer_key].message
    assert issubclass(kind, MoneyAnswer)

    def to_answer(message: MoneyRequest, outcome: Outcome) -> Message:
        return kind(
            stan=message.stan,
            batch=message.batch,
            amount_fen=message.amount_fen,
            response_code=RESPONSE_CODES[outcome.decision],
            charged_fen=outcome.charged_fen,
            points=outcome.points,
            rrn=outcome.rrn,
            balance_fen=outcome.balance_fen,
            posted_at_ms=outcome.posted_at_ms,
        )

    return to_answer
