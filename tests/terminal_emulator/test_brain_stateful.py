"""Any order of lost, doubled and late frames, dropped links, busy hosts, long waits, power cuts and hosts restored from
old backups: at the end terminal and host agree on every sale. Approved means charged exactly once, everything else
means not charged.
"""

import copy

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.messages import (
    EchoRequest,
    QueryAnswer,
    ReversalAnswer,
    SaleAnswer,
    SaleRequest,
    TransactionState,
    UploadAnswer,
    UploadVerdict,
)
from terminal_emulator.effects import Send
from terminal_emulator.record import RecordState
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, changed

START_FEN = 50_00
STEPS_MAX = 1_000  # to resolve a handful of sales without faults takes far fewer


class Counter(RuleBasedStateMachine):
    """One terminal, one host, and a line between them that does everything a line can do."""

    @initialize(jitter=st.floats(0, 0.999))
    def switch_on(self, jitter):
        self.host = ToyHost(balance_fen=START_FEN)
        self.till = Till(jitter=lambda: jitter)
        self.session = 0
        self.copies = []  # every request ever sent: any of them may reach the host, again, at any time
        self.requests = []  # (session, request) on their way
        self.answers = []  # (session, answer) on their way
        self.seen = len(self.till.effects)
        self.backup, self.backed_up_history = copy.deepcopy(self.host), 1
        self.history = (1, 0)  # of the host, and when it was restored last

    def collect(self):
        """Put what the brain sent on the line; a session that ended takes its answers with it."""
        fresh, self.seen = self.till.effects[self.seen :], len(self.till.effects)
        for effect in fresh:
            if isinstance(effect, Send):
                assert self.till.brain.online
                assert not any(session == self.session for session, _ in self.requests + self.answers), (
                    "only one request may be outstanding in a session"
                )
                self.requests.append((self.session, effect.message))
                self.copies.append(effect.message)
        if not self.till.brain.online:
            self.session += 1

    @precondition(lambda self: not self.till.brain.online)
    @rule()
    def connect(self):
        self.session += 1
        newest = self.host.newest.get(NUMBER, (0, 0))
        history, restored_at_s = self.history
        self.till.online(last=newest, history=history, restored_at_s=restored_at_s)
        self.collect()

    @rule()
    def back_up(self):
        self.backup, self.backed_up_history = copy.deepcopy(self.host), self.history[0]

    @rule(heard=st.booleans())
    def an_hour_is_lost(self, heard):
        """A sale is decided, or confirmed to be reversed, and then the host knows nothing of it any more."""
        self.settle()
        self.back_up()
        self.sell("1")
        while self.till.brain.busy and not heard:
            if not self.till.brain.online:
                self.connect()
            self.wait(0.5)
            while self.requests:
                self.deliver_request(0, "")
            self.answers = []
        self.settle()
        self.restore()

    @rule()
    def restore(self):
        """The host is lost, and what was on its lines with it; the backup knows nothing of restores after it."""
        self.drop_or_stay_down()
        self.requests, self.answers, self.copies = [], [], []
        self.host = copy.deepcopy(self.backup)
        self.history = (self.backed_up_history + 1, self.history[1] + 1)

    def drop_or_stay_down(self):
        if self.till.brain.online:
            self.drop()

    @precondition(lambda self: self.till.brain.online)
    @rule()
    def drop(self):
        self.till.offline()
        self.collect()

    @rule(amount=st.sampled_from(["1", "12.5", "30"]))
    def sell(self, amount):
        if not self.till.brain.online:
            self.connect()
        self.till.keys("clear clear")
        self.till.sell(amount)
        self.collect()

    @precondition(lambda self: self.till.brain.unresolved)
    @rule()
    def all_goes_well_for_a_moment(self):
        if not self.till.brain.online:
            self.connect()
        if self.requests:
            self.deliver_request(0, "")
        if self.answers:
            self.deliver_answer(wrong=False)

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0, 3), busy=st.sampled_from(["", "", "", "09", "96"]))
    def deliver_request(self, which, busy):
        session, request = self.requests.pop(which % len(self.requests))
        self.answers.append((session, self.busy_answer(request, busy) or self.host.answer(NUMBER, request)))

    def busy_answer(self, request, code):
        if not code or isinstance(request, EchoRequest):
            return None
        answer = ToyHost().answer(NUMBER, request)
        if isinstance(answer, QueryAnswer):
            return changed(answer, state=TransactionState.IN_PROGRESS, response_code=code)
        if isinstance(answer, UploadAnswer):
            return changed(answer, verdict=UploadVerdict.UNDECIDED, response_code=code, rrn=0)
        assert isinstance(answer, SaleAnswer | ReversalAnswer)
        return changed(answer, response_code=code, rrn=0, posted_at_ms=0)

    @precondition(lambda self: self.requests)
    @rule()
    def lose_request(self):
        self.requests.pop(0)

    @precondition(lambda self: self.answers)
    @rule()
    def lose_answer(self):
        self.answers.pop(0)

    @precondition(lambda self: self.answers)
    @rule(wrong=st.sampled_from([False, False, False, True]))
    def deliver_answer(self, wrong):
        session, answer = self.answers.pop(0)
        if session == self.session:
            if wrong and isinstance(answer, SaleAnswer):
                answer = changed(answer, stan=answer.stan + 1)
            self.till.answer(answer)
            self.collect()

    @precondition(lambda self: self.copies)
    @rule(which=st.integers(0, 20))
    def a_late_copy_reaches_the_host(self, which):
        self.host.answer(NUMBER, self.copies[which % len(self.copies)])

    @rule(seconds=st.sampled_from([0.01, 1, 2.9, 3, 7, 40]))
    def wait(self, seconds):
        # In small steps, so that requests that come due in between are really put on the line.
        end_s = self.till.time_s + seconds
        while self.till.time_s < end_s:
            self.till.wait(min(0.5, end_s - self.till.time_s))
            self.collect()

    @precondition(lambda self: self.till.brain.busy)
    @rule()
    def the_last_answer_is_on_its_way_when_time_is_up(self):
        while self.till.brain.busy:
            if not self.till.brain.online:
                self.connect()
            self.wait(0.5)
        self.requests = [(session, request) for session, request in self.requests if session == self.session]
        self.answers = []
        if self.requests:
            self.deliver_request(0, "")
            self.deliver_answer(wrong=False)

    @rule()
    def lose_power(self):
        self.session += 1
        self.till.power_on()
        self.collect()

    @invariant()
    def final_words_are_true(self):
        if not hasattr(self, "till"):
            return
        has_all = self.till.storage.history == self.history
        for record in self.till.storage.records.values() if has_all else ():
            charged = self.host.charged((NUMBER, *record.identity))
            if record.state is RecordState.APPROVED:
                assert charged == 1
            elif not record.state.is_open:
                assert charged == 0
        final = [record.identity for record in self.till.outcomes]
        assert len(final) == len(set(final)), "two outcomes of one sale"
        stored = self.till.storage.records
        for request in self.copies:
            if isinstance(request, SaleRequest):
                assert (request.batch, request.stan) in stored, "sent before it was stored"

    def settle(self):
        """Without faults everything is resolved, and back with a restored host, soon."""
        till = self.till
        for _ in range(STEPS_MAX):
            if not till.brain.unresolved and till.storage.history == self.history:
                break
            if not till.brain.online:
                self.connect()
            elif self.answers or self.requests:
                while self.requests:
                    self.deliver_request(0, "")
                while self.answers:
                    self.deliver_answer(wrong=False)
            else:
                self.wait(2)  # less than a request waits for its answer: what comes due meanwhile is answered
        assert till.brain.unresolved == 0
        assert (till.storage.history, till.brain.view.records_differ) == (self.history, 0)

    def teardown(self):
        """The faults are over: everything must be resolved, soon, and agree to the fen."""
        if not hasattr(self, "till"):
            return
        self.settle()
        till, host = self.till, self.host
        for request in self.copies:  # and whatever still lingers on the line changes nothing
            host.answer(NUMBER, request)
        self.final_words_are_true()
        records = till.storage.records.values()
        assert sorted(record.identity for record in till.outcomes) == sorted(till.storage.records)
        approved = [record.amount_fen for record in records if record.state is RecordState.APPROVED]
        assert host.balances.get(CARD, START_FEN) == START_FEN - sum(approved)
        assert len(approved) == sum(state is TransactionState.APPROVED for state in host.states.values())


TestCounter = Counter.TestCase
TestCounter.settings = settings(max_examples=200, stateful_step_count=50)
TestCounter = pytest.mark.slow(TestCounter)
