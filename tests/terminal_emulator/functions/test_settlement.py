"""结算, key by key, against a real host: balanced, not balanced, cut off, and what the cashier reads at each step."""

import pytest
from msgspec.structs import replace

from protocol.messages import (
    BatchEndRequest,
    BatchUploadRequest,
    DifferencesAnswer,
    DifferencesRequest,
    ReversalRequest,
    SettlementCloseRequest,
    SettlementRequest,
)
from protocol.messages.money import TransactionKind
from protocol.messages.settlement import DifferenceKind, DifferenceRow, RecordStanding
from server.handlers import CALLS
from terminal_emulator.columns import columns
from terminal_emulator.effects import PrintReport, Send
from terminal_emulator.functions.settlement import _page as page_of
from terminal_emulator.functions.settlement import _settled as settled
from terminal_emulator.i18n import LANGUAGES
from terminal_emulator.keepsakes import Clock, OfflineMode, StopListHeld
from terminal_emulator.record import RecordState
from terminal_emulator.settled import Settlement, SettlementReport, Stage
from tests.server.settling import World, forged
from tests.terminal_emulator.functions.talk import till_of
from tests.terminal_emulator.functions.test_setup import LIMITS
from tests.terminal_emulator.till import NUMBER, Till, ToyHost, settings_of

SETTLE = "f1 0 1"
SETTLING = (SettlementRequest, SettlementCloseRequest, BatchUploadRequest, BatchEndRequest, DifferencesRequest)


class Host(ToyHost):
    """Settlements are answered by the real one, passwords by the toy."""

    def __init__(self, world):
        super().__init__()
        self.world = world

    def answer(self, number, request):
        return self.world.ask(request) if isinstance(request, SETTLING) else super().answer(number, request)


@pytest.fixture
def world():
    world = World()
    world.sell(1000, 250)
    yield world
    world.store.close()


@pytest.fixture
def host(world):
    return Host(world)


@pytest.fixture
def till(world):
    till = Till(world.till)
    till.online()
    return till


def reports(till):
    return [effect.report for effect in till.effects if isinstance(effect, PrintReport)]


def test_balanced_key_by_key(till, host):
    till.do(SETTLE, host)
    assert till.panel == ["Settlement", "Batch 000001", "Count 2", "Enter / Clear"]
    assert "beep ok" in till.do("enter", host)
    assert till.panel == ["Settlement", "Batch 000001", "Balanced", "Next 000002"]
    [slip] = reports(till)
    assert isinstance(slip, SettlementReport)
    assert (slip.batch, slip.is_balanced, slip.settlement) == (1, True, 1)
    assert [(row.count, row.charged_fen, row.host_count, row.host_fen) for row in slip.rows] == [(2, 1250, 2, 1250)]
    till.do("enter", host)
    assert till.screen == "idle"
    assert till.storage.records == {}


def test_it_says_what_it_is_doing(till, host):
    till.do(SETTLE, host)
    till.keys("enter")
    assert till.panel == ["Settling...", "Please wait", "Clear: cancel"]


def test_a_supervisor_sees_each_difference_and_closes_with_them(till, host, world):
    world.till.save(forged(7))
    del world.till.records[(1, 2)]
    till.do(f"{SETTLE} enter", host)
    assert till.panel == ["Not balanced", "Differences 2", "Look at each"]
    till.do("enter", host)
    assert till.panel == ["000002 1/2", "Sale", "Not in this till", "--/2.50"]
    till.do("down", host)
    assert till.panel == ["000007 2/2", "Sale", "Not at the host", "8.00/--"]
    till.do("enter", host)
    assert till.panel == ["Close the batch", "with these", "Differences 2", "Enter / Clear"]
    assert reports(till) == []
    till.do("enter", host)
    assert till.panel[0] == "Superv. password"
    till.do("999999 enter enter 123456 enter", host)
    assert till.panel == ["Settlement", "Batch 000001", "Not balanced", "Next 000002"]
    [slip] = reports(till)
    assert [row.difference for row in slip.differences] == [
        DifferenceKind.MISSING_AT_TERMINAL,
        DifferenceKind.MISSING_AT_HOST,
    ]


def test_clear_leaves_it_anywhere_and_the_key_goes_on(till, host, world):
    world.till.save(forged(7))
    till.do(f"{SETTLE} enter enter clear", host)
    assert till.screen == "idle"
    assert till.storage.settlement.stage is Stage.ACCEPT
    asked = len([effect for effect in till.effects if isinstance(effect, Send)])
    till.do(SETTLE, host)
    assert till.panel == ["Not balanced", "Differences 1", "Look at each"]
    assert len([effect for effect in till.effects if isinstance(effect, Send)]) == asked
    till.do("enter enter enter 123456 enter", host)
    assert till.panel[2] == "Not balanced"


def test_a_lost_line_loses_nothing(till, host, world):
    till.do(SETTLE, host)
    till.keys("enter")
    request = till.request
    host.answer(None, request)  # the host has closed it, and nobody hears of it
    till.offline()
    assert till.panel == ["Not yet settled", "Nothing is lost", "Settle again", "to go on"]
    assert len(till.storage.records) == 2
    till.do("enter", host)
    till.online(last=(2, 0))
    till.do(SETTLE, host)
    assert till.panel == ["Settlement", "Batch 000001", "Balanced", "Next 000002"]
    assert reports(till)[0].settlement == 1


def test_a_power_cut_loses_nothing(till, host, world):
    till.do(SETTLE, host)
    till.keys("enter")
    till.power_on()
    till.online()
    assert till.brain.view.is_settling, "the LCD says so at rest"
    till.do(SETTLE, host)
    assert till.panel == ["Settlement", "Batch 000001", "Balanced", "Next 000002"]
    assert not till.brain.view.is_settling


def test_a_host_that_cannot_write_decides_nothing(till, host):
    till.do(SETTLE, host)
    till.keys("enter")
    till.answer(CALLS[type(till.request)].undecided(till.request, "96"))
    assert till.panel[0] == "Not yet settled"
    assert till.storage.settlement.stage is Stage.TOTALS


def test_nothing_is_settled_while_something_is_open(till, host, world):
    world.till.save(replace(world.till.records[(1, 2)], state=RecordState.REVERSING))
    till.power_on()
    till.online()
    till.keys("f1 0 1")
    assert till.panel == ["Settlement", "Something is", "still open", "Try again soon"]
    assert till.storage.settlement is None


def test_a_reversal_that_the_host_refuses_does_not_block_settling_for_ever(till, host, world):
    world.till.save(replace(world.till.records[(1, 2)], state=RecordState.REVERSING))
    till.power_on()
    till.online()
    assert isinstance(till.request, ReversalRequest)
    till.answer(replace(host.answer(NUMBER, till.request), response_code="94"))
    till.do(SETTLE, host)
    assert till.panel[1:3] == ["Host refuses it", "It stays open"]
    assert till.panel[0].endswith("000002")
    till.do("enter", host)
    assert till.panel[0] == "Superv. password"
    till.do("123456 enter", host)
    assert till.panel == ["Settlement", "Batch 000001", "Count 1", "Enter / Clear"]
    assert world.till.records[(1, 2)].state is RecordState.REVERSING


def test_settling_says_that_offline_mode_is_what_it_waits_for(till, host, world):
    state = till.brain.till
    for kept in (LIMITS, StopListHeld(is_held=True), OfflineMode(is_on=True)):
        state.keep(kept)
    till.sell("3")
    till.keys("clear f1 0 1")
    assert till.panel == ["Settlement", "Offline mode", "is still on", "Switch it off"]
    state.keep(OfflineMode())
    till.keys("clear f1 0 1")
    assert till.panel[1:3] == ["Something is", "still open"]


def test_a_settlement_claims_the_clock_that_sign_on_has_set(till, host, world):
    till.brain.till.keep(Clock(86_400.0))
    till.do(f"{SETTLE} enter", host)
    assert till.storage.last_settlement.claimed_at_s == int(till.now.wall_s) + 86_400


def test_that_a_reversal_is_refused_is_known_after_a_power_cut(till, host, world):
    world.till.save(replace(world.till.records[(1, 2)], state=RecordState.REVERSING))
    till.power_on()
    till.online()
    refusal = replace(host.answer(NUMBER, till.request), response_code="94")
    till.answer(refusal)
    till.power_on()
    till.online()
    assert isinstance(till.request, ReversalRequest)
    till.answer(replace(refusal, response_code="09"))  # busy now; what it said before stands
    till.do(SETTLE, host)
    assert till.panel[1:3] == ["Host refuses it", "It stays open"]
    till.keys("clear")
    till.wait(3)
    till.answer(replace(refusal, response_code="00"))  # somebody has mended it there
    assert world.till.records[(1, 2)].state is RecordState.REVERSED
    assert (world.till.records[(1, 2)].is_refused, till.brain.till.refused) == (False, [])


def test_the_memory_does_not_grow_with_the_square_of_the_differences(till, world, monkeypatch):
    kept = []
    monkeypatch.setattr(type(world.till), "save_settlement", lambda _storage, state: kept.append(state))
    steps = settled(till.brain.till, Settlement(batch=1, operator=7, claimed_at_s=1, stage=Stage.DIFFERENCES))
    prompt = next(steps)
    for page in range(1, 41):
        assert prompt.message == DifferencesRequest(batch=1, page=page)
        row = DifferenceRow(
            stan=page,
            rrn=1,
            kind=TransactionKind.SALE,
            difference=DifferenceKind.MISSING_AT_HOST,
            terminal_standing=RecordStanding.APPROVED,
            terminal_fen=1250,
            host_standing=0,
            host_fen=0,
        )
        prompt = steps.send(DifferencesAnswer(response_code="00", batch=1, page=page, pages=40, differences=(row,)))
    assert [(one.stage, len(one.differences)) for one in kept] == [(Stage.ACCEPT, 40)]


def test_without_a_line_there_is_no_settlement(till, host):
    till.offline()
    till.do(SETTLE, host)
    assert till.panel == ["Line lost", "Check the cable"]
    assert till.storage.settlement is None


def test_what_is_sold_meanwhile_is_settled_the_next_time(till, host, world):
    world.till.save(forged(7))
    till.do(f"{SETTLE} enter clear", host)
    world.sell(300)
    till.do(SETTLE, host)
    till.do("enter enter enter 123456 enter enter", host)
    assert till.screen == "idle"
    assert [*till.storage.records] == [(2, 1)]
    till.do(f"{SETTLE} enter", host)
    assert till.panel == ["Settlement", "Batch 000002", "Balanced", "Next 000003"]


def test_several_batches_are_settled_in_one_go(till, host, world):
    world.till.skip_to(2, 0)
    world.sell(300)
    till.do(f"{SETTLE} enter", host)
    assert till.panel == ["Settlement", "Batch 000001", "Balanced", "Next 000002"]
    till.do("enter", host)
    assert till.panel == ["Settlement", "Batch 000002", "Balanced", "Next 000003"]
    assert [slip.batch for slip in reports(till)] == [1, 2]


def test_a_batch_closed_by_others_is_for_the_supervisor(till, host, world):
    copy = dict(world.till.records)
    till.do(f"{SETTLE} enter enter", host)
    till.storage.records.update(copy)  # a memory that was put back
    till.wait(5)
    till.do(f"{SETTLE} enter", host)
    assert till.panel == ["Batch 000001", "Closed already", "by another", "settlement"]
    till.do("enter 123456 enter", host)
    assert till.panel[2] == "Not balanced"
    assert till.storage.records == {}


def test_the_slip_comes_once_more(till, host):
    till.do("f1 0 4 4", host)
    assert till.panel == ["Settlement", "None so far"]
    till.do(f"enter {SETTLE} enter enter", host)
    till.power_on()
    till.online()
    till.do("f1 0 4 4", host)
    assert till.panel == ["Settlement", "Batch 000001", "Printed"]
    first, again = reports(till)
    assert (first.is_reprint, again.is_reprint) == (False, True)
    assert replace(again, is_reprint=False, merchant=first.merchant) == first


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits(language, world):
    world.till.save(forged(7))
    till = Till(world.till, settings=settings_of(language=language))
    till.online()
    host = Host(world)
    for keys in (SETTLE, "enter", "enter", "enter", "enter", "123456 enter"):
        till.do(keys, host)
        assert till.panel
        assert max(map(columns, till.panel)) <= 16


def test_the_total_of_the_day_goes_on_behind_a_settlement(till, host):
    till.keys("enter clear 5")
    before = till.panel
    assert before[0] == "Day total"
    till.keys("clear")
    till.do(f"{SETTLE} enter enter clear clear", host)
    assert till.storage.last_settlement is not None
    till.keys("clear 5")
    assert till.panel == before


def test_a_settlement_goes_on_only_when_a_restored_host_has_its_records_back(till, host):
    till.keys(f"{SETTLE} enter")
    assert isinstance(till.request, SettlementRequest)
    till.offline()
    till.keys("clear clear")
    till.online(last=(0, 0), history=2, restored_at_s=99)
    assert till.brain.view.upload is not None
    till.keys(SETTLE)
    assert till.panel[:3] == ["Settlement", "Something is", "still open"]


def difference(kind, here, there):
    approved = RecordStanding.APPROVED
    return DifferenceRow(1, DifferenceKind.AMOUNT, kind, approved, here, approved, there, 1)


def test_the_sums_of_a_difference_are_whole_and_points_are_no_yuan():
    till = till_of()
    most = difference(TransactionKind.TOPUP, 1_234_567, 1_234_500)
    assert page_of(till, most, "1/9") == ("000001 1/9", "金额不符", "本机    12345.67", "主机    12345.00")
    assert page_of(till, difference(TransactionKind.POINTS_SALE, 50, 49), "1/9")[3] == "50/49"
