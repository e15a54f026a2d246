"""The repeat guard, the PIN when it is asked for, payment codes, and the sale of a member shop."""

import pytest

from protocol.messages import EntryMode
from protocol.messages.money import NO_PIN_BLOCK
from terminal_emulator.effects import Send
from terminal_emulator.i18n import N_
from terminal_emulator.lcd import render
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import RecordState
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, changed, settings_of

OTHER = bytes.fromhex("04A1B2C4")
CODE, NEXT_CODE, OTHER_CODE = (f"91{number:010d}{dynamic:010d}" for number, dynamic in ((7, 1), (7, 2), (8, 3)))


@pytest.fixture
def host():
    return ToyHost()


@pytest.fixture
def till(host):
    till = Till()
    till.online()
    till.brain.till.keep(Parameters(repeat_guard=True))
    till.do("5 enter tap clear", host)
    return till


def test_the_same_again_is_never_charged_silently(till, host):
    till.keys("5 enter")
    assert till.tap() == ["beep error"]
    assert till.panel == ["Pay again?", "RMB 5.00", "As last ****B2C3", "Enter / Clear"]
    assert till.tap() == ["beep error"]
    assert till.keys("clear") == ["beep key"]
    assert (till.screen, host.sales_posted) == ("idle", 1)
    till.keys("5 enter")
    till.tap()
    assert till.do("enter", host) == ["beep key", "Sale 2", "beep ok", "slip", "outcome approved 2"]
    assert (till.screen, host.sales_posted) == ("approved", 2)


def test_it_holds_after_a_power_cut(till):
    till.power_on()
    till.online()
    till.keys("5 enter")
    till.tap()
    assert till.panel[0] == "Pay again?"


@pytest.mark.parametrize(("keys", "card"), [("6 enter", CARD), ("5 enter", OTHER)], ids=["amount", "payer"])
def test_another_amount_or_payer_is_not_asked(till, keys, card):
    till.keys(keys)
    assert till.tap(card) == ["beep key", "Sale 2"]


def test_only_the_sale_before_counts(till, host):
    till.do("6 enter tap clear 5 enter tap", host)
    assert till.screen == "approved"


def test_a_declined_or_reversed_sale_is_keyed_again_without_a_question(host):
    till = Till()
    till.online()
    till.brain.till.keep(Parameters(repeat_guard=True))
    till.do("5 enter tap clear", ToyHost(balance_fen=0))
    till.keys("5 enter")
    assert till.tap() == ["beep key", "Sale 2"]


def test_the_host_may_switch_it_off(till):
    till.brain.till.keep(Parameters(repeat_guard=False))
    till.keys("5 enter")
    assert till.tap() == ["beep key", "Sale 2"]


def test_a_payment_code_pays_and_is_guarded_by_its_card(till, host):
    till.keys("8 enter")
    assert till.scan("https://example") == ["beep error"]
    assert till.scan(CODE) == ["beep key", "Sale 2"]
    sent = till.request
    assert (sent.payer, sent.entry_mode) == (CODE.encode(), EntryMode.CODE)
    till.answer(host.answer(NUMBER, sent))
    till.keys("8 enter")
    till.scan(NEXT_CODE)
    assert till.panel[0] == "Pay again?"
    till.keys("clear 8 enter")
    assert till.scan(OTHER_CODE) == ["beep key", "Sale 3"]


def test_a_code_is_only_taken_when_somebody_is_to_pay(till):
    for keys in ("", "8", "f1"):
        till.keys(f"clear {keys}")
        assert till.scan(CODE) == ["beep error"]


def ask_for_pin(till, host, code="1A"):
    return till.answer(changed(host.answer(NUMBER, till.request), response_code=code, charged_fen=0))


def pins_sent(till):
    return [(effect.message.stan, effect.pin) for effect in till.effects if isinstance(effect, Send)]


def test_a_pin_is_asked_for_and_goes_under_a_new_number(host):
    till = Till()
    till.online()
    till.sell("5")
    assert ask_for_pin(till, ToyHost()) == ["beep error", "outcome declined 1"]
    assert till.panel == ["Sale 5.00", "PIN of the payer", "_", "Enter / Clear"]
    assert till.keys("1 2 3 enter")[-1] == "beep error"  # a PIN has four digits at least
    till.keys("4 enter")
    assert ask_for_pin(till, ToyHost(), "55")[-1] == "outcome declined 2"
    assert till.panel == ["Sale 5.00", "Wrong PIN, again", "_", "Enter / Clear"]
    till.do("4321 enter", host)
    assert till.screen == "approved"
    assert pins_sent(till) == [(1, ""), (2, "1234"), (3, "4321")]
    assert till.request.pin_block == NO_PIN_BLOCK  # the shell puts it in
    assert "1234" not in repr(till.effects)
    assert host.sales_posted == 1


def test_every_copy_of_the_request_has_the_pin_and_nothing_else_has(host):
    till = Till()
    till.online()
    till.sell("5")
    ask_for_pin(till, ToyHost())
    till.keys("1234 enter")
    for _ in range(3):
        till.offline()
        till.online()
    assert pins_sent(till) == [(1, ""), (2, "1234"), (2, "1234"), (2, "1234"), (2, "")]  # the last is the query
    assert all("1234" not in str(record) for record in till.storage.records.values())


def test_clear_at_the_pin_leaves_the_sale_declined(host):
    till = Till()
    till.online()
    till.sell("5")
    ask_for_pin(till, ToyHost())
    till.keys("clear")
    assert till.screen == "idle"
    assert [record.state for record in till.storage.records.values()] == [RecordState.DECLINED]


@pytest.fixture
def shop():
    till = Till(settings=settings_of(profile="member", sign_on_required=False))
    till.online()
    return till


def test_key_3_is_a_sale_in_a_member_shop(shop, host):
    shop.do("3 1 2 . 5 enter", host)
    assert shop.panel == ["Sale", "Card or code", "12.50", "Clear: cancel"]
    assert shop.do("tap", host)[-1] == "outcome approved 1"
    assert shop.screen == "approved"


def test_a_card_swiped_first_and_then_1_is_a_sale(shop, host):
    assert shop.tap() == ["beep key"]
    assert shop.panel[:2] == ["Card read    1/2", "1.Sale"]
    assert shop.do("1 7 enter", host) == ["beep key"] * 3 + ["Sale 1", "beep ok", "slip", "outcome approved 1"]
    assert shop.storage.records[1, 1].payer == CARD


def test_a_card_swiped_first_is_forgotten_with_clear(shop, host):
    shop.tap()
    shop.keys("clear")
    shop.do("3 7 enter", host)
    assert shop.panel[1] == "Card or code"


def test_the_member_shop_has_no_amounts_at_rest(shop):
    assert shop.keys("5") == ["beep error"]
    assert shop.keys("enter") == ["beep key"]
    assert shop.panel[0].startswith("Menu")


def test_the_line_goes_while_the_pin_is_keyed_and_enter_goes_on(host):
    till = Till()
    till.online()
    till.sell("5")
    ask_for_pin(till, ToyHost())
    till.offline()
    till.keys("1234 enter")
    assert render(till.brain.view, N_) == ("No sale     5.00", "Did not happen", "Line lost", "Enter: go on")
    assert till.keys("enter") == ["beep key"]
    assert till.screen == "idle"
