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
    POINTS_ACCOUNT_OFFSET,
    POINTS_ISSUED_ACCOUNT,
    Adjustment,
    Command,
    Completion,
    Decision,
    Identity,
    Kind,
    PointsSale,
    PreAuth,
    Query,
    Refund,
    Reversal,
    Sale,
    SaleLimits,
    TopUp,
    TransferState,
    Upload,
    Void,
)

Moves = dict[int, int]
Original = Sale | Adjustment | Upload | Void | Refund | PreAuth | Completion | TopUp | PointsSale


class Said(NamedTuple):
    """All that a terminal is told."""

    decision: Decision
    amount_fen: int
    balance_fen: int
    rrn: int
    posted_at_ms: int
    state: TransferState


class Terms(NamedTuple):
    """What everybody gets off, on top and in points."""

    discount_percent: int = 0
    bonus_from_fen: int = 0
    bonus_fen: int = 0
    fen_per_point: int = 0


class Known(NamedTuple):
    """A decided request: what was asked, what was said, whose money went where on which day, and what it is about."""

    asked: Original | Reversal
    said: Said
    payer: int
    merchant: int
    day: int
    moves: Moves
    about: Identity | None
    charged: int
    points: int


VOIDED: dict[Kind, tuple[type, ...]] = {
    Kind.VOID: (Sale, Upload),
    Kind.PREAUTH_VOID: (PreAuth,),
    Kind.COMPLETION_VOID: (Completion,),
    Kind.TOPUP_VOID: (TopUp,),
    Kind.POINTS_VOID: (PointsSale,),
}


class Reference:
    """`cards` and `tills` say which account is behind a token or a terminal; only cards' accounts are customers'.

    `revoked` terminals, `closed` merchants (by account) and `barred` cards (with the reason) may be changed at any
    time.
    """

    def __init__(
        self,
        limits: SaleLimits,
        balances: dict[int, int],
        cards: dict[bytes, int],
        tills: dict[int, int],
        rrn: int,
        terms: Terms | None = None,
    ) -> None:
        self.limits = limits
        self.balances = dict.fromkeys((HOLDS_ACCOUNT, BONUS_ACCOUNT, POINTS_ISSUED_ACCOUNT), 0) | balances
        self.cards = cards
        self.tills = tills
        self.customers = set(cards.values())
        self.rrn = rrn
        self.terms = terms or Terms()
        self.day = 0
        self.opened_ms: dict[int, int] = {}
        """When each day was opened; before that if nobody has said."""
        self.takes_uploads = False
        self.revoked: set[int] = set()
        self.closed: set[int] = set()
        self.barred: dict[bytes, Decision] = {}
        self.originals: dict[Identity, Known] = {}
        self.reversals: dict[Identity, Known] = {}
        self.extras: dict[int, tuple[int, int]] = {}
        """By RRN: what was charged in the end, and the points."""

    def said(self, command: Command, now_ms: int) -> Said:
        """What the ledger has to answer, and from then on remember."""
        if isinstance(command, Query):
            return self._query(command)
        if isinstance(command, Reversal):
            return self._reversal(command, now_ms)
        if isinstance(command, Upload):
            return self._upload(command, now_ms)
        assert isinstance(command, Original)
        known = self.originals.get(command.identity)
        if known is not None:
            return known.said if same(known.asked, command) else nothing(Decision.ID_CONFLICT)
        if isinstance(command, Adjustment):
            return self._adjustment(command, now_ms)
        if isinstance(command, Void | Refund | Completion):
            return self._follow_up(command, now_ms)
        return self._payment(command, now_ms)

    # --- what begins something

    def _payment(self, asked: Sale | PreAuth | TopUp | PointsSale, now_ms: int) -> Said:
        payer = self.cards.get(asked.token, 0)
        merchant = self.tills.get(asked.identity.terminal_id, 0)
        amount = asked.amount_fen
        charged, points = amount, 0
        if isinstance(asked, Sale):
            charged = amount - amount * self.terms.discount_percent // 100
            points = charged // self.terms.fen_per_point if self.terms.fen_per_point else 0
            moves = {payer: -charged, merchant: charged}
        elif isinstance(asked, PreAuth):
            moves = {payer: -amount, HOLDS_ACCOUNT: amount}
        elif isinstance(asked, TopUp):
            bonus = self.terms.bonus_fen if amount >= self.terms.bonus_from_fen else 0
            charged = amount + bonus
            moves = {payer: charged, merchant: -amount, BONUS_ACCOUNT: -bonus}
        else:
            moves, charged, points = {}, 0, -amount
        if points:
            moves |= {payer + POINTS_ACCOUNT_OFFSET: points, POINTS_ISSUED_ACCOUNT: -points}
        is_limited = isinstance(asked, Sale | PreAuth)
        has = self.balances.get(payer + POINTS_ACCOUNT_OFFSET if isinstance(asked, PointsSale) else payer, 0)
        needs = amount if isinstance(asked, PointsSale) else charged * is_limited
        reasons = [
            *self._who(asked, payer, merchant),
            (Decision.OVER_SALE_LIMIT, is_limited and 0 < self.limits.sale_limit_fen < charged),
            (
                Decision.OVER_DAY_LIMIT,
                is_limited and 0 < self.limits.day_limit_fen < self.spent_today(payer) + charged,
            ),
            (Decision.INSUFFICIENT_FUNDS, has < needs),
        ]
        return self._decide(asked, reasons, moves, payer, merchant, now_ms, charged=charged, points=points)

    def _who(self, asked: Original, payer: int, merchant: int) -> list[tuple[Decision, bool]]:
        assert not isinstance(asked, Adjustment)
        return [
            (Decision.REVERSED_BEFORE, asked.identity in self.reversals),
            (Decision.TERMINAL_UNKNOWN, merchant == 0),
            (Decision.TERMINAL_REVOKED, asked.identity.terminal_id in self.revoked),
            (Decision.MERCHANT_CLOSED, merchant in self.closed),
            (Decision.CARD_UNKNOWN, payer == 0),
            (self.barred.get(asked.token, Decision.APPROVED), asked.token in self.barred),
        ]

    def spent_today(self, payer: int) -> int:
        """Everything this account ever paid today, less all that has come back of it."""
        return -sum(
            fen
            for identity, known in self.originals.items()
            if isinstance(known.asked, Sale | Upload | PreAuth) and (known.payer, known.day) == (payer, self.day)
            if not isinstance(known.asked, Upload)
            or known.asked.claimed_at_s < 1_577_836_800  # the clock was never set
            or known.asked.claimed_at_s * 1000 >= self.opened_ms.get(known.day, 0) - 3_600_000
            for account, fen in self._moved(identity).items()
            if account in (payer, OFFLINE_DEBT_ACCOUNT)
        )

    # --- what is about something

    def _children(self, identity: Identity) -> list[Identity]:
        return [child for child, known in self.originals.items() if known.about == identity and approved(known)]

    def _stands(self, identity: Identity) -> bool:
        return (
            approved(self.originals[identity])
            and identity not in self.reversals
            and not any(isinstance(self.originals[child].asked, Void) for child in self._standing(identity))
        )

    def _standing(self, identity: Identity) -> list[Identity]:
        return [child for child in self._children(identity) if self._stands(child)]

    def _moved(self, identity: Identity) -> Moves:
        """By this, by its reversal, and by all that is about it."""
        total: Moves = {}
        rows = [self.originals[identity].moves]
        if identity in self.reversals:
            rows.append(self.reversals[identity].moves)
        for moves in [*rows, *(self._moved(child) for child in self._children(identity))]:
            for account, fen in moves.items():
                total[account] = total.get(account, 0) + fen
        return total

    def _buried(self, identity: Identity) -> bool:
        """What it is about was reversed."""
        about = self.originals[identity].about
        return about is not None and (about in self.reversals or self._buried(about))

    def _root(self, identity: Identity) -> Identity:
        about = self.originals[identity].about
        return identity if about is None else self._root(about)

    def _back(self, identity: Identity, fen: int) -> Moves:
        """So much to whoever bore it, the campus first."""
        debt = min(fen, -self._moved(self._root(identity)).get(OFFLINE_DEBT_ACCOUNT, 0))
        return {OFFLINE_DEBT_ACCOUNT: debt, self.originals[identity].payer: fen - debt}

    def _follow_up(self, asked: Void | Refund | Completion, now_ms: int) -> Said:
        card = self.cards.get(asked.token, 0)
        merchant = self.tills.get(asked.identity.terminal_id, 0)
        reasons = self._who(asked, card, merchant)
        found = self.originals.get(asked.original)
        if found is None or found.merchant != merchant or not approved(found):
            reasons.append((Decision.ORIGINAL_UNKNOWN, True))
            return self._decide(asked, reasons, {}, card, merchant, now_ms)
        was, about = found.asked, asked.original
        assert not isinstance(was, Reversal | Adjustment)
        charged, points, moves, payer = asked.amount_fen, 0, {}, found.payer
        standing = [self.originals[child] for child in self._standing(about)]
        gone = not self._stands(about) or self._buried(about)
        another = was.token != asked.token and card != found.payer
        if isinstance(asked, Void):
            moves = {account: -fen for account, fen in self._moved(about).items()}
            charged, points = found.charged, -found.points
            short = self.balances.get(payer, 0) + moves.get(payer, 0) < 0
            elsewhere = asked.identity.terminal_id != was.identity.terminal_id
            late = found.day != self.day or asked.identity.batch != was.identity.batch
            strict = asked.kind != Kind.PREAUTH_VOID
            reasons += [
                (Decision.WRONG_KIND, not isinstance(was, VOIDED[asked.kind])),
                (Decision.WRONG_PAYER, another),
                (Decision.WRONG_TERMINAL, strict and elsewhere),
                (Decision.WRONG_DAY, strict and late),
                (Decision.WRONG_AMOUNT, was.amount_fen != asked.amount_fen),
                (Decision.ALREADY_UNDONE, gone or bool(standing)),
                (Decision.INSUFFICIENT_FUNDS, payer != 0 and short),
            ]
        elif isinstance(asked, Refund):
            refunds = [one for one in standing if isinstance(one.asked, Refund)]
            so_far = sum(one.said.amount_fen for one in refunds)
            share = so_far + asked.amount_fen
            charged = found.charged * share // was.amount_fen - sum(one.charged for one in refunds)
            points = sum(-one.points for one in refunds) - max(0, found.points) * share // was.amount_fen
            moves = {found.merchant: -charged} | self._back(about, charged)
            if points:
                moves |= {payer + POINTS_ACCOUNT_OFFSET: points, POINTS_ISSUED_ACCOUNT: -points}
            reasons += [
                (Decision.WRONG_KIND, not isinstance(was, Sale | Upload | Completion)),
                (Decision.WRONG_PAYER, another),
                (Decision.ALREADY_UNDONE, gone),
                (Decision.OVER_REMAINDER, share > was.amount_fen),
            ]
        else:
            held = self._moved(about).get(HOLDS_ACCOUNT, 0)
            points = charged // self.terms.fen_per_point if self.terms.fen_per_point else 0
            moves = {HOLDS_ACCOUNT: -held, merchant: charged}
            if points:
                moves |= {payer + POINTS_ACCOUNT_OFFSET: points, POINTS_ISSUED_ACCOUNT: -points}
            if held >= charged:
                moves |= self._back(about, held - charged)
            reasons += [
                (Decision.WRONG_KIND, not isinstance(was, PreAuth)),
                (Decision.WRONG_PAYER, another),
                (Decision.ALREADY_UNDONE, gone or bool(standing)),
                (Decision.OVER_REMAINDER, charged > was.amount_fen),
            ]
        refused = any(holds for _, holds in reasons)
        return self._decide(asked, reasons, moves, card if refused else payer, merchant, now_ms, about, charged, points)

    def _decide(
        self,
        asked: Original,
        reasons: list[tuple[Decision, bool]],
        moves: Moves,
        payer: int,
        merchant: int,
        now_ms: int,
        about: Identity | None = None,
        charged: int = 0,
        points: int = 0,
    ) -> Said:
        decision = next((decision for decision, holds in reasons if holds), Decision.APPROVED)
        if decision != Decision.APPROVED:
            moves, about, charged, points = {}, None, 0, 0
        return self._remember(
            self.originals, asked, decision, asked.amount_fen, payer, merchant, now_ms, moves, about, charged, points
        )

    # --- what comes back, and what is taken back

    def _upload(self, upload: Upload, now_ms: int) -> Said:
        known = self.originals.get(upload.identity)
        reversal = self.reversals.get(upload.identity)
        if known is not None:
            if not same(known.asked, upload):
                return nothing(Decision.ID_CONFLICT)
            if reversal is not None and known.said.decision in (Decision.APPROVED, Decision.REVERSED_BEFORE):
                return known.said._replace(decision=Decision.REVERSED_BEFORE, state=TransferState.REVERSED)
            return known.said if approved(known) else nothing(Decision.ID_CONFLICT)
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
                self.originals, upload, Decision.REVERSED_BEFORE, upload.amount_fen, payer, merchant, now_ms, {}
            )
            return said._replace(state=TransferState.REVERSED)
        paid = min(self.balances[payer], upload.amount_fen) if payer else 0
        moves = {payer: -paid, OFFLINE_DEBT_ACCOUNT: paid - upload.amount_fen, merchant: upload.amount_fen}
        return self._remember(
            self.originals,
            upload,
            Decision.APPROVED,
            upload.amount_fen,
            payer,
            merchant,
            now_ms,
            moves,
            charged=upload.amount_fen,
        )

    def _reversal(self, reversal: Reversal, now_ms: int) -> Said:
        def content(command: Original | Reversal) -> tuple[bytes, int]:
            return (b"", 0) if isinstance(command, Adjustment) else (command.token, command.amount_fen)

        known = self.reversals.get(reversal.identity)
        if known is not None and content(known.asked) == content(reversal):
            return known.said
        original = self.originals.get(reversal.identity)
        if original is not None and content(original.asked) != content(reversal):
            return nothing(Decision.ORIGINAL_MISMATCH)
        if known is not None:
            return nothing(Decision.ID_CONFLICT)
        if original is None:
            return self._remember(self.reversals, reversal, Decision.APPROVED, 0, 0, 0, now_ms, {})
        moves: Moves = {}
        if approved(original) and not self._buried(reversal.identity):
            moves = {account: -fen for account, fen in self._moved(reversal.identity).items()}
        payer, merchant = original.payer, original.merchant
        short = -(self.balances.get(payer, 0) + moves.get(payer, 0))
        if moves.get(payer, 0) < 0 and short > 0:
            moves[payer] += short
            moves[OFFLINE_DEBT_ACCOUNT] = moves.get(OFFLINE_DEBT_ACCOUNT, 0) - short
        is_points = isinstance(original.asked, PointsSale) or getattr(original.asked, "kind", 0) == Kind.POINTS_VOID
        back = sum(
            fen
            for account, fen in moves.items()
            if fen > 0 and (account >= POINTS_ACCOUNT_OFFSET or account == POINTS_ISSUED_ACCOUNT) == is_points
        )
        if isinstance(original.asked, Completion) or getattr(original.asked, "kind", 0) == Kind.COMPLETION_VOID:
            back = abs(moves.get(merchant, 0))
        return self._remember(
            self.reversals,
            reversal,
            Decision.APPROVED,
            back,
            payer,
            merchant,
            now_ms,
            moves,
            charged=back,
            points=moves.get(payer + POINTS_ACCOUNT_OFFSET, 0),
            in_points=is_points,
        )

    def _query(self, query: Query) -> Said:
        original = self.originals.get(query.identity)
        undone = query.identity in self.reversals
        if original is None:
            if undone:
                return nothing(Decision.REVERSED_BEFORE)._replace(state=TransferState.REVERSED)
            return nothing(Decision.NEVER_SEEN)
        was, wanted = original.asked, (query.amount_fen, query.token, query.claimed_at_s)
        meant = not query.token or (
            not isinstance(was, Adjustment) and (was.amount_fen, was.token, was.claimed_at_s) == wanted
        )
        if not meant:
            return nothing(Decision.ID_CONFLICT)._replace(state=TransferState.DECLINED)
        if undone and original.said.decision in (Decision.APPROVED, Decision.REVERSED_BEFORE):
            return original.said._replace(state=TransferState.REVERSED)
        return original.said

    def _adjustment(self, adjustment: Adjustment, now_ms: int) -> Said:
        payer = adjustment.account_id
        fen = adjustment.amount_fen
        reasons = [
            (Decision.ACCOUNT_UNKNOWN, payer not in self.customers),
            (Decision.INSUFFICIENT_FUNDS, self.balances.get(payer, 0) + fen < 0),
        ]
        return self._decide(adjustment, reasons, {payer: fen, FUNDING_ACCOUNT: -fen}, payer, 0, now_ms, charged=fen)

    def _remember(
        self,
        where: dict[Identity, Known],
        command: Original | Reversal,
        decision: Decision,
        amount_fen: int,
        payer: int,
        merchant: int,
        now_ms: int,
        moves: Moves,
        about: Identity | None = None,
        charged: int = 0,
        points: int = 0,
        *,
        in_points: bool = False,
    ) -> Said:
        self.rrn += 1
        moves = {account: fen for account, fen in moves.items() if fen}
        for account, fen in moves.items():
            self.balances[account] = self.balances.get(account, 0) + fen
        in_points |= isinstance(command, PointsSale) or getattr(command, "kind", 0) == Kind.POINTS_VOID
        told = payer + POINTS_ACCOUNT_OFFSET if in_points and payer else payer
        state = TransferState.APPROVED if decision == Decision.APPROVED else TransferState.DECLINED
        said = Said(decision, amount_fen, self.balances.get(told, 0), self.rrn, now_ms, state)
        self.extras[self.rrn] = (0 if in_points and not isinstance(command, Reversal) else charged, abs(points))
        where[command.identity] = Known(command, said, payer, merchant, self.day, moves, about, charged, points)
        return said


def approved(known: Known) -> bool:
    """Whether anything was done."""
    return known.said.decision == Decision.APPROVED


def same(asked: Command, command: Command) -> bool:
    """The same request again. An upload is its sale."""
    if isinstance(asked, Sale | Upload) and isinstance(command, Sale | Upload):
        one, other = ((it.token, it.amount_fen, it.operator, it.claimed_at_s, it.identity) for it in (asked, command))
        return one == other
    return asked == command


def nothing(decision: Decision) -> Said:
    """An answer that decides nothing."""
    return Said(decision, 0, 0, 0, 0, TransferState.NEVER_SEEN)
