"""A mixed load: what a counter does between its sales. Small dialogs, opened as a function's would be, without menus.

Each terminal does what fits what it has done: it voids or refunds its last sale, completes or frees its last hold,
takes a top-up back. What does not fit (nothing to void) is a question.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from random import Random
from typing import Any, Final

from protocol.messages import BalanceAnswer, BalanceRequest, LookupAnswer, LookupRequest
from protocol.messages.money import TransactionKind
from terminal_emulator.dialog import Ask, Dialog, Payer, Prompt, Transact
from terminal_emulator.flows import APPROVED
from terminal_emulator.record import Record, RecordState
from terminal_emulator.till import Till

SALES_SHARE: Final = 0.7
"""Of all that customers and cashiers want."""

SALE, VOID, REFUND = TransactionKind.SALE, TransactionKind.VOID, TransactionKind.REFUND
PREAUTH, PREAUTH_VOID = TransactionKind.PREAUTH, TransactionKind.PREAUTH_VOID
COMPLETION, COMPLETION_VOID = TransactionKind.COMPLETION, TransactionKind.COMPLETION_VOID
TOPUP, TOPUP_VOID = TransactionKind.TOPUP, TransactionKind.TOPUP_VOID
POINTS_SALE, POINTS_VOID = TransactionKind.POINTS_SALE, TransactionKind.POINTS_VOID

UNDOES: Final = {
    VOID: SALE,
    REFUND: SALE,
    PREAUTH_VOID: PREAUTH,
    COMPLETION: PREAUTH,
    COMPLETION_VOID: COMPLETION,
    TOPUP_VOID: TOPUP,
    POINTS_VOID: POINTS_SALE,
}
"""What is done about the last transaction of a kind, which is then not done again."""

WEIGHTS: Final[dict[TransactionKind | None, int]] = {
    VOID: 3,
    REFUND: 4,
    PREAUTH: 4,
    COMPLETION: 3,
    COMPLETION_VOID: 1,
    PREAUTH_VOID: 1,
    TOPUP: 4,
    TOPUP_VOID: 1,
    POINTS_SALE: 2,
    POINTS_VOID: 1,
    None: 6,
}
"""Of what is no sale. None: a question, a balance or a look-up."""
KINDS: Final = tuple(WEIGHTS)
SHARES: Final = tuple(WEIGHTS.values())
POINTS: Final = 1
"""What a points sale spends: one sale has earned it."""


class Mix:
    """What one terminal does besides selling. `told` is called when a question has its answer."""

    __slots__ = ("_last", "_rng", "_told", "is_asking")

    def __init__(self, rng: Random, told: Callable[[RecordState | None], None]) -> None:
        self._rng = rng
        self._told = told
        self._last: dict[TransactionKind, Record] = {}
        self.is_asking = False
        """Whether a question is under way: the terminal is busy, though nothing is being decided."""

    def remember(self, record: Record) -> None:
        """A transaction has its final state."""
        if record.state is RecordState.APPROVED:
            self._last[record.kind] = record

    def next(self, till: Till, card: bytes, amount_fen: int) -> Dialog | None:
        """What somebody wants now; None: a plain sale."""
        if self._rng.random() < SALES_SHARE:
            return None
        [kind] = self._rng.choices(KINDS, SHARES)
        if kind is POINTS_SALE:
            return self._spend_points(till, card)
        if kind is None:
            return self._ask(till, card)
        if kind not in UNDOES:
            return transact(till.new_record(kind, amount_fen, Payer(card)))
        original = self._last.pop(UNDOES[kind], None)
        if original is None:
            return self._ask(till, card)
        part_fen = max(1, original.amount_fen // 2) if kind in (REFUND, COMPLETION) else original.amount_fen
        return transact(till.new_record(kind, part_fen, Payer(original.payer), original))

    def _spend_points(self, till: Till, card: bytes) -> Dialog:
        """Points of who has paid last, and has earned some: most other cards of a fresh campus have none."""
        sale = self._last.get(SALE)
        if sale is None:
            return self._ask(till, card)
        return transact(till.new_record(POINTS_SALE, POINTS, Payer(sale.payer)))

    def _ask(self, till: Till, card: bytes) -> Dialog:
        self.is_asking = True
        sale = self._last.get(SALE)
        return self._balance(card) if sale is None or self._rng.random() < 0.5 else self._look_up(sale)

    def _balance(self, card: bytes) -> Dialog:
        answer = yield Ask(BalanceRequest(payer=card), "")
        self._answered(isinstance(answer, BalanceAnswer) and answer.response_code == APPROVED)

    def _look_up(self, sale: Record) -> Dialog:
        answer = yield Ask(LookupRequest(original_batch=sale.batch, original_stan=sale.stan), "")
        self._answered(isinstance(answer, LookupAnswer) and answer.response_code == APPROVED)

    def _answered(self, is_good: bool) -> None:
        self.is_asking = False
        self._told(RecordState.APPROVED if is_good else None)


def transact(record: Record) -> Generator[Prompt, Any, None]:
    """One transaction, all questions asked."""
    yield Transact(record)
