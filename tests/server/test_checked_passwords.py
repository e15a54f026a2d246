"""Voids, refunds and top-ups over real sessions: refused without the password that was checked just before, and what
the host may have decided already is never refused for one."""

from __future__ import annotations

import msgspec

from protocol.messages import (
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
    RefundRequest,
    SaleRequest,
    TopUpRequest,
    TopUpVoidRequest,
    VoidRequest,
)
from server.permits import PERMIT_LIFETIME_S
from tests.server.host import CARD, START_FEN, open_host

SUPERVISOR = PasswordRequest(purpose=PasswordPurpose.SUPERVISOR, password="123456")
RECHARGE = PasswordRequest(purpose=PasswordPurpose.RECHARGE, password="111111")


class Desk:
    """One terminal with an open session at a host that checks passwords, as it does from the start."""

    def __init__(self, rig, till, line):
        self.rig, self.till, self.line = rig, till, line

    def new(self, kind, of=None, amount_fen=500):
        sale = self.till.sale(CARD, amount_fen)
        said = {name: getattr(sale, name) for name in SaleRequest.__struct_fields__}
        return kind(**said | ({} if of is None else {"original_batch": of.batch, "original_stan": of.stan}))

    async def code(self, message):
        return (await self.line.ask(message)).response_code

    async def sold(self):
        sale = self.till.sale(CARD, 500)
        assert await self.code(sale) == "00"
        return sale


async def desk_of(rig):
    till = rig.enrol()
    return Desk(rig, till, await rig.sign_on(till))


async def test_without_its_password_nothing_moves_and_copies_are_told_the_same():
    async with open_host() as rig:
        desk = await desk_of(rig)
        sale = await desk.sold()
        void, refund, topup = desk.new(VoidRequest, sale), desk.new(RefundRequest, sale), desk.new(TopUpRequest)
        for request in (void, refund, topup):
            first = await desk.line.ask(request)
            assert (first.response_code, first.charged_fen, first.balance_fen) == ("F7", 0, START_FEN - 500)
            assert await desk.line.ask(request) == first
        assert rig.balance_fen() == START_FEN - 500
        assert await desk.code(SUPERVISOR) == "00"
        assert await desk.code(void) == "F7", "what was refused stays so: it is keyed in again"
        assert await desk.code(desk.new(VoidRequest, sale)) == "00"
        assert rig.balance_fen() == START_FEN


async def test_one_password_one_request():
    async with open_host() as rig:
        desk = await desk_of(rig)
        sales = [await desk.sold() for _ in range(2)]
        assert await desk.code(SUPERVISOR) == "00"
        assert [await desk.code(desk.new(VoidRequest, sale)) for sale in sales] == ["00", "F7"]


async def test_each_kind_its_own_password_and_the_void_of_a_top_up_both():
    async with open_host() as rig:
        desk = await desk_of(rig)
        assert await desk.code(SUPERVISOR) == "00"
        assert await desk.code(desk.new(TopUpRequest)) == "F7"
        assert await desk.code(RECHARGE) == "00"
        paid_in = desk.new(TopUpRequest)
        assert await desk.code(paid_in) == "00"
        assert await desk.code(desk.new(TopUpVoidRequest, paid_in)) == "F7", "the supervisor's alone"
        assert await desk.code(RECHARGE) == "00"
        assert await desk.code(desk.new(TopUpVoidRequest, paid_in)) == "00"


async def test_a_wrong_password_or_another_terminals_allows_nothing():
    async with open_host() as rig:
        desk, other = await desk_of(rig), await desk_of(rig)
        sale = await desk.sold()
        assert await desk.code(msgspec.structs.replace(SUPERVISOR, password="999999")) == "55"
        assert await other.code(SUPERVISOR) == "00"
        assert await desk.code(desk.new(VoidRequest, sale)) == "F7"


async def test_a_password_that_was_just_changed_is_checked_too():
    async with open_host() as rig:
        desk = await desk_of(rig)
        sale = await desk.sold()
        change = PasswordChangeRequest(purpose=PasswordPurpose.SUPERVISOR, old_password="123456", new_password="654321")
        assert await desk.code(change) == "00"
        assert await desk.code(desk.new(VoidRequest, sale)) == "00"


async def test_what_is_decided_needs_no_password_any_more():
    """Its copies come from another session, after another password, or when there is none left."""
    async with open_host() as rig:
        desk = await desk_of(rig)
        sale = await desk.sold()
        assert await desk.code(SUPERVISOR) == "00"
        refund = desk.new(RefundRequest, sale, 200)
        first = await desk.line.ask(refund)
        desk.line = await rig.sign_on(desk.till)
        assert await desk.line.ask(refund) == first
        assert await desk.code(SUPERVISOR) == "00"
        assert await desk.line.ask(refund) == first
        assert await desk.code(desk.new(RefundRequest, sale, 300)) == "00", "the copy has not used the password up"


async def test_a_refund_that_a_full_disk_kept_waiting_is_carried_out_however_late(autojump_clock):
    async with open_host() as rig:
        desk = await desk_of(rig)
        sale = await desk.sold()
        assert await desk.code(SUPERVISOR) == "00"
        refund = desk.new(RefundRequest, sale)
        handle = rig.host.service.handle
        rig.fill_disk()
        codes = ["00"]
        while codes[-1] == "00":  # until the pages that are there are full
            codes.append((await handle(desk.till.number, desk.till.sale(CARD, 1))).response_code)
        assert (codes[-1], (await handle(desk.till.number, refund)).response_code) == ("96", "96")
        rig.free_disk()
        autojump_clock.jump(2 * PERMIT_LIFETIME_S)
        answers = [(await handle(desk.till.number, refund)).response_code]
        while answers[-1] == "96":
            autojump_clock.jump(1.0)
            answers.append((await handle(desk.till.number, refund)).response_code)
        assert answers[-1] == "00"
        assert rig.balance_fen() == START_FEN - codes.count("00") + 1


async def test_a_merchant_may_do_without():
    async with open_host() as rig:
        desk = await desk_of(rig)
        rig.host.admin.perform("parameter.set", {"name": "check_passwords", "value": 0, "merchant_id": rig.merchant_id})
        assert await desk.code(desk.new(TopUpRequest)) == "00"


async def test_a_restarted_host_has_forgotten_the_password_but_not_what_it_has_decided():
    async with open_host() as rig:
        desk = await desk_of(rig)
        sale = await desk.sold()
        assert await desk.code(SUPERVISOR) == "00"
        refund = desk.new(RefundRequest, sale, 200)
        first = await desk.line.ask(refund)
        assert await desk.code(SUPERVISOR) == "00"
        async with open_host(store=rig.store) as restarted:
            desk.line = await restarted.sign_on(desk.till)
            assert await desk.line.ask(refund) == first
            assert await desk.code(desk.new(RefundRequest, sale, 300)) == "F7"
            assert await desk.code(SUPERVISOR) == "00"
            assert await desk.code(desk.new(RefundRequest, sale, 300)) == "00"
