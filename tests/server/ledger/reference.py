"""What a ledger should do, said a second time as simply as can be: dicts, sums over everything ever sold, no batches.

It shares the nouns of `server.ledger.model` with what it checks, and no line of its reasoning.
"""

from __future__ import annotations

from typing import NamedTuple

from server.ledger.model import (
    BONUS_ACCOUNT,
    FUNDING_ACCOUNT,
    HOLDS_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    POINTS_ISSUED_ACCOUNT,
    Adjustment,
    Command,
    Decision,
    Identity,
    Query,
    Reversal,
    Sale,
    SaleLimits,
    TransferState,
    Upload,
)


class Said(NamedTuple):
    """All that a terminal is told."""

    decision: Decision
    amount_fen: int
    balance_fen: int
    rrn: int
    posted_at_ms: int
    state: TransferState


class Known(NamedTuple):
    """A decided request: what was asked, what was said, whose money went where on which day, and what of it nobody
    had."""

    asked: Sale | Reversal | Adjustment | Upload
    said: Said
    payer: int
    merchant: int
    day: int
    debt: int


class Reference:
    """`cards` and `tills` say which account is behind a token or a terminal; only cards' accounts are customers'.

    `revoked` terminals, `closed` merchants (by account) and `barred` cards (with the reason) may be changed at any
    time.
    """

    def __init__(
        self, limits: SaleLimits, balances: dict[int, int], cards: dict[bytes, int], tills: dict[int, int], rrn: int
    ) -> None:
        self.limits = limits
        self.balances = dict.fromkeys((HOLDS_ACCOUNT, BONUS_ACCOUNT, POINTS_ISSUED_ACCOUNT), 0) | balances
        self.cards = cards
        self.tills = tills
        self.customers = set(cards.values())
        self.rrn = rrn
        self.day = 0
        self.takes_uploads = False
        self.revoked: set[int] = set()
        self.closed: set[int] = set()
        self.barred: dict[bytes, Decision] = {}
        self.originals: dict[Identity, Known] = {}
        self.reversals: dict[Identity, Known] = {}

    def said(self, command: Command, now_ms: int) -> Said:
        """What the ledger has to answer, and from then on remember."""
        if isinstance(command, Query):
            return self._query(command)
        if isinstance(command, Reversal):
            return self._reversal(command, now_ms)
        if isinstance(command, Upload):
            return self._upload(command, now_ms)
        known = self.originals.get(command.identity)
        if known is not None:
            return known.said if same(known.asked, command) else nothing(Decision.ID_CONFLICT)
        if isinstance(command, Sale):
            return self._sale(command, now_ms)
        return self._adjustment(command, now_ms)

    def _sale(self, sale: Sale, now_ms: int) -> Said:
        payer = self.cards.get(sale.token, 0)
        merchant = self.tills.get(sale.identity.terminal_id, 0)
        decision = self._refusal(sale, payer, merchant)
        if decision == Decision.APPROVED:
            self.balances[payer] -= sale.amount_fen
            self.balances[merchant] += sale.amount_fen
        return self._remember(self.originals, sale, decision, sale.amount_fen, payer, merchant, now_ms)

    def _refusal(self, sale: Sale, payer: int, merchant: int) -> Decision:
        reasons = [
            (Decision.REVERSED_BEFORE, sale.identity in self.reversals),
            (Decision.TERMINAL_UNKNOWN, merchant == 0),
            (Decision.TERMINAL_REVOKED, sale.identity.terminal_id in self.revoked),
            (Decision.MERCHANT_CLOSED, merchant in self.closed),
            (Decision.CARD_UNKNOWN, payer == 0),
            (self.barred.get(sale.token, Decision.APPROVED), sale.token in self.barred),
            (Decision.OVER_SALE_LIMIT, 0 < self.limits.sale_limit_fen < sale.amount_fen),
            (Decision.OVER_DAY_LIMIT, 0 < self.limits.day_limit_fen < self.spent_today(payer) + sale.amount_fen),
            (Decision.INSUFFICIENT_FUNDS, self.balances.get(payer, 0) < sale.amount_fen),
        ]
        return next((decision for decision, holds in reasons if holds), Decision.APPROVED)

    def spent_today(self, payer: int) -> int:
        """Everything this account ever paid today, less what has been reversed."""
        return sum(
            known.asked.amount_fen
            for identity, known in self.originals.items()
            if isinstance(known.asked, Sale | Upload)
            and (known.payer, known.day, known.said.decision) == (payer, self.day, Decision.APPROVED)
            and identity not in self.reversals
        )

    def _upload(self, upload: Upload, now_ms: int) -> Said:
        known = self.originals.get(upload.identity)
        reversal = self.reversals.get(upload.identity)
        if known is not None:
            if not same(known.asked, upload):
                return nothing(Decision.ID_CONFLICT)
            if reversal is not None and known.said.decision in (Decision.APPROVED, Decision.REVERSED_BEFORE):
                return known.said._replace(decision=Decision.REVERSED_BEFORE, state=TransferState.REVERSED)
            return known.said if known.said.decision == Decision.APPROVED else nothing(Decision.ID_CONFLICT)
        merchant = self.tills.get(upload.identity.terminal_id, 0)
        if not merchant or upload.identity.terminal_id in self.revoked:
            return nothing(Decision.TERMINAL_REVOKED)
        if not self.takes_uploads:
            return nothing(Decision.RECOVERY_CLOSED)
        payer = self.cards.get(upload.token, 0)
        if reversal is not None:
            if reversal.asked.token != upload.token:
                return nothing(Decision.ID_CONFLICT)
            said = self._remember(
                self.originals, upload, Decision.REVERSED_BEFORE, upload.amount_fen, payer, merchant, now_ms
            )
            return said._replace(state=TransferState.REVERSED)
        paid = 0
        if payer:
            paid = min(self.balances[payer], upload.amount_fen)
            self.balances[payer] -= paid
        self.balances[OFFLINE_DEBT_ACCOUNT] -= upload.amount_fen - paid
        self.balances[merchant] += upload.amount_fen
        return self._remember(
            self.originals,
            upload,
            Decision.APPROVED,
            upload.amount_fen,
            payer,
            merchant,
            now_ms,
            debt=upload.amount_fen - paid,
        )

    def _reversal(self, reversal: Reversal, now_ms: int) -> Said:
        def content(command: Sale | Reversal | Upload) -> tuple[bytes, int]:
            return command.token, command.amount_fen

        known = self.reversals.get(reversal.identity)
        if known is not None and content(known.asked) == content(reversal):
            return known.said
        original = self.originals.get(reversal.identity)
        if original is not None and content(original.asked) != content(reversal):
            return nothing(Decision.ORIGINAL_MISMATCH)
        if known is not None:
            return nothing(Decision.ID_CONFLICT)
        if original is None:
            return self._remember(self.reversals, reversal, Decision.APPROVED, 0, 0, 0, now_ms)
        back = original.asked.amount_fen if original.said.decision == Decision.APPROVED else 0
        if back:
            if back > original.debt:
                self.balances[original.payer] += back - original.debt
            self.balances[OFFLINE_DEBT_ACCOUNT] += original.debt
            self.balances[original.merchant] -= back
        payer, merchant = original.payer, original.merchant
        return self._remember(self.reversals, reversal, Decision.APPROVED, back, payer, merchant, now_ms)

    def _query(self, query: Query) -> Said:
        original = self.originals.get(query.identity)
        undone = query.identity in self.reversals
        if original is None:
            if undone:
                return nothing(Decision.REVERSED_BEFORE)._replace(state=TransferState.REVERSED)
            return nothing(Decision.NEVER_SEEN)
        sale, wanted = original.asked, (query.amount_fen, query.token, query.claimed_at_s)
        meant = not query.token or (
            isinstance(sale, Sale | Upload) and (sale.amount_fen, sale.token, sale.claimed_at_s) == wanted
        )
        if not meant:
            return nothing(Decision.ID_CONFLICT)._replace(state=TransferState.DECLINED)
        if undone and original.said.decision in (Decision.APPROVED, Decision.REVERSED_BEFORE):
            return original.said._replace(state=TransferState.REVERSED)
        return original.said

    def _adjustment(self, adjustment: Adjustment, now_ms: int) -> Said:
        payer = adjustment.account_id
        if payer not in self.customers:
            decision = Decision.ACCOUNT_UNKNOWN
        elif self.balances[payer] + adjustment.amount_fen < 0:
            decision = Decision.INSUFFICIENT_FUNDS
        else:
            decision = Decision.APPROVED
            self.balances[payer] += adjustment.amount_fen
            self.balances[FUNDING_ACCOUNT] -= adjustment.amount_fen
        return self._remember(self.originals, adjustment, decision, adjustment.amount_fen, payer, 0, now_ms)

    def _remember(
        self,
        where: dict[Identity, Known],
        command: Sale | Reversal | Adjustment | Upload,
        decision: Decision,
        amount_fen: int,
        payer: int,
        merchant: int,
        now_ms: int,
        debt: int = 0,
    ) -> Said:
        self.rrn += 1
        state = TransferState.APPROVED if decision == Decision.APPROVED else TransferState.DECLINED
        said = Said(decision, amount_fen, self.balances.get(payer, 0), self.rrn, now_ms, state)
        where[command.identity] = Known(command, said, payer, merchant, self.day, debt)
        return said


def same(asked: Command, command: Command) -> bool:
    """The same request again. An upload is its sale."""
    if isinstance(asked, Sale | Upload) and isinstance(command, Sale | Upload):
        one, other = ((it.token, it.amount_fen, it.operator, it.claimed_at_s, it.identity) for it in (asked, command))
        return one == other
    return asked == command


def nothing(decision: Decision) -> Said:
    """An answer that decides nothing."""
    return Said(decision, 0, 0, 0, 0, TransferState.NEVER_SEEN)
