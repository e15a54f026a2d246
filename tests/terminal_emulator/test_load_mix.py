"""What a terminal of a mixed load does: what fits what it has done before, each thing once."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from msgspec.structs import replace

from protocol import TerminalNumber
from protocol.messages import BalanceAnswer, BalanceRequest, LookupRequest
from protocol.messages.money import TransactionKind
from terminal_emulator.dialog import Ask, Payer, Transact
from terminal_emulator.i18n import N_
from terminal_emulator.load_mix import SALES_SHARE, UNDOES, WEIGHTS, Mix
from terminal_emulator.record import RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.till import Till

CARD = b"card"
PAYER = Payer(CARD)
COUNT = 4_000


@pytest.fixture
def till():
    settings = Settings(terminal=TerminalNumber(1, 1), root_key=bytes(32), key_version=1)
    return Till(settings, MemoryStorage(), N_)


def played(till, count=COUNT):
    """(kind or None, its prompt) of everything but the sales, each approved at once."""
    told = []
    mix = Mix(Random(1), told.append)
    found = []
    for _ in range(count):
        dialog = mix.next(till, CARD, 600)
        if dialog is None:
            record = till.new_record(TransactionKind.SALE, 600, PAYER)
        else:
            prompt = next(dialog)
            found.append(prompt)
            if isinstance(prompt, Ask):
                assert mix.is_asking
                with pytest.raises(StopIteration):
                    dialog.send(BalanceAnswer(response_code="00"))
                assert not mix.is_asking
                continue
            record = prompt.record
        record = replace(record, state=RecordState.APPROVED)
        till.storage.save(record)
        mix.remember(record)
    return found, told


def test_shares_and_kinds(till):
    found, _ = played(till)
    assert len(found) == pytest.approx(COUNT * (1 - SALES_SHARE), rel=0.1)
    kinds = Counter(prompt.record.kind for prompt in found if isinstance(prompt, Transact))
    assert set(kinds) == {kind for kind in WEIGHTS if kind is not None}
    questions = Counter(type(prompt.message) for prompt in found if isinstance(prompt, Ask))
    assert set(questions) == {BalanceRequest, LookupRequest}


def test_what_is_undone_was_done_by_this_terminal_and_is_undone_once(till):
    found, _ = played(till)
    undone = Counter()
    for prompt in found:
        if isinstance(prompt, Transact) and prompt.record.kind in UNDOES:
            record = prompt.record
            original = till.storage.records[record.original_batch, record.original_stan]
            assert original.kind is UNDOES[record.kind]
            assert record.payer == original.payer
            assert 0 < record.amount_fen <= original.amount_fen
            undone[original.identity] += 1
    assert undone
    assert set(undone.values()) == {1}


def test_points_are_spent_by_who_has_earned_some(till):
    mix = Mix(Random(1), [].append)
    sale = replace(till.new_record(TransactionKind.SALE, 600, Payer(b"earner")), state=RecordState.APPROVED)
    mix.remember(sale)
    spent = []
    while len(spent) < 3:
        prompt = next(mix.next(till, CARD, 600) or iter([None]))
        if isinstance(prompt, Transact) and prompt.record.kind is TransactionKind.POINTS_SALE:
            spent.append(prompt.record)
        mix.remember(sale)  # whatever was done about it: the next customer is the same one
    assert {record.payer for record in spent} == {b"earner"}


def test_a_question_without_an_answer_is_a_customer_not_served(till):
    told = []
    mix = Mix(Random(1), told.append)
    dialog = None
    while not mix.is_asking:
        dialog = mix.next(till, CARD, 600)
    assert dialog is not None
    next(dialog)
    with pytest.raises(StopIteration):
        dialog.send(None)
    assert (told, mix.is_asking) == ([None], False)
