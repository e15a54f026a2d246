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
    PasswordPurpose,
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

SUPERVISOR: Final = (PasswordPurpose.SUPERVISOR,)
PASSWORDS: Final[dict[TransactionKind, tuple[PasswordPurpose, ...]]] = {
    TransactionKind.VOID: SUPERVISOR,
    TransactionKind.REFUND: SUPERVISOR,
    TransactionKind.PREAUTH_VOID: SUPERVISOR,
    TransactionKind.COMPLETION_VOID: SUPERVISOR,
    TransactionKind.TOPUP: (PasswordPurpose.RECHARGE,),
    TransactionKind.TOPUP_VOID: (PasswordPurpose.SUPERVISOR, PasswordPurpose.RECHARGE),
    TransactionKind.POINTS_VOID: SUPERVISOR,
}
"""Whose passwords terminals have checked before they send these."""

FIRST_COMMANDS: Final[dict[TransactionKind, type[Asked]]] = {
    TransactionKind.SALE: Sale,
    TransactionKind.PREAUTH: PreAuth,
    TransactionKind.TOPUP: TopUp,
    TransactionKind.POINTS_SALE: PointsSale,
}
"""Commands that refer to nothing earlier."""

WORDS: Final = {kind: kind.name.lower() for kind in TransactionKind}
"""What a hash begins with: no two kinds have one hash."""


def original_of(terminal_id: int, message: FollowUpRequest | UploadRequest) -> Identity | None:
    """What a request refers to, the sender's own number filled in; None if it refers to nothing."""
    if message.original_stan == 0:
        return None
    terminal = terminal_id if message.original_terminal == THIS_TERMINAL else message.original_terminal
    return Identity(terminal, message.original_batch, message.original_stan)


def request_hash(kind: TransactionKind, terminal_id: int, message: Any) -> bytes:
    """Of all that is said but the PIN, in the request and when it is uploaded. Stored: its recipe never changes."""
    is_follow_up = isinstance(message, FollowUpRequest | UploadRequest)
    return _hash(WORDS[kind], message, original_of(terminal_id, message) if is_follow_up else None)


def _hash(word: str, message: Any, original: Identity | None) -> bytes:
    text = (
        f"{word} {message.amount_fen} {message.operator} {message.entry_mode.value} {message.payer.hex()}"
        f" {message.claimed_at_s}"
    )
    if original is not None:
        text += f" {original.terminal_id} {original.batch} {original.stan}"
    return sha256(text.encode()).digest()[:16]


def to_command_of(kind: TransactionKind) -> Callable[[Caller, Any], Command]:
    """The ledger's command of one kind."""
    word, first = WORDS[kind], FIRST_COMMANDS.get(kind)
    if first is None:
        return _to_follow_up_of(kind)

    def to_first(caller: Caller, message: MoneyRequest) -> Command:
        payers, entry_mode, payer = caller.payers, message.entry_mode, message.payer
        token = token_of(entry_mode, payer)
        return first(  # type: ignore[return-value]
            Identity(caller.terminal_id, message.batch, message.stan),
            _hash(word, message, None),
            token,
            message.amount_fen,
            message.operator,
            message.claimed_at_s,
            payers.pin_verifier(caller.keys, payer, token, message.pin_block),
            payers.code_step(entry_mode, payer),
        )

    return to_first


def _to_follow_up_of(kind: TransactionKind) -> Callable[[Caller, Any], Command]:
    """A code shown for such a request is not looked at: the original says whose money it is, and it only goes back."""
    word = WORDS[kind]

    def to_follow_up(caller: Caller, message: FollowUpRequest) -> Command:
        original = original_of(caller.terminal_id, message)
        assert original is not None  # its STAN begins at 1
        token = token_of(message.entry_mode, message.payer)
        said: dict[str, Any] = {
            "identity": Identity(caller.terminal_id, message.batch, message.stan),
            "request_hash": _hash(word, message, original),
            "token": token,
            "amount_fen": message.amount_fen,
            "operator": message.operator,
            "claimed_at_s": message.claimed_at_s,
            "pin_verifier": caller.payers.pin_verifier(caller.keys, message.payer, token, message.pin_block),
            "original": original,
        }
        if kind is TransactionKind.REFUND:
            return Refund(**said)
        if kind is TransactionKind.COMPLETION:
            return Completion(**said)
        return Void(**said, kind=Kind(kind))

    return to_follow_up


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
            points_balance=outcome.points_balance,
            rrn=outcome.rrn,
            balance_fen=outcome.balance_fen,
            posted_at_ms=outcome.posted_at_ms,
        )

    return to_answer
