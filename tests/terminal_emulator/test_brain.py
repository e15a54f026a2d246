"""The brain at the counter: keys, card, screens, numbers. What happens after sending: flows/test_transaction.py."""

import pytest

from protocol.limits import HEARTBEAT_S
from terminal_emulator.effects import Key, Note, PrintSlip
from terminal_emulator.record import Merchant
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.view import Link, Lock
from tests.terminal_emulator.till import CARD, NUMBER, WALL_S, Till, ToyHost


@pytest.fixture
def till():
    till = Till()
    till.online()
    return till


def test_a_sale_key_by_key(till):
    host = ToyHost(balance_fen=5_000)
    assert till.screen == "idle"
    assert till.keys("1 2 . 5") == ["beep key"] * 4
    assert (till.screen, till.brain.view.amount_text) == ("amount", "12.5")
    assert till.keys("enter") == ["beep key"]
    assert (till.screen, till.brain.view.amount_fen) == ("card", 1250)
    assert till.tap() == ["beep key", "Sale 1"]
    assert till.screen == "sending"
    assert till.brain.busy
    sent = till.request
    assert (sent.batch, sent.stan, sent.amount_fen, sent.payer, sent.operator) == (1, 1, 1250, CARD, 7)
    assert sent.claimed_at_s == int(WALL_S + till.time_s)
    assert till.answer(host.answer(NUMBER, sent)) == ["beep ok", "slip", "outcome approved 1"]
    view = till.brain.view
    assert (view.screen, view.amount_fen, view.balance_fen, view.stan) == ("approved", 1250, 3750, 1)
    slip = next(effect for effect in till.last if isinstance(effect, PrintSlip))
    assert slip.merchant == Merchant(12, "一食堂")
    assert slip.record is till.outcomes[0]
    # The next amount starts on the result screen; nothing has to be cleared.
    assert till.keys("8") == ["beep key"]
    assert (till.screen, till.brain.view.amount_text) == ("amount", "8")


def test_a_declined_sale_says_why_and_what_is_left(till):
    host = ToyHost(balance_fen=100)
    till.sell("12.5")
    assert till.answer(host.answer(NUMBER, till.request)) == ["beep error", "outcome declined 1"]
    view = till.brain.view
    assert (view.screen, view.response_code, view.balance_fen) == ("declined", "51", 100)
    assert till.keys("clear") == ["beep key"]
    assert till.screen == "idle"


def test_the_numbers_go_up_by_one_and_are_stored_before_they_are_sent(till):
    for stan in (1, 2, 3):
        assert till.sell()[-1] == f"Sale {stan}"
        assert till.storage.records[1, stan].state == "pending"
        till.answer(ToyHost().answer(NUMBER, till.request))
        assert till.storage.records[1, stan].state == "approved"


def test_nothing_is_sent_when_the_memory_fails():
    class BrokenStorage(MemoryStorage):
        def save(self, record):
            raise OSError("no space left")

    till = Till(BrokenStorage())
    till.online()
    till.keys("5 enter")
    with pytest.raises(OSError, match="no space"):
        till.tap()
    assert till.last == [till.last[0]]  # the beep of Enter


@pytest.mark.parametrize(
    ("keys", "shown", "beeps"),
    [
        ("1", "1", "k"),
        ("0", "0", "k"),
        ("0 0 5", "5", "kkk"),
        (".", "0.", "k"),
        (". 5", "0.5", "kk"),
        ("1 . .", "1.", "kke"),
        ("1 . 2 3 4", "1.23", "kkkke"),
        ("9 9 9 9 9 9 9 . 9 9", "9999999.99", "kkkkkkkkkk"),
        ("9 9 9 9 9 9 9 9", "9999999", "kkkkkkke"),
        ("1 2 delete", "1", "kkk"),
        ("1 . delete delete", "", "kkkk"),
        ("1 . 5 delete", "1.", "kkkk"),
        ("1 2 clear", "", "kkk"),
        ("1 f1 f2 up down", "1", "keeee"),
        ("delete", "", "e"),
        ("enter", "", "e"),
        ("clear", "", "k"),
        ("up", "", "e"),
        ("0 enter", "0", "ke"),
        ("0 . 0 0 enter", "0.00", "kkkke"),
    ],
)
def test_keying_an_amount(till, keys, shown, beeps):
    names = {"k": "beep key", "e": "beep error"}
    assert till.keys(keys) == [names[beep] for beep in beeps]
    assert till.brain.view.amount_text == shown
    assert till.screen == ("amount" if shown else "idle")


@pytest.mark.parametrize(
    ("text", "fen"),
    [("12.5", 1250), ("12.05", 1205), ("0.01", 1), ("7", 700), ("7.", 700), ("9999999.99", 999_999_999)],
)
def test_yuan_become_fen(till, text, fen):
    till.keys(f"{text} enter")
    assert till.brain.view.amount_fen == fen
    assert till.tap()[-1] == "Sale 1"
    assert till.request.amount_fen == fen


def test_clear_calls_off_the_wait_for_the_card(till):
    till.keys("5 enter")
    assert till.keys("7") == ["beep error"]
    assert till.keys("clear") == ["beep key"]
    assert till.screen == "idle"
    assert till.tap() == ["beep error"]
    assert till.storage.records == {}


def test_a_tap_at_the_wrong_moment_beeps_and_charges_nobody(till):
    assert till.tap() == ["beep error"]
    till.keys("5")
    assert till.tap() == ["beep error"]
    till.keys("enter")
    assert till.tap(b"") == ["beep error"]
    assert till.tap(bytes(25)) == ["beep error"]
    assert till.tap() == ["beep key", "Sale 1"]
    assert till.tap() == ["beep error"]
    assert till.keys("5 . enter clear delete f1") == ["beep error"] * 6
    assert len(till.storage.records) == 1


def test_enter_without_a_session_says_so(till):
    till.keys("5")
    till.offline("unreachable")
    assert till.keys("enter") == ["beep error"]
    assert (till.screen, till.brain.view.link, till.brain.view.amount_fen) == ("no_link", "unreachable", 500)
    till.online()
    assert till.keys("enter") == ["beep key"]
    assert till.screen == "card"
    till.offline()
    assert till.tap() == ["beep error"]
    assert till.screen == "no_link"
    assert till.storage.records == {}
    assert till.keys("delete") == ["beep key"]
    assert till.screen == "idle"


def test_a_refused_terminal_shows_it():
    till = Till()
    assert till.brain.view.link is Link.CONNECTING
    till.offline("refused")
    assert (till.screen, till.brain.view.link, till.brain.view.merchant) == ("idle", "refused", None)


@pytest.mark.parametrize(
    ("used", "next_"), [((1, 0), (1, 1)), ((1, 999_998), (1, 999_999)), ((1, 999_999), (2, 1)), ((7, 12), (7, 13))]
)
def test_after_999999_comes_1_of_the_next_batch(used, next_):
    till = Till()
    till.storage.skip_to(*used)
    till.online()
    till.sell()
    assert (till.request.batch, till.request.stan) == next_


def test_used_up_numbers_lock_the_terminal():
    till = Till()
    till.storage.skip_to(999_999, 999_999)
    till.online()
    assert till.keys("5 enter")[-1] == "beep error"
    assert (till.screen, till.brain.view.lock) == ("locked", Lock.NUMBERS_USED_UP)
    assert till.keys("5") == ["beep error"]
    assert till.keys("clear") == ["beep key"]
    assert (till.screen, till.brain.view.lock) == ("idle", None)


def test_a_full_memory_locks_the_terminal():
    class FullStorage(MemoryStorage):
        is_full = True

    till = Till(FullStorage())
    till.online()
    till.keys("5 enter")
    assert (till.screen, till.brain.view.lock) == ("locked", Lock.MEMORY_FULL)
    assert till.keys("enter") == ["beep key"]
    assert till.screen == "idle"


def test_a_memory_rolled_back_is_noticed_and_its_numbers_are_never_used_again(till):
    till.sell()
    assert till.offline() == []
    till.power_on()  # the open sale is known, so READY naming it is no news
    assert till.online(last=(1, 1)) == ["Query 1"]
    fresh = Till()
    assert fresh.online(last=(4, 77)) == ["note memory_rolled_back"]
    assert fresh.storage.used == (4, 77)
    assert fresh.sell()[-1] == "Sale 78"
    assert fresh.request.batch == 4


def test_a_host_rolled_back_is_noticed(till):
    assert till.brain.last_epoch == 1
    till.offline()
    assert till.online(epoch=5) == []
    assert till.brain.last_epoch == 5
    till.offline()
    assert not till.brain.view.host_rolled_back
    assert till.online(epoch=4) == ["note host_rolled_back"]
    assert till.brain.last_epoch == 5
    assert till.brain.view.host_rolled_back


def test_a_host_that_does_not_know_a_sale_it_approved_is_noticed(till):
    host = ToyHost(balance_fen=2_000)
    for answered in (True, True, False):
        till.sell()
        if answered:
            till.answer(host.answer(NUMBER, till.request))
    assert [record.state for record in till.outcomes] == ["approved", "declined"]
    assert till.storage.newest_approved == (1, 1)
    till.offline()
    # What was declined, and what is open, the host need not know.
    assert till.online(last=(1, 1)) == ["Sale 3"]
    assert not till.brain.view.host_rolled_back
    till.offline()
    assert till.online(last=(0, 0)) == ["note host_rolled_back", "Sale 3"]
    note = next(effect for effect in till.last if isinstance(effect, Note))
    assert "(0, 0)" in note.detail
    assert "(1, 1)" in note.detail
    assert till.brain.view.host_rolled_back
    # Selling goes on, the records are kept, and a newer sale does not wipe the mark off.
    till.answer(ToyHost().answer(NUMBER, till.request))
    assert till.outcomes[-1].state == "approved"
    assert till.storage.records[1, 1].state == "approved"
    till.offline()
    assert till.online() == []
    assert till.brain.view.host_rolled_back


def test_a_host_that_lost_a_sale_of_an_earlier_batch_is_noticed_after_a_power_cut(till):
    till.storage.skip_to(2, 999_999)
    till.sell()
    till.answer(ToyHost().answer(NUMBER, till.request))
    till.power_on()
    assert till.online(last=(2, 999_999)) == ["note host_rolled_back"]


def test_silence_for_a_heartbeat_asks_for_an_echo(till):
    assert till.wait(HEARTBEAT_S - 0.001) == []
    assert till.wait(0.001) == ["Echo"]
    assert till.request.claimed_at_s == int(WALL_S + till.time_s)
    till.keys("5 enter")  # the counter does not notice
    assert till.tap() == ["beep key"]  # stored, but the line is not free
    assert till.storage.used == (1, 1)
    assert till.screen == "sending"
    host = ToyHost()
    assert till.answer(host.answer(NUMBER, till.request)) == ["Sale 1"]
    till.answer(host.answer(NUMBER, till.request))
    assert till.wait(HEARTBEAT_S - 0.001) == []
    assert till.wait(0.001) == ["Echo"]


def test_an_echo_without_an_answer_ends_the_session(till):
    till.wait(HEARTBEAT_S)
    assert till.wait(3) == ["hang up"]
    assert till.brain.view.link is Link.TIMEOUT
    assert till.brain.deadline_s == float("inf")
    assert till.online() == []


def test_before_power_on_nothing_works():
    till = Till()
    till.brain = type(till.brain)(till.settings, till.storage)
    assert till.screen == "off"
    for key in Key:
        assert till.take(till.brain.key(key, till.now)) == ["beep error"]
    assert till.tap() == ["beep error"]
    assert till.screen == "off"
