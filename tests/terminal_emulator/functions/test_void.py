"""消费撤销, key by key: password, voucher number, a look at it, the card. And everything that stops it."""

import pytest

from protocol.messages.money import TransactionKind
from terminal_emulator.record import RecordState
from terminal_emulator.settled import Settlement, Stage
from tests.terminal_emulator.functions.talk import record_of
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, changed

TO_VOID = "f1 5 1"
START_FEN = 10_000


@pytest.fixture
def host():
    return ToyHost(balance_fen=START_FEN)


@pytest.fixture
def till(host):
    till = Till()
    till.online()
    till.do("12.5 enter tap clear", host)
    return till


def test_a_void_key_by_key(till, host):
    assert till.panel == []
    till.do("f1", host)
    assert till.panel[:2] == ["Menu         1/4", "1.Open card"]
    till.do("5", host)
    assert till.panel[1] == "1.Void sale"
    till.do("1", host)
    assert till.panel == ["Superv. password", "Password", "_", "Enter / Clear"]
    till.do("123", host)
    assert till.panel[2] == "***_"
    till.do("456 enter", host)
    assert till.panel[:2] == ["Void", "Voucher no."]
    till.do("1 enter", host)
    assert till.panel == ["Void 000001", "RMB 12.50", "****B2C3", "Enter / Clear"]
    till.do("enter", host)
    assert till.panel == ["Void", "Card or code", "12.50", "Clear: cancel"]
    assert till.do("tap", host) == ["beep key", "Void 2", "beep ok", "slip", "outcome approved 2"]
    view = till.brain.view
    assert (view.screen, view.kind, view.stan) == ("approved", TransactionKind.VOID, 2)
    record = till.storage.records[1, 2]
    assert (record.kind, record.original_batch, record.original_stan) == (TransactionKind.VOID, 1, 1)
    assert host.balances[CARD] == START_FEN
    assert till.keys("8") == ["beep key"]
    assert till.screen == "amount"


@pytest.mark.parametrize(
    ("keys", "panel"),
    [
        ("9 enter", ["Void", "Sale not found", "Check voucher no"]),
        ("1 enter enter tap f1 5 1 123456 enter 2 enter", ["Void", "Sale not found", "Check voucher no"]),
        ("1 enter enter tap f1 5 1 123456 enter 1 enter", ["Void", "Voided already", "Check voucher no"]),
    ],
    ids=["no such sale", "not a sale", "twice"],
)
def test_what_cannot_be_voided_is_said_before_the_card_is_asked_for(till, host, keys, panel):
    till.do(f"{TO_VOID} 123456 enter", host)
    till.do(keys, host)
    assert till.panel == panel
    till.do("enter", host)
    assert till.panel[:3] == ["Void", "Voucher no.", "_"]
    used = till.storage.used
    till.do("7 enter tap", host)
    assert till.storage.used == used
    assert till.screen == "dialog"


def test_after_a_wrong_voucher_the_right_one_is_voided(till, host):
    till.do(f"{TO_VOID} 123456 enter 9 enter enter 1 enter enter tap", host)
    assert till.brain.view.kind is TransactionKind.VOID
    assert host.balances[CARD] == START_FEN


def test_a_wrong_password_may_be_keyed_again(till, host):
    assert "beep error" in till.do(f"{TO_VOID} 999999 enter", host)
    assert till.panel == ["Declined 55", "Wrong password", "Key it again"]
    till.do("enter 123456 enter", host)
    assert till.panel[1] == "Voucher no."


def test_a_locked_password_is_for_the_manager_and_what_is_keyed_next_is_no_amount(till, host):
    till.do(f"{TO_VOID} 123456", host)
    till.keys("enter")
    assert till.panel == ["Checking...", "Please wait", "Clear: cancel"]
    till.answer(changed(host.answer(NUMBER, till.request), response_code="75"))
    assert till.panel == ["Declined 75", "Password locked", "Call the manager"]
    till.do("enter 999999", host)
    assert till.panel == ["Superv. password", "Password", "******_", "Enter / Clear"], "no amount for all to see"
    till.do("clear", host)
    assert till.screen == "idle"


def test_a_factory_password_is_changed_on_the_spot(till, host):
    key = next(key for key, password in host.passwords.items() if password == "123456")
    host.must_change.add(key)
    till.do(f"{TO_VOID} 123456 enter", host)
    assert till.panel == ["First use", "Password must", "be changed"]
    till.do("enter 7777 enter 7778 enter", host)
    assert till.panel == ["Not the same", "Key it again"]
    till.do("enter 7777 enter 7777 enter", host)
    assert till.panel == ["Superv. password", "is changed"]
    till.do("enter", host)
    assert till.panel[1] == "Voucher no."
    assert host.passwords[key] == "7777"


def test_clear_leads_home_from_everywhere(till, host):
    steps = ["f1", "5", "1", "1", "2", "3", "4", "5", "6", "enter", "1", "enter", "enter"]
    for count in range(1, len(steps) + 1):
        till.do(" ".join(steps[:count]), host)
        assert till.screen == "dialog"
        assert till.keys("clear") == ["beep key"]
        assert till.screen == "idle"
    assert till.storage.used == (1, 1)


def test_clear_while_the_host_thinks_leads_home_and_its_answer_is_forgotten(till, host):
    till.do(f"{TO_VOID} 123456", host)
    till.keys("enter clear")
    assert till.screen == "idle"
    assert till.answer(host.answer(NUMBER, till.request)) == []
    assert till.screen == "idle"


def test_without_a_line_it_does_not_begin(till, host):
    till.offline()
    till.do(TO_VOID, host)
    assert till.panel[0] == "Line lost"


def test_a_line_that_breaks_while_the_host_thinks_is_no_answer(till, host):
    till.do(f"{TO_VOID} 123456", host)
    till.keys("enter")
    till.offline()
    assert till.panel == ["No answer", "Nothing was done", "Try again soon"]


def test_a_void_whose_outcome_is_unknown_is_reversed_and_the_sale_stands(till, host):
    till.do(f"{TO_VOID} 123456 enter 1 enter enter", host)
    till.tap()
    host.answer(NUMBER, till.request)  # booked, and the answer is lost
    till.offline()
    till.wait(10)
    view = till.brain.view
    assert (view.screen, view.kind) == ("uncharged", TransactionKind.VOID)
    assert till.online(last=(1, 2)) == ["Reversal 2"]
    till.answer(host.answer(NUMBER, till.request))
    assert till.storage.records[1, 2].state is RecordState.REVERSED
    assert host.balances[CARD] == START_FEN - 1250
    till.do(f"clear {TO_VOID} 123456 enter 1 enter enter tap", host)
    assert till.screen == "approved"


def test_a_settled_sale_is_for_a_refund(till, host):
    till.storage.save_settlement(Settlement(batch=1, operator=0, claimed_at_s=5, stage=Stage.DONE))
    till.do(f"{TO_VOID} 123456 enter 1 enter", host)
    assert till.panel == ["Void", "Settled already", "Refund it"]


def test_a_partly_refunded_sale_is_not_said_to_be_voided(till, host):
    refund = record_of(5, TransactionKind.REFUND, amount_fen=500, original_batch=1, original_stan=1)
    till.storage.save(refund)
    till.do(f"{TO_VOID} 123456 enter 1 enter", host)
    assert till.panel == ["Void", "Refunded already", "Refund the rest"]


@pytest.mark.parametrize(
    ("link", "panel"),
    [
        ("unreachable", ["No network", "Check the cable"]),
        ("refused", ["Refused", "Register it"]),
        ("busy", ["Host is busy", "Please wait"]),
    ],
)
def test_why_there_is_no_line_is_said(till, host, link, panel):
    till.offline(link)
    till.do(TO_VOID, host)
    assert till.panel == panel
