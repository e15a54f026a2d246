"""Selling without a host, key by key: automatic and by key, within limits, through power cuts, and the upload after."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.messages import OfflineSaleRequest, StopAction, StopListAnswer, StopListRequest, StopRow
from protocol.messages.money import TransactionKind
from protocol.messages.stop_list import token_hash
from terminal_emulator.effects import Beep, PrintSlip
from terminal_emulator.file_storage import FileStorage
from terminal_emulator.i18n import N_
from terminal_emulator.keepsakes import Blocked, StopListHeld
from terminal_emulator.lcd import render
from terminal_emulator.offline import is_sealed
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import Merchant, RecordState
from terminal_emulator.settled import Settlement, Stage
from terminal_emulator.storage import MemoryStorage
from tests.terminal_emulator.offline_host import KEY, NEXT_KEY, OTHER_CARD, ChainHost
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost

ALLOWED = Parameters(
    repeat_guard=True,
    offline_sale_limit_fen=5_000,
    offline_card_limit_fen=6_000,
    offline_total_limit_fen=9_000,
    offline_count_limit=4,
)
APPROVED, OFFLINE, REFUSED = RecordState.APPROVED, RecordState.OFFLINE, RecordState.REFUSED


class Host(ToyHost):
    """Judges sales made offline, too, and has a stop list."""

    def __init__(self, key=KEY):
        super().__init__()
        self.chain = ChainHost(key)
        self.stopped = []
        self.allowed = []

    def answer(self, number, request):
        if isinstance(request, OfflineSaleRequest):
            return self.chain.answer(request)
        if isinstance(request, StopListRequest):
            rows = [StopRow(token_hash(card), StopAction.STOPPED) for card in self.stopped]
            rows += [StopRow(token_hash(card), StopAction.ALLOWED) for card in self.allowed]
            return StopListAnswer(version=len(rows), newest=len(rows), changes=tuple(rows[request.version :]))
        return super().answer(number, request)


def till_of(storage=None, parameters=ALLOWED):
    till = Till(storage)
    till.brain.till.keep(parameters)
    till.brain.till.keep(StopListHeld(is_held=True))
    return till


def restart(till):
    """The power comes back: only the memory is left."""
    return till.power_on()


def connect(till, host, *, key=KEY, others=(), **ready):
    """A session, and everything that is said in it until there is nothing more to say."""
    till.brain.use_saf_key(key, others, till.now)
    said = till.online(**ready)
    for _ in range(200):
        if not till.brain.is_line_free:
            said += till.answer(host.answer(NUMBER, till.request))
        elif till.brain.deadline_s < till.time_s + 5:
            said += till.wait(5)
        else:
            return said
    raise AssertionError("it never comes to an end")


def states(till):
    return [record.state for record in till.storage.offline_records()]


@pytest.fixture
def till():
    return till_of()


@pytest.fixture
def host():
    return Host()


# --------------------------------------------------------------------------------------------- the sale


def test_without_a_line_a_card_pays_and_the_record_is_there_before_anybody_is_told(till):
    assert till.keys("12.5 enter") == ["beep key"] * 5
    assert till.brain.view.sells_offline
    before = len(till.storage.records)
    assert till.tap() == ["beep key", "beep ok", "slip"]
    assert before == 0
    [record] = till.storage.offline_records()
    assert (record.kind, record.state, record.identity) == (TransactionKind.OFFLINE_SALE, OFFLINE, (1, 1))
    assert (record.amount_fen, record.payer, record.operator, record.saf.sequence) == (1250, CARD, 7, 1)
    assert is_sealed(record, KEY)
    view = till.brain.view
    assert (view.screen, view.amount_fen, view.stan, view.offline_waiting) == ("offline_approved", 1250, 1, 1)
    assert next(effect.record for effect in till.effects if isinstance(effect, PrintSlip)) == record
    assert till.outcomes == [], "the host has not spoken yet"
    assert till.brain.unresolved == 0, "nobody waits for anything"
    assert till.brain.last_saf_sequence == 1
    till.keys("clear")
    assert (till.screen, till.brain.view.offline_waiting) == ("idle", 1)


def test_a_terminal_that_may_not_says_that_there_is_no_line():
    till = till_of(parameters=Parameters())
    till.keys("12.5 enter")
    assert till.screen == "no_link"
    assert till.storage.records == {}


@pytest.mark.parametrize(
    ("earlier", "amount", "payer", "why"),
    [
        ([], "50.01", CARD, "over_sale"),
        (["40"], "20.01", CARD, "over_card"),
        (["50"], "40.01", OTHER_CARD, "over_total"),
        (["1", "2", "3", "4"], "5", CARD, "over_count"),
    ],
)
def test_above_a_limit_nothing_is_sold_and_the_screen_says_why(till, earlier, amount, payer, why):
    for one in earlier:
        till.sell(one)
        till.keys("clear")
    till.keys(f"{amount} enter")
    assert till.tap(payer) == ["beep error"]
    view = till.brain.view
    assert (view.screen, view.offline_refusal) == ("offline_refused", why)
    assert len(till.storage.records) == len(earlier)
    till.keys("clear")
    assert till.screen == "idle"


def test_a_refused_card_leaves_no_amount_behind(till):
    till.keys("50.01 enter")
    till.tap()
    till.keys("3 enter")
    assert till.brain.view.amount_fen == 300
    assert till.tap() == ["beep key", "beep ok", "slip"]


def test_a_payment_code_is_never_taken_offline(till):
    till.keys("12.5 enter")
    assert till.scan("91" + "1" * 20) == ["beep error"]
    assert (till.brain.view.offline_refusal, till.storage.records) == ("not_a_card", {})


def test_a_stopped_card_is_refused_once_the_list_says_so(till, host):
    host.stopped = [OTHER_CARD, CARD]
    connect(till, host)
    till.offline()
    till.keys("3 enter")
    assert till.tap() == ["beep error"]
    assert till.brain.view.offline_refusal == "stopped"
    restart(till)
    till.keys("3 enter")
    till.tap(OTHER_CARD)
    assert till.brain.view.offline_refusal == "stopped", "the list survives a power cut"
    assert till.storage.stop_version == 2


def test_a_restored_host_does_not_make_stopped_cards_good(till, host):
    host.stopped = [CARD]
    connect(till, host)
    till.offline()
    till.online(history=2, restored_at_s=9)
    till.offline("lost")
    till.sell("3")
    assert till.brain.view.offline_refusal == "stopped", "the new list was not there yet"


def test_a_card_that_the_host_has_just_refused_is_not_sold_to_offline(till, host):
    connect(till, host)
    host.refusals = ["41"]
    host.balance_fen = -1
    till.do("3 enter tap", host)
    assert till.screen == "declined"
    till.offline()
    till.sell("3")
    assert till.brain.view.offline_refusal == "stopped", "the stop list comes minutes later"
    till.keys("clear")
    restart(till)
    till.sell("3")
    assert till.brain.view.offline_refusal == "stopped", "a power cut makes no card good"


@pytest.mark.parametrize("how", ["approved", "allowed"])
def test_a_card_that_was_refused_is_good_again_when_the_host_says_so(till, host, how):
    connect(till, host)
    host.refusals, host.balance_fen = ["62"], -1
    till.do("3 enter tap clear", host)
    assert till.storage.kept(Blocked).cards == (token_hash(CARD),)
    if how == "approved":
        host.balances[CARD] = 10_000
        till.do("3 enter tap clear", host)
    else:
        host.allowed.append(CARD)
        till.offline()
        connect(till, host, last=till.storage.used)
    till.offline()
    till.sell("4")
    assert till.screen == "offline_approved"


def test_no_more_refused_cards_are_kept_than_fit(till, host, monkeypatch):
    monkeypatch.setattr("terminal_emulator.till.MAX_BLOCKED", 2)
    connect(till, host)
    cards = [bytes([4, number]) for number in (1, 2, 3)]
    for card in cards:
        host.refusals, host.balance_fen = ["41"], -1
        till.keys("3 enter")
        till.tap(card)
        till.answer(host.answer(NUMBER, till.request))
        till.keys("clear")
    assert till.storage.kept(Blocked).cards == tuple(map(token_hash, cards[1:]))


def test_offline_mode_that_the_host_allows_no_more_holds_nothing_back(till, host):
    connect(till, host)
    till.keys("clear 7 enter")
    till.sell("3")
    till.keys("enter")
    assert till.brain.offline_waiting == 1
    till.brain.till.keep(Parameters())
    till.offline()
    connect(till, host, last=till.storage.used)
    assert till.brain.offline_waiting == 0


def test_the_repeat_guard_asks_offline_too(till):
    till.sell("3")
    till.keys("clear 3 enter")
    assert till.tap() == ["beep error"]
    assert till.screen == "dialog"
    assert till.keys("enter") == ["beep key", "beep ok", "slip"]
    assert (till.screen, states(till)) == ("offline_approved", [OFFLINE] * 2)


def test_whatever_else_needs_the_host_says_so(till):
    till.keys("f1 2")
    assert till.panel[0] == "Connecting"


def test_a_sale_whose_line_went_is_no_offline_sale(till, host):
    """It was sent: the customer is told that it is not charged, and the host that it is undone."""
    connect(till, host)
    till.sell("3")
    till.offline()
    till.wait(60)
    assert till.storage.records[1, 1].state is RecordState.REVERSING
    assert states(till) == []


# ------------------------------------------------------------------------------------------ the switch


def test_the_cashier_switches_it_on_and_off_and_a_power_cut_changes_nothing(till, host):
    connect(till, host)
    till.keys("clear 7")
    assert till.panel[0] == "Offline mode  on"
    till.keys("enter 3 enter")
    assert till.tap() == ["beep key", "beep ok", "slip"], "the line is there, and the cashier does not want it"
    till.wait(120)
    assert states(till) == [OFFLINE]
    restart(till)
    assert till.brain.view.sells_offline
    connect(till, host)
    assert (states(till), host.chain.booked) == ([OFFLINE], [])
    till.keys("enter clear 7")
    assert till.panel[0] == "Offline mode off"
    till.offline()
    connect(till, host)
    assert (states(till), host.chain.booked) == ([APPROVED], [(1, 1)])


def test_it_goes_up_at_once_when_the_cashier_lets_it(till, host):
    connect(till, host)
    till.keys("clear 7 enter 3 enter")
    till.tap()
    said = till.keys("clear clear 7") + till.wait(0.1)
    assert [one for one in said if one.startswith("OfflineSale")] == ["OfflineSale 1"]


def test_where_it_is_not_allowed_it_cannot_be_switched_on():
    till = till_of(parameters=Parameters())
    till.keys("clear 7")
    assert till.panel[1] == "Not allowed here"
    assert not till.brain.till.offline_mode


# ------------------------------------------------------------------------------------------ the upload


def test_back_in_touch_each_goes_up_in_order_and_has_its_verdict(till, host):
    for amount, card in (("1", CARD), ("2", OTHER_CARD), ("3", CARD)):
        till.keys(f"{amount} enter")
        till.tap(card)
        till.keys("clear")
    host.chain.stopped.add(OTHER_CARD)
    said = connect(till, host)
    sent = [one for one in said if one.startswith(("OfflineSale", "outcome", "note"))]
    assert sent == [
        "OfflineSale 1",
        "outcome approved 1",
        "OfflineSale 2",
        "note offline_refused",
        "outcome refused 2",
        "OfflineSale 3",
        "outcome approved 3",
    ]
    assert states(till) == [APPROVED, REFUSED, APPROVED]
    view = till.brain.view
    assert (view.offline_waiting, view.offline_unbooked) == (0, 1)
    till.keys("clear 7 clear clear 7")
    assert till.panel[1] == "Unbooked 1  2.00"


def test_those_who_stand_at_the_till_go_first(till, host):
    for amount in ("1", "2", "3"):
        till.sell(amount)
        till.keys("clear")
    till.brain.use_saf_key(KEY, (), till.now)
    till.online()
    while not isinstance(till.request, OfflineSaleRequest):
        till.answer(host.answer(NUMBER, till.request))
    assert till.sell("4") == ["beep key"], "the line is taken by the first record"
    said = till.answer(host.answer(NUMBER, till.request))
    assert [one for one in said if one.startswith("Sale")] == ["Sale 4"]
    said = till.answer(host.answer(NUMBER, till.request)) + till.wait(5)
    assert [one for one in said if one.startswith("OfflineSale")] == ["OfflineSale 2"]


def test_what_waits_keeps_settlement_waiting(till, host):
    till.sell("1")
    assert not till.brain.till.is_quiet
    connect(till, host)
    assert till.brain.till.is_quiet


def test_a_new_root_key_seals_what_waits_anew(till):
    till.sell("1")
    till.keys("clear")
    till.sell("2")
    host = Host(NEXT_KEY)
    connect(till, host, key=NEXT_KEY, others=[KEY])
    assert (states(till), host.chain.quarantine) == ([APPROVED] * 2, [])
    till.offline()
    till.keys("clear")
    till.sell("3")
    assert is_sealed(till.storage.offline_records()[2], NEXT_KEY)


# ---------------------------------------------------------------------------------------- power cuts


class PowerCut(Exception):
    """The power goes just before, or just after, something is made durable."""


class Cut(MemoryStorage):
    """A memory whose power goes at the n-th thing to be kept."""

    __slots__ = ("after", "left")

    def __init__(self):
        super().__init__()
        self.left, self.after = -1, False

    def save(self, record):
        self.left -= 1
        if self.left == 0 and not self.after:
            raise PowerCut
        super().save(record)
        if self.left == 0:
            raise PowerCut


def day(till, host):
    """Two sales online, an outage with three, the line back, one more."""
    connect(till, host)
    for amount in ("1", "2"):
        till.do(f"{amount} enter tap clear", host)
    till.offline()
    for amount in ("3", "4", "5"):
        till.keys(f"{amount} enter")
        till.tap()
        till.keys("clear")
    connect(till, host)
    till.do("6 enter tap clear", host)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("cut", range(1, 14))
def test_a_power_cut_at_any_step_costs_and_doubles_nothing(cut, after):
    storage, host = Cut(), Host()
    till = till_of(storage)
    storage.left, storage.after = cut, after
    with_cut = False
    try:
        day(till, host)
    except PowerCut:
        with_cut = True
    storage.left = -1
    restart(till)
    till.time_s += 60
    connect(till, host, last=storage.used)
    told = [effect.record for effect in till.effects if isinstance(effect, PrintSlip)]
    offline = storage.offline_records()
    assert {record.state for record in offline} <= {APPROVED}
    assert host.chain.booked == [record.identity for record in offline], "each once, in the order they were made"
    assert {record.identity for record in told if record.saf is not None} <= {*host.chain.booked}
    assert [record.saf.sequence for record in offline] == list(range(1, len(offline) + 1))
    assert (host.chain.quarantine, till.brain.unresolved) == ([], 0)
    assert with_cut or cut > 12, "the day has so many steps"


def test_all_of_it_is_on_the_disk(tmp_path):
    storage, host = FileStorage(tmp_path), Host()
    till = till_of(storage)
    host.stopped = [b"somebody's"]
    connect(till, host)
    till.keys("clear 7 enter")
    till.sell("1")
    storage.close()
    again = Till(FileStorage(tmp_path))
    assert again.brain.till.offline_mode
    assert (again.brain.offline_waiting, again.storage.stop_version) == (1, 1)
    again.keys("enter clear 7")
    connect(again, host)
    assert host.chain.booked == [(1, 1)]
    again.storage.close()


@given(st.lists(st.sampled_from(["sell", "cut", "up", "down", "mode", "answer"]), max_size=25))
def test_whatever_happens_in_whatever_order_nothing_is_lost_or_doubled(events):
    host = Host()
    parameters = Parameters(
        offline_sale_limit_fen=9_999,
        offline_card_limit_fen=10**6,
        offline_total_limit_fen=10**6,
        offline_count_limit=99,
    )
    till = till_of(parameters=parameters)
    amount = 0
    for event in events:
        till.time_s += 1
        if event == "sell" and not till.brain.busy:
            amount += 1
            till.keys("clear clear clear")
            till.sell(f"{amount}")
        elif event == "cut":
            restart(till)
        elif event == "up" and not till.brain.online:
            till.brain.use_saf_key(KEY, (), till.now)
            till.online(last=till.storage.used)
        elif event == "down" and till.brain.online:
            till.offline()
        elif event == "mode" and not till.brain.busy:
            till.keys("clear clear clear 7 clear")
        elif event == "answer" and till.brain.online and not till.brain.is_line_free:
            till.answer(host.answer(NUMBER, till.request))
        till.wait(0.01)
        assert till.brain.view.screen, "the screen is never blank"
    if till.brain.online:
        till.offline()
    restart(till)
    if till.brain.till.offline_mode:
        till.keys("enter clear 7 clear")
    connect(till, host, last=till.storage.used)
    offline = till.storage.offline_records()
    assert host.chain.booked == [record.identity for record in offline]
    assert not any(isinstance(effect, Beep) and effect is None for effect in till.effects)
    assert (host.chain.quarantine, till.brain.offline_waiting, till.brain.unresolved) == ([], 0, 0)


def test_a_terminal_that_the_host_refuses_sells_nothing(till):
    """Its records would not be booked: the meals would be for nothing."""
    till.offline("refused")
    till.sell()
    assert till.screen == "no_link"
    assert not till.storage.waiting


def test_the_repeat_guard_knows_of_a_sale_found_open_after_a_power_cut(till):
    till.online()
    till.sell("12.5")
    till.power_on()
    assert till.screen == "last_asking"
    till.offline("unreachable")
    till.sell("12.5")
    assert till.panel[0] == "Pay again?"


def test_a_wrong_pin_does_not_become_right_when_the_line_goes(till, host):
    till.online()
    host.refusals, host.balance_fen = ["55"], -1
    till.do("12.5 enter tap", host)
    till.offline()
    till.keys("0 0 0 0 enter")
    assert (till.screen, till.brain.view.amount_fen) == ("no_link", 1250)
    assert render(till.brain.view, N_)[1:] == ("Did not happen", "Line lost", "Enter: go on")
    assert not till.storage.waiting
    assert till.keys("enter") == ["beep key"]
    assert till.screen == "idle"


def test_what_would_need_a_pin_is_not_sold_offline(till):
    till.brain.till.keep(msgspec.structs.replace(ALLOWED, pin_limit_fen=1_000))
    till.offline("unreachable")
    till.sell("10.01")
    assert till.screen == "offline_refused"
    assert not till.storage.waiting


def test_nothing_is_sold_offline_before_the_first_stop_list_is_there(host):
    till = Till()
    till.brain.till.keep(ALLOWED)
    till.online()
    till.offline("lost")
    till.sell()
    assert (till.screen, till.brain.view.offline_refusal) == ("offline_refused", "no_stop_list")
    assert not till.storage.waiting
    till.keys("clear")
    connect(till, host)  # an empty one, whose version is 0
    for amount in ("12.5", "13"):
        till.offline("lost")
        till.sell(amount)
        assert till.screen == "offline_approved"
        till.keys("clear")
        restart(till)
    connect(till, host, history=2, restored_at_s=9)
    assert till.brain.till.has_stop_list


def test_what_was_not_booked_is_on_the_screen_until_it_is_settled_and_not_until_the_next_power_cut(till, host):
    till.sell("3")
    till.keys("clear")
    host.chain.stopped = {CARD}
    connect(till, host)
    for _ in range(2):
        assert till.brain.view.offline_unbooked == 1
        restart(till)
    till.storage.save_settlement(Settlement(batch=1, operator=7, claimed_at_s=1, stage=Stage.DONE))
    for _ in range(2):
        assert till.brain.view.offline_unbooked == 0
        restart(till)


def test_after_a_power_cut_without_a_line_slips_name_the_merchant(tmp_path):
    storage = FileStorage(tmp_path)
    till = till_of(storage)
    till.online()
    storage.close()
    till = Till(FileStorage(tmp_path))
    till.sell()
    [slip] = [effect for effect in till.effects if isinstance(effect, PrintSlip)]
    assert slip.merchant == till.brain.view.merchant == Merchant(12, "一食堂")
    before = len((tmp_path / "journal").read_bytes())
    till.online()
    assert len((tmp_path / "journal").read_bytes()) == before, "what is known already is not written again"
    till.storage.close()


@pytest.mark.parametrize("keys", ["f1 0 5 3", "f1 9 1 1 enter 0000 enter"])
def test_who_fetches_parameters_or_signs_on_gets_the_stop_list_of_now(till, host, keys):
    """Found by a card that the office had just reported lost, and that bought offline a moment after the key."""
    connect(till, host)
    host.stopped = [CARD]
    host.parameters = {
        "offline_sale_limit_fen": 5_000,
        "offline_card_limit_fen": 6_000,
        "offline_total_limit_fen": 9_000,
        "offline_count_limit": 4,
    }
    till.do(f"{keys} enter", host)
    till.offline()
    till.sell()
    assert (till.screen, states(till)) == ("offline_refused", [])
