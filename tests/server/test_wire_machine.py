"""R4: terminals, an administrator and restarts in any order against a whole host, over the wire, compared with a model.

T2, T3, T4, N4: copies, conflicting copies, lost answers, newer sessions. What every terminal is told, to the byte, and
what every account holds is what `tests.server.ledger.reference` says it has to be.
"""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol import RemoteProtocolError
from protocol.messages import Auth, Challenge, Message, QueryRequest, Ready, ReversalRequest, SaleRequest
from server.ledger.model import (
    CONSOLE,
    FUNDING_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    Adjustment,
    Decision,
    Identity,
    Query,
    Reversal,
    Sale,
    SaleLimits,
    TransferState,
)
from tests.server.campus_thread import CampusThread
from tests.server.host import BUSINESS_DAY, CARD, OTHER_CARD, START_FEN, STRANGER, HostRig, Line
from tests.server.ledger import audit
from tests.server.ledger.reference import Reference, Said
from tests.wire import Till, query_of, reversal_of

CODES = {
    Decision.APPROVED: "00",
    Decision.TERMINAL_REVOKED: "58",
    Decision.MERCHANT_CLOSED: "03",
    Decision.CARD_UNKNOWN: "14",
    Decision.CARD_LOST: "41",
    Decision.CARD_FROZEN: "62",
    Decision.OVER_SALE_LIMIT: "61",
    Decision.OVER_DAY_LIMIT: "65",
    Decision.INSUFFICIENT_FUNDS: "51",
    Decision.REVERSED_BEFORE: "68",
    Decision.ORIGINAL_MISMATCH: "64",
    Decision.ID_CONFLICT: "94",
    Decision.NEVER_SEEN: "25",
}
"""docs/protocol.md, section 14, a second time."""
STATES = {
    TransferState.APPROVED: 1,
    TransferState.DECLINED: 2,
    TransferState.REVERSED: 3,
    TransferState.NEVER_SEEN: 5,
}


def charged(said: Said) -> dict[str, int]:
    """What was taken in the end: without discounts and rates of points, the amount."""
    charged_fen = said.amount_fen if said.decision == Decision.APPROVED else 0
    return {"charged_fen": charged_fen, "points": 0, "points_balance": 0}


tills = st.integers(0, 1)
cards = st.sampled_from([CARD, CARD, OTHER_CARD, STRANGER])
amounts = st.sampled_from([1, 250, 3_000, 9_999, 50_000, 50_001])
changes = st.sampled_from([{"amount_fen": 7}, {"payer": OTHER_CARD}, {"claimed_at_s": 1}, {"operator": 9}])


class WireMachine(RuleBasedStateMachine):
    """Two terminals of one merchant, two cards with money."""

    def __init__(self) -> None:
        super().__init__()
        self.campus = CampusThread()
        self.sent: list[tuple[int, SaleRequest]] = []
        self.topups = 0
        self.journal: list[tuple] = []

    @property
    def rig(self) -> HostRig:
        return self.campus.rig

    @initialize()
    def open(self) -> None:
        rig = self.rig
        self.tills = [self.campus.do(rig.enrol) for _ in range(2)]
        self.numbers = [till.number.to_int() for till in self.tills]
        self.lines: list[Line | None] = [None, None]
        accounts = dict(rig.store.execute("SELECT token, account_id FROM cards"))
        [(merchant,)] = rig.store.execute("SELECT account_id FROM merchants")
        self.merchant = merchant
        owners = {bytes(token): account for token, account in accounts.items()}
        self.reference = Reference(
            SaleLimits(50_000, 200_000),
            {
                FUNDING_ACCOUNT: -2 * START_FEN,
                OFFLINE_DEBT_ACCOUNT: 0,
                merchant: 0,
                **{owners[c]: START_FEN for c in owners},
            },
            owners,
            dict.fromkeys(self.numbers, merchant),
            rrn=2,
        )
        self.reference.day = BUSINESS_DAY
        self.today = date(2026, 8, 31)

    def teardown(self) -> None:
        """In the end every sale ever sent, asked again by its terminal: nothing is said differently or written."""
        try:
            if hasattr(self, "reference"):
                for which, till in enumerate(self.tills):
                    self.campus.do(self.rig.host.admin.terminals.reinstate, str(till.number))
                    self.reference.revoked.discard(self.numbers[which])
                for which, sale in self.sent:
                    if Identity(self.numbers[which], sale.batch, sale.stan) in self.reference.originals:
                        self.ask(which, sale)
                        self.ask(which, query_of(sale))
                assert self.rig.store.execute("SELECT * FROM transfers ORDER BY seq") == self.journal
        finally:
            self.campus.close()

    # --- What the model expects

    def expected(self, which: int, message: Message) -> dict[str, object]:
        """The fields of the answer that a terminal has to get, by the model."""
        identity = Identity(self.numbers[which], message.batch, message.stan)
        amount_fen, payer, at_s = message.amount_fen, message.payer, message.claimed_at_s
        now_ms = self.rig.clock.ms
        if isinstance(message, QueryRequest):
            said = self.reference.said(Query(identity, amount_fen, payer, at_s), now_ms)
            return self.fields(message, said, **charged(said), amount_fen=amount_fen, state=STATES[said.state])
        if isinstance(message, ReversalRequest):
            said = self.reference.said(Reversal(identity, b"", payer, amount_fen, 0, 0), now_ms)
            moved = said.amount_fen if said.decision == Decision.APPROVED else 0
            return self.fields(message, said, reversed_fen=moved)
        said = self.reference.said(Sale(identity, b"", payer, amount_fen, message.operator, at_s), now_ms)
        return self.fields(message, said, **charged(said), amount_fen=amount_fen)

    def fields(self, message: Message, said: Said, **more: object) -> dict[str, object]:
        return {
            "stan": message.stan,
            "batch": message.batch,
            "response_code": CODES[said.decision],
            "rrn": said.rrn,
            "balance_fen": said.balance_fen,
            "posted_at_ms": said.posted_at_ms,
            **more,
        }

    def ask(self, which: int, message: Message) -> None:
        """One request over the terminal's session, its answer compared field by field."""
        line = self.session(which)
        if line is None:
            return
        expected = self.expected(which, message)
        answer = self.campus.call(line.ask, message)
        assert msgspec.structs.asdict(answer) == expected

    def session(self, which: int) -> Line | None:
        """The terminal's session, opened if there is none; None if it may not have one."""
        if self.lines[which] is None:
            self.sign_on(which)
        return self.lines[which]

    # --- The terminals

    async def shake_hands(self, till: Till) -> tuple[Line, Message | None]:
        """A new connection, and READY; None if the host has not proved that it knows this terminal's key."""
        line = self.rig.line(till)
        await line.say(till.hello())
        try:
            assert isinstance(await line.hear(), Challenge)
        except RemoteProtocolError:  # at the cryptogram, or `tests/security` would have something to say
            await line.stream.aclose()
            return line, None
        ready = await line.ask(Auth())
        return line, ready

    @rule(which=tills)
    def sign_on(self, which: int) -> None:
        """A new session; an older one ends by it. With a revoked terminal the host has no key in common."""
        older, self.lines[which] = self.lines[which], None
        line, ready = self.campus.call(self.shake_hands, self.tills[which])
        if self.numbers[which] in self.reference.revoked:
            assert ready is None
            return
        assert isinstance(ready, Ready)
        taken = [
            (identity.batch, identity.stan)
            for identity in [*self.reference.originals, *self.reference.reversals]
            if identity.terminal_id == self.numbers[which]
        ]
        assert (ready.last_batch, ready.last_stan) == max(taken, default=(0, 0))
        assert (ready.business_day, ready.history) == (self.reference.day, 1)
        if older is not None:
            assert self.campus.call(older.is_over)
        self.lines[which] = line

    @rule(which=tills)
    def drop_the_line(self, which: int) -> None:
        line, self.lines[which] = self.lines[which], None
        if line is not None:
            self.campus.call(line.stream.aclose)

    @rule(which=tills, card=cards, amount_fen=amounts)
    def sell(self, which: int, card: bytes, amount_fen: int) -> None:
        sale = self.tills[which].sale(card, amount_fen)
        self.sent.append((which, sale))
        self.ask(which, sale)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_a_copy(self, data: st.DataObject) -> None:
        """T2: the same request again, now or much later."""
        self.ask(*data.draw(st.sampled_from(self.sent)))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), changed=changes, other=st.booleans())
    def send_a_conflicting_copy(self, data: st.DataObject, changed: dict[str, object], other: bool) -> None:
        """T3: the same number with other content; and the same content from the other terminal, which is its own."""
        which, sale = data.draw(st.sampled_from(self.sent))
        self.ask(1 - which if other else which, msgspec.structs.replace(sale, **changed))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        which, sale = data.draw(st.sampled_from(self.sent))
        self.ask(which, reversal_of(sale))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), changed=changes)
    def reverse_something_else(self, data: st.DataObject, changed: dict[str, object]) -> None:
        which, sale = data.draw(st.sampled_from(self.sent))
        self.ask(which, msgspec.structs.replace(reversal_of(sale), **changed))

    @rule(which=tills, card=cards)
    def reverse_before_the_sale_has_come(self, which: int, card: bytes) -> None:
        sale = self.tills[which].sale(card, 250)
        self.sent.append((which, sale))
        self.ask(which, reversal_of(sale))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), changed=st.sampled_from([{}, {"amount_fen": 7}, {"payer": OTHER_CARD}, {"claimed_at_s": 1}]))
    def query(self, data: st.DataObject, changed: dict[str, object]) -> None:
        which, sale = data.draw(st.sampled_from(self.sent))
        self.ask(which, msgspec.structs.replace(query_of(sale), **changed))

    @rule(which=tills, card=cards, amount_fen=amounts)
    def lose_an_answer(self, which: int, card: bytes, amount_fen: int) -> None:
        """N4: the request arrives, the answer does not: decided all the same, once."""
        sale = self.tills[which].sale(card, amount_fen)
        self.sent.append((which, sale))
        line = self.session(which)
        if line is not None:
            self.expected(which, sale)
            self.campus.call(line.say, sale)
            self.drop_the_line(which)

    # --- The administrator, the clock, and the power

    @rule(card=st.sampled_from([CARD, OTHER_CARD]), verb=st.sampled_from(["freeze", "lost", "right"]))
    def change_a_card(self, card: bytes, verb: str) -> None:
        before, cards = self.reference.barred.pop(card, None), self.rig.host.admin.cards
        if before is not None:
            self.campus.do(cards.unfreeze if before is Decision.CARD_FROZEN else cards.found, card.hex())
        if verb != "right":
            self.campus.do(getattr(cards, verb), card.hex())
            self.reference.barred[card] = Decision.CARD_FROZEN if verb == "freeze" else Decision.CARD_LOST

    @rule(who=st.sampled_from(["S1", "S2"]), amount_fen=st.sampled_from([1, 5_000]))
    def top_up(self, who: str, amount_fen: int) -> None:
        self.topups += 1
        account = self.reference.cards[CARD if who == "S1" else OTHER_CARD]
        for _ in range(2):  # repeated, as after a lost answer of the control socket
            self.campus.do(self.rig.host.admin.accounts.topup, who, amount_fen, 3, self.topups)
            said = self.reference.said(
                Adjustment(Identity(CONSOLE, 3, self.topups), b"", account, amount_fen, 0), self.rig.clock.ms
            )
            assert said.decision == Decision.APPROVED

    @rule(which=tills)
    def revoke(self, which: int) -> None:
        """A2: the session ends, and no other one begins."""
        self.campus.do(self.rig.host.admin.terminals.revoke, str(self.tills[which].number))
        self.reference.revoked.add(self.numbers[which])
        line, self.lines[which] = self.lines[which], None
        if line is not None:
            assert self.campus.call(line.is_over)

    @rule(which=tills)
    def reinstate(self, which: int) -> None:
        self.campus.do(self.rig.host.admin.terminals.reinstate, str(self.tills[which].number))
        self.reference.revoked.discard(self.numbers[which])

    @precondition(lambda self: not self.reference.closed)
    @rule(which=tills)
    def enrol_anew(self, which: int) -> None:
        """The old key is worth nothing any more; what the terminal has sold is still its own."""
        old = self.tills[which]
        enrolled = self.campus.do(self.rig.host.admin.terminals.enrol, str(old.number))
        line, self.lines[which] = self.lines[which], None
        if line is not None:
            assert self.campus.call(line.is_over)
        new = Till(old.number, bytes.fromhex(enrolled["root_key"]), enrolled["key_version"])
        new.batch, new.stan, new._random = old.batch, old.stan, old._random
        self.tills[which] = new
        self.reference.revoked.discard(self.numbers[which])

    @rule(closed=st.booleans())
    def close_or_reopen_the_merchant(self, closed: bool) -> None:
        merchants = self.rig.host.admin.merchants
        self.campus.do(merchants.close if closed else merchants.reopen, self.rig.merchant_id)
        self.reference.closed = {self.merchant} if closed else set()

    @rule(hours=st.sampled_from([1, 24]))
    def time_passes(self, hours: int) -> None:
        """A day or an hour; the business day is opened by hand, and never goes back."""
        self.rig.clock.ms += hours * 3_600_000
        self.today += timedelta(hours=hours)
        day = int(self.today.strftime("%Y%m%d"))
        self.campus.do(self.rig.host.admin.days.open, day)
        self.reference.day = day

    @rule()
    def restart(self) -> None:
        """S1: the host dies and starts again on what it has stored."""
        self.campus.restart()
        lines, self.lines = self.lines, [None, None]
        for line in lines:
            if line is not None:
                assert self.campus.call(line.is_over)

    # --- What always holds

    @invariant()
    def the_books_balance(self) -> None:
        if hasattr(self, "reference"):
            store = self.rig.store
            audit.check(store)
            assert dict(store.execute("SELECT account_id, balance_fen FROM accounts")) == self.reference.balances

    @invariant()
    def the_journal_only_grows(self) -> None:
        if hasattr(self, "reference"):
            journal = self.rig.store.execute("SELECT * FROM transfers ORDER BY seq")
            assert journal[: len(self.journal)] == self.journal
            assert len(journal) == self.reference.rrn
            self.journal = journal


# A failure is shown as it was found: making it small takes minutes, and `python -m tests.fuzz --target wire_machine`
# does it.
WireMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30, phases=[Phase.generate])
TestWireMachine = pytest.mark.slow(WireMachine.TestCase)
