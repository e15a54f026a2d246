"""Every kind of money request over real sessions of a real host, with its copy, its query, its reversal, its upload."""

from __future__ import annotations

import msgspec
import pytest

from protocol.messages import (
    BalanceRequest,
    CardStatus,
    CompletionRequest,
    CompletionVoidRequest,
    EntryMode,
    LookupRequest,
    PointsSaleRequest,
    PointsVoidRequest,
    PreAuthRequest,
    PreAuthVoidRequest,
    RefundRequest,
    SaleRequest,
    TopUpRequest,
    TopUpVoidRequest,
    TransactionKind,
    TransactionState,
    UploadRequest,
    UploadVerdict,
    VoidRequest,
)
from server.handlers import money
from server.ledger.verify import verify
from server.upkeep import expire_due_holds
from tests.server.host import CARD, OTHER_CARD, START_FEN, open_host
from tests.wire import query_of, reversal_of

DAY_MS = 86_400_000
ORIGINALS = {
    VoidRequest: SaleRequest,
    RefundRequest: SaleRequest,
    PreAuthVoidRequest: PreAuthRequest,
    CompletionRequest: PreAuthRequest,
    CompletionVoidRequest: CompletionRequest,
    TopUpVoidRequest: TopUpRequest,
    PointsVoidRequest: PointsSaleRequest,
}
"""What each follow-up is about."""

each_request = pytest.mark.parametrize("request_type", list(money.KINDS), ids=lambda kind: kind.__name__)


class Counter:
    """A terminal with an open session, and what is asked at it."""

    def __init__(self, rig, till, line):
        self.rig, self.till, self.line = rig, till, line

    def new(self, request_type, amount_fen=500, of=None, **changes):
        """A request of this kind that is going to be approved; its original is asked for first."""
        if request_type in ORIGINALS and of is None:
            raise AssertionError("name its original")
        sale = self.till.sale(CARD, amount_fen)
        said = {name: getattr(sale, name) for name in SaleRequest.__struct_fields__}
        if of is not None:
            said |= {"original_batch": of.batch, "original_stan": of.stan}
        return request_type(**said | changes)

    async def made(self, request_type, amount_fen=500):
        """A request of this kind, not asked yet, after all that has to be there before it."""
        of = ORIGINALS.get(request_type)
        if of is None:
            return self.new(request_type, amount_fen)
        original = await self.made(of, amount_fen)
        assert (await self.line.ask(original)).response_code == "00"
        return self.new(request_type, amount_fen, of=original)


def assert_whole(rig):
    assert [check for check in verify(rig.store) if not check.ok] == []


async def counter_of(rig, **rates):
    """One that earns and takes points, and a card that has some."""
    rig.host.admin.perform("points.set", {"fen_per_point": 1, **rates})
    rig.host.admin.perform("parameter.set", {"name": "check_passwords", "value": 0})
    till = rig.enrol()
    counter = Counter(rig, till, await rig.sign_on(till))
    assert (await counter.line.ask(till.sale(CARD, 2000))).points == 2000
    return counter


@each_request
async def test_it_is_approved_and_a_copy_is_the_same_and_a_query_finds_it(request_type):
    async with open_host() as rig:
        counter = await counter_of(rig)
        request = await counter.made(request_type)
        answer = await counter.line.ask(request)
        assert (answer.response_code, answer.amount_fen) == ("00", 500)
        rows = rig.transfers()
        rig.clock.ms += 5_000
        assert await counter.line.ask(request) == answer
        found = await counter.line.ask(query_of(request))
        assert (found.state, found.response_code, found.rrn) == (TransactionState.APPROVED, "00", answer.rrn)
        assert (found.charged_fen, found.points, found.balance_fen) == (
            answer.charged_fen,
            answer.points,
            answer.balance_fen,
        )
        other = await counter.line.ask(msgspec.structs.replace(request, operator=9))
        assert other.response_code == "94"
        assert rig.transfers() == rows
        assert_whole(rig)


@each_request
async def test_its_reversal_puts_everything_back(request_type):
    async with open_host() as rig:
        counter = await counter_of(rig)
        request = await counter.made(request_type)
        balance = BalanceRequest(payer=CARD)
        before = await counter.line.ask(balance)
        await counter.line.ask(request)
        undone = await counter.line.ask(reversal_of(request))
        assert undone.response_code == "00"
        assert await counter.line.ask(balance) == before
        assert (await counter.line.ask(query_of(request))).state is TransactionState.REVERSED
        assert_whole(rig)


@each_request
async def test_a_reversal_that_comes_first_declines_it(request_type):
    async with open_host() as rig:
        counter = await counter_of(rig)
        request = await counter.made(request_type)
        before = await counter.line.ask(BalanceRequest(payer=CARD))
        assert (await counter.line.ask(reversal_of(request))).response_code == "00"
        assert (await counter.line.ask(request)).response_code == "68"
        assert await counter.line.ask(BalanceRequest(payer=CARD)) == before


@each_request
async def test_what_a_lost_host_had_approved_comes_back(request_type):
    """The host is restored to the moment before the request; its terminal uploads it, and later sends it again."""
    async with open_host() as rig:
        counter = await counter_of(rig)
        request = await counter.made(request_type)
        rig.host.ledger.open_history(rig.clock.ms)
        kind = money.KINDS[request_type]
        said = msgspec.structs.asdict(request)
        upload = UploadRequest(
            **{name: said[name] for name in UploadRequest.__struct_fields__ if name in said},
            kind=kind,
            charged_fen=500,
            points=500 if kind in (TransactionKind.POINTS_SALE, TransactionKind.POINTS_VOID) else 0,
            rrn=900,
            balance_fen=5,
            posted_at_ms=rig.clock.ms,
        )
        answer = await counter.line.ask(upload)
        assert (answer.verdict, answer.response_code) == (UploadVerdict.RESTORED, "00")
        assert (await counter.line.ask(upload)).verdict is UploadVerdict.KNOWN
        assert (await counter.line.ask(request)).rrn == answer.rrn, "it stands for the request in everything"
        assert (await counter.line.ask(query_of(request))).state is TransactionState.APPROVED
        assert_whole(rig)


# --- Look-up and balance


async def test_a_look_up_shows_what_is_left_of_a_sale():
    async with open_host() as rig:
        counter = await counter_of(rig)
        sale = counter.new(SaleRequest, 1000)
        answer = await counter.line.ask(sale)
        by_numbers = LookupRequest(original_batch=sale.batch, original_stan=sale.stan)
        found = await counter.line.ask(by_numbers)
        assert (found.response_code, found.state, found.kind) == ("00", TransactionState.APPROVED, TransactionKind.SALE)
        assert (found.amount_fen, found.charged_fen, found.remaining_fen) == (1000, 1000, 1000)
        assert (found.original_terminal, found.original_stan) == (counter.till.number.to_int(), sale.stan)
        assert (found.rrn, found.business_day) == (answer.rrn, rig.host.ledger.business_day)
        assert await counter.line.ask(LookupRequest(rrn=answer.rrn)) == found
        assert (await counter.line.ask(counter.new(RefundRequest, 300, of=sale))).response_code == "00"
        assert (await counter.line.ask(by_numbers)).remaining_fen == 700
        assert (await counter.line.ask(counter.new(RefundRequest, 701, of=sale))).response_code == "61"


async def test_another_merchants_transactions_are_not_shown():
    async with open_host() as rig:
        counter = await counter_of(rig)
        sale = counter.new(SaleRequest)
        answer = await counter.line.ask(sale)
        other_id = rig.host.admin.merchants.add("二食堂")["merchant_id"]
        own_id, rig.merchant_id = rig.merchant_id, other_id
        stranger = await rig.sign_on(rig.enrol())
        rig.merchant_id = own_id
        colleague = await rig.sign_on(rig.enrol())
        asked = LookupRequest(
            original_terminal=counter.till.number.to_int(), original_batch=sale.batch, original_stan=sale.stan
        )
        assert (await colleague.ask(asked)).response_code == "00"
        for request in (asked, LookupRequest(rrn=answer.rrn), LookupRequest(rrn=2**64 - 1), LookupRequest()):
            found = await stranger.ask(request)
            assert (found.response_code, found.amount_fen, found.rrn) == ("25", 0, 0)


async def test_a_balance_tells_what_is_held_and_points_and_why_a_card_may_not_pay():
    async with open_host() as rig:
        counter = await counter_of(rig)
        assert (await counter.line.ask(counter.new(PreAuthRequest, 1500))).response_code == "00"
        answer = await counter.line.ask(BalanceRequest(payer=CARD))
        assert (answer.response_code, answer.card_status) == ("00", CardStatus.ACTIVE)
        assert (answer.balance_fen, answer.held_fen, answer.points) == (START_FEN - 3500, 1500, 2000)
        rig.host.admin.cards.lost(CARD.hex())
        answer = await counter.line.ask(BalanceRequest(payer=CARD))
        assert (answer.response_code, answer.card_status, answer.balance_fen) == ("41", CardStatus.LOST, 0)
        assert (await counter.line.ask(BalanceRequest(payer=b"\1"))).response_code == "14"
        assert rig.balance_fen(OTHER_CARD) == START_FEN


async def test_an_inquiry_does_not_use_up_a_code():
    async with open_host() as rig:
        counter = await counter_of(rig)
        rig.host.admin.perform("virtual_card.issue", {"student_number": "S1"})
        code = rig.host.admin.perform("virtual_card.code", {"card": "S1"})["code"].encode()
        shown = BalanceRequest(payer=code, entry_mode=EntryMode.CODE)
        assert [(await counter.line.ask(shown)).response_code for _ in range(2)] == ["00", "00"]
        sale = counter.new(SaleRequest, payer=code, entry_mode=EntryMode.CODE)
        assert (await counter.line.ask(sale)).response_code == "00"


# --- What the host does by itself


async def test_a_hold_whose_time_is_over_is_freed():
    async with open_host() as rig:
        counter = await counter_of(rig)
        preauth = counter.new(PreAuthRequest, 1500)
        assert (await counter.line.ask(preauth)).response_code == "00"
        balance_fen = rig.balance_fen()
        assert await expire_due_holds(rig.gate) == 0
        rig.clock.ms += 31 * DAY_MS
        assert await expire_due_holds(rig.gate) == 1500
        assert await expire_due_holds(rig.gate) == 0
        assert rig.balance_fen() == balance_fen + 1500
        late = counter.new(CompletionRequest, 1500, of=preauth)
        assert (await counter.line.ask(late)).response_code == "F4"
        assert_whole(rig)
