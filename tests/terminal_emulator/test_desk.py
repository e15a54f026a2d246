"""Keys mashed in any order, cards, scans, lost lines, silence and power cuts, in both profiles: the screen is never
blank and never lies, and Clear always leads home.

It lies if it says anything of a transaction that is not so in the terminal's memory; and the memory lies if the host
has decided otherwise.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.messages import MoneyAnswer, ReversalRequest, TransactionState
from protocol.messages.money import TransactionKind
from protocol.messages.parameters import Profile
from terminal_emulator.columns import columns
from terminal_emulator.effects import Key, Outcome, PrintSlip, Send
from terminal_emulator.i18n import translator
from terminal_emulator.lcd import LCD_COLUMNS, render
from terminal_emulator.menus import MENUS
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import RecordState
from terminal_emulator.view import Screen
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, reject_of, settings_of

OTHER = bytes.fromhex("04A1B2C4")
CODE = "9100000000070000000001"
START_FEN = 60_00
CLEARS_MAX = 3
STEPS_MAX = 300  # to resolve a handful of transactions without faults takes far fewer

HOMES = {
    Screen.IDLE,
    Screen.SHUT,
    Screen.LAST_ASKING,
    Screen.LAST_APPROVED,
    Screen.LAST_UNCHARGED,
    Screen.LAST_REVERSED,
    Screen.LAST_REPEATING,
}
TRUE_STATES = {
    Screen.SENDING: {RecordState.PENDING},
    Screen.RESENDING: {RecordState.PENDING},
    Screen.ASKING: {RecordState.PENDING},
    Screen.LAST_ASKING: {RecordState.PENDING},
    Screen.APPROVED: {RecordState.APPROVED},
    Screen.LAST_APPROVED: {RecordState.APPROVED},
    Screen.DECLINED: {RecordState.DECLINED},
    Screen.UNCHARGED: {RecordState.REVERSING, RecordState.REVERSED},
    Screen.REPEATING: {RecordState.REPEATING},
    Screen.LAST_REVERSED: {RecordState.REVERSED},
    Screen.LAST_REPEATING: {RecordState.REPEATING},
    Screen.LAST_UNCHARGED: {RecordState.DECLINED, RecordState.REVERSING, RecordState.REVERSED},
}
CHUNKS = (
    *("5 enter", "1 2 . 5 enter", "3 0 enter", "9 9 9 9 enter", "0 enter"),
    *("123456 enter", "111111 enter", "0000 enter", "1234 enter", "1 enter", "2 enter", "0 enter"),
    *("f1", "enter", "delete", "up", "down", "f2 1 7", "enter enter"),
    *("clear", "clear clear"),
    *(f"clear clear {key}" for key in (*"123567890", "enter", "delete")),
)

WHOLE = (
    *("123456 enter 1 enter enter tap", "1 enter enter tap", "5 enter tap", "111111 enter tap 5 enter enter"),
    *("111111 enter 5 enter tap enter", "123456 enter 2 enter 1 enter tap enter", "tap enter", "tap 5 enter enter"),
)
"""What makes some function come to its end."""
UNDO = {
    TransactionKind.SALE: ("1 123456 enter {} enter enter",),
    TransactionKind.POINTS_SALE: ("2 123456 enter {} enter enter",),
    TransactionKind.TOPUP: ("3 123456 enter 111111 enter {} enter enter",),
    TransactionKind.PREAUTH: ("6 123456 enter {} enter enter",),
}


def paths(name="menu", keys="f1"):
    """The keys to every function of the menu."""
    for row in MENUS[name].rows:
        if row.target in MENUS:
            yield from paths(row.target, f"{keys} {row.key}")
        else:
            yield f"{keys} {row.key}"


class Masher(RuleBasedStateMachine):
    """One terminal, one host that knows everything, and somebody who does not care."""

    @initialize(profile=st.sampled_from(Profile), sign_on=st.booleans(), guard=st.booleans())
    def switch_on(self, profile, sign_on, guard):
        self.host = ToyHost(balance_fen=START_FEN)
        self.till = Till(settings=settings_of(profile=profile.name.lower(), sign_on_required=sign_on))
        self.till.brain.till.keep(Parameters(repeat_guard=guard))
        self.till.online()
        self.lcd = translator("zh")

    def press(self, words):
        for word in words.split():
            for key in [word] if word in Key.__members__.values() else word:
                self.till.take(self.till.brain.key(Key(key), self.till.now))

    @rule(key=st.sampled_from(Key))
    def any_key(self, key):
        self.press(key.value)

    @rule(words=st.sampled_from(CHUNKS))
    def some_keys(self, words):
        self.press(words)

    @rule(path=st.sampled_from([*paths()]), words=st.lists(st.sampled_from(CHUNKS[:12] + WHOLE), max_size=3))
    def a_function(self, path, words):
        """With a host that answers at once, so that one gets somewhere."""
        self.connect()
        self.till.do(" ".join(["clear", path, *words]), self.host)

    @rule(which=st.integers(0, 3), is_last_heard=st.booleans())
    def undo_the_newest(self, which, is_last_heard):
        """Void it, refund it, complete it: what can be done about something of its kind."""
        self.connect()
        approved = [record for record in self.till.storage.records.values() if record.state is RecordState.APPROVED]
        for record in approved[-1:]:
            ways = UNDO.get(record.kind, ("1 123456 enter {} enter enter",))
            keys = ways[which % len(ways)].format(record.stan)
            self.till.do(f"clear f1 5 {keys}", self.host)
            self.till.tap()
            if is_last_heard:
                self.connect()

    @rule()
    def sign_on(self):
        self.connect()
        self.till.do("clear f1 9 1 1 enter 0000 enter enter clear", self.host)

    def connect(self):
        if not self.till.brain.online:
            self.till.online(last=self.host.newest.get(NUMBER, (0, 0)))
        while self.waits:
            self.till.answer(self.host.answer(NUMBER, self.till.request))

    @rule(card=st.sampled_from([CARD, CARD, OTHER, b""]))
    def tap(self, card):
        self.till.tap(card)

    @rule(text=st.sampled_from([CODE, CODE[:-1] + "2", "https://example", "1", "餐"]))
    def scan(self, text):
        self.till.scan(text)

    @rule(amount=st.sampled_from(["5", "12.5", "70"]))
    def sell(self, amount):
        self.connect()
        self.press("clear")
        if self.till.brain.view.is_armed:  # else the amount would begin with a combination
            self.press("clear")
        self.press(f"{'3' if self.till.brain.till.profile is Profile.MEMBER else ''} {amount} enter")
        self.till.tap()

    @precondition(lambda self: self.waits)
    @rule(code=st.sampled_from(["", "", "1A", "55", "61"]))
    def answer(self, code):
        self.host.refusals = [code] if code else []
        self.till.answer(self.host.answer(NUMBER, self.till.request))
        self.host.refusals = []

    @precondition(lambda self: self.waits)
    @rule()
    def an_answer_is_lost(self):
        self.host.answer(NUMBER, self.till.request)
        self.till.offline()

    @precondition(lambda self: self.waits)
    @rule()
    def busy(self):
        answer = ToyHost().answer(NUMBER, self.till.request)
        if isinstance(answer, MoneyAnswer):
            self.till.answer(type(answer)(**{**fields_of(answer), "response_code": "09", "rrn": 0}))

    @precondition(lambda self: self.waits)
    @rule()
    def reject(self):
        if not isinstance(self.till.request, ReversalRequest):
            self.till.answer(reject_of(self.till.request))

    @rule()
    def line(self):
        """The line goes, or comes back."""
        if self.till.brain.online:
            self.till.offline()
        else:
            self.till.online(last=self.host.newest.get(NUMBER, (0, 0)))

    @rule(seconds=st.sampled_from([0.5, 3, 6, 11]))
    def wait(self, seconds):
        self.till.wait(seconds)

    @rule()
    def lose_power(self):
        self.till.power_on()
        assert self.till.brain.view.screen in HOMES

    @rule()
    def go_home(self):
        if not self.till.brain.busy:
            self.press("clear " * CLEARS_MAX)
            view = self.till.brain.view
            assert view.screen in HOMES, view.screen
            assert not view.panel

    @property
    def waits(self):
        """Whether the host has to answer."""
        return self.till.brain.online and not self.till.brain.is_line_free

    @invariant()
    def the_screen_is_never_blank_and_never_too_wide(self):
        if not hasattr(self, "till"):
            return
        view = self.till.brain.view
        lines = render(view, self.lcd)
        assert any(line.strip() for line in lines), view
        assert all(columns(line) <= LCD_COLUMNS for line in lines), lines

    @invariant()
    def the_screen_never_lies(self):
        if not hasattr(self, "till"):
            return
        view, records = self.till.brain.view, self.till.storage.records
        if view.screen in TRUE_STATES:
            about = [one for one in records.values() if one.stan == view.stan]  # of some batch
            assert any(self.is_true(view, record) for record in about), (view, about)
        states = [record.state for record in records.values()]
        assert view.pending_reversals == states.count(RecordState.REVERSING)
        assert view.pending_repeats == states.count(RecordState.REPEATING)
        for identity, record in records.items():
            booked = self.host.states.get((NUMBER, *identity))
            if record.state is RecordState.APPROVED:
                assert booked is TransactionState.APPROVED, record
            elif record.state is RecordState.DECLINED:
                assert booked is not TransactionState.APPROVED, record
            elif record.state is RecordState.REVERSED:
                assert booked in (None, TransactionState.REVERSED, TransactionState.DECLINED), record

    @staticmethod
    def is_true(view, record):
        """Whether this record is what the screen shows."""
        return (
            record.state in TRUE_STATES[view.screen]
            and (record.kind, record.amount_fen) == (view.kind, view.amount_fen)
            and view.balance_fen in (None, record.balance_fen)
        )

    @invariant()
    def one_outcome_and_one_slip(self):
        if not hasattr(self, "till"):
            return
        records = self.till.storage.records
        told = [effect.record.identity for effect in self.till.effects if isinstance(effect, Outcome)]
        assert len(told) == len(set(told))
        slips = [effect.record for effect in self.till.effects if isinstance(effect, PrintSlip)]
        assert all(records[slip.identity] == slip and slip.state is RecordState.APPROVED for slip in slips)
        approved = [record for record in records.values() if record.state is RecordState.APPROVED]
        assert len(slips) == len(approved)
        for effect in self.till.effects:
            if isinstance(effect, Send) and hasattr(effect.message, "stan"):
                assert (effect.message.batch, effect.message.stan) in records

    def teardown(self):
        """Whatever was done: in the end everything is decided, and both sides agree to the fen."""
        if not hasattr(self, "till"):
            return
        for _ in range(STEPS_MAX):
            if not self.till.brain.unresolved:
                break
            if not self.till.brain.online:
                self.till.online(last=self.host.newest.get(NUMBER, (0, 0)))
            elif self.waits:
                self.till.answer(self.host.answer(NUMBER, self.till.request))
            else:
                self.till.wait(10)
        assert self.till.brain.unresolved == 0
        self.the_screen_never_lies()
        for payer in (CARD, OTHER):
            moved_fen = sum(
                self.host.moved[(NUMBER, *record.identity)]
                for record in self.till.storage.records.values()
                if record.state is RecordState.APPROVED and record.payer == payer
            )
            assert self.host.balances.get(payer, START_FEN) == START_FEN + moved_fen
        kinds = {record.kind for record in self.till.storage.records.values()}
        assert kinds <= set(TransactionKind)


def fields_of(message):
    return {name: getattr(message, name) for name in message.__struct_fields__}


TestMasher = Masher.TestCase
TestMasher.settings = settings(max_examples=60, stateful_step_count=60)
TestMasher = pytest.mark.slow(TestMasher)


def test_clear_below_a_sale_found_open_is_no_combination():
    """The cashier wants the screen gone and keys the next amount: 7 must not switch to offline mode."""
    till = Till()
    till.online()
    till.keys("5 enter")
    till.tap()
    till.power_on()
    assert till.screen == "last_asking"
    till.keys("clear 7 . 5")
    assert (till.screen, till.brain.view.amount_text) == ("amount", "7.5")
