"""Sign-on, passwords, tellers, parameters and prices: asked over a real session of a real host."""

from __future__ import annotations

import pytest

from protocol.messages import (
    OperatorRole,
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
    SignOnAnswer,
    SignOnRequest,
)
from server.ledger.devices import Devices, EventKind
from server.ledger.operators import WRONG_TRIES_MAX
from tests.server.host import BUSINESS_DAY, CARD, MERCHANT, START_MS, open_host

SIGN_ON = SignOnRequest(operator=1, password="0000")


def events(rig, till):
    found = Devices(rig.store).events(till.number.to_int(), before=1_000_000, limit=50)
    return [(event.kind, event.detail) for event in found if event.kind >= EventKind.SIGNED_ON]


async def test_sign_on_brings_what_the_day_needs():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        answer = await line.ask(SIGN_ON)
        assert answer == SignOnAnswer(
            response_code="00",
            role=OperatorRole.TELLER,
            must_change=1,
            host_time_ms=START_MS,
            business_day=BUSINESS_DAY,
            batch=1,
            config_version=rig.host.admin.config_version(),
            merchant_number=rig.merchant_id,
            merchant_name=MERCHANT,
        )
        assert events(rig, till) == [(EventKind.SIGNED_ON, "operator 01")]


async def test_the_supervisor_is_one():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        answer = await line.ask(SignOnRequest(operator=0, password="123456"))
        assert (answer.response_code, answer.role) == ("00", OperatorRole.SUPERVISOR)


async def test_the_batch_is_that_of_the_newest_transaction():
    async with open_host() as rig:
        till = rig.enrol()
        till.batch = 7
        line = await rig.sign_on(till)
        await line.ask(till.sale(CARD))
        assert (await line.ask(SIGN_ON)).batch == 7


@pytest.mark.parametrize(
    "request_", [SignOnRequest(operator=1, password="1"), SignOnRequest(operator=77, password="0000")]
)
async def test_a_refused_sign_on_tells_nothing(request_):
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        assert await line.ask(request_) == SignOnAnswer(response_code="55")


async def test_a_lock_holds_in_every_session_and_after_a_restart_and_is_in_the_terminals_log():
    async with open_host() as rig:
        till, other = rig.enrol(), rig.enrol()
        line = await rig.sign_on(till)
        codes = [
            (await line.ask(SignOnRequest(operator=1, password="9"))).response_code for _ in range(WRONG_TRIES_MAX)
        ]
        assert codes == ["55"] * (WRONG_TRIES_MAX - 1) + ["75"]
        assert (await line.ask(SIGN_ON)).response_code == "75"
        assert (await (await rig.sign_on(other)).ask(SIGN_ON)).response_code == "75"
        assert [kind for kind, _ in events(rig, till)] == [
            EventKind.OPERATOR_LOCKED,
            EventKind.OPERATOR_LOCKED,
            *[EventKind.PASSWORD_WRONG] * (WRONG_TRIES_MAX - 1),
        ]
        assert {detail for _, detail in events(rig, till)} == {"operator 01"}
        async with open_host(store=rig.store) as again:
            assert (await (await again.sign_on(till)).ask(SIGN_ON)).response_code == "75"


async def test_a_revoked_terminal_and_a_closed_merchant():
    async with open_host() as rig:
        till = rig.enrol()
        rig.host.admin.terminals.revoke(str(till.number))
        assert (await rig.host.service.handle(till.number, SIGN_ON)).response_code == "58"
        other = rig.enrol()
        rig.host.admin.merchants.close(rig.merchant_id)
        assert (await rig.host.service.handle(other.number, SIGN_ON)).response_code == "03"


async def test_a_full_disk_decides_nothing_and_lets_nobody_guess():
    """A wrong password that cannot be counted is not looked at."""
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        rig.fill_disk()
        codes = [(await line.ask(SignOnRequest(operator=1, password=f"9{n:03}"))).response_code for n in range(20)]
        decided = [code for code in codes if code != "96"]
        rig.free_disk()
        [(tries,)] = rig.store.execute("SELECT tries FROM operators WHERE operator = 1")
        assert tries == min(len(decided), WRONG_TRIES_MAX)
        assert decided.count("55") < WRONG_TRIES_MAX


async def test_passwords_of_the_merchant():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())

        async def check(purpose, password, operator=0):
            answer = await line.ask(PasswordRequest(purpose=purpose, operator=operator, password=password))
            return answer.response_code, answer.must_change

        async def change(purpose, old, new, operator=0):
            request = PasswordChangeRequest(purpose=purpose, operator=operator, old_password=old, new_password=new)
            return (await line.ask(request)).response_code

        assert await check(PasswordPurpose.SUPERVISOR, "123456") == ("00", 1)
        assert await check(PasswordPurpose.RECHARGE, "111111") == ("00", 1)
        assert await check(PasswordPurpose.OPERATOR, "0000", 1) == ("00", 1)
        assert await check(PasswordPurpose.RECHARGE, "123456") == ("55", 0)
        assert await change(PasswordPurpose.RECHARGE, "111111", "222222") == "00"
        assert await check(PasswordPurpose.RECHARGE, "222222") == ("00", 0)
        assert await change(PasswordPurpose.SUPERVISOR, "123456", "12") == "F5"
        assert await change(PasswordPurpose.OPERATOR, "0000", "4711", 1) == "00"
        assert (await line.ask(SignOnRequest(operator=1, password="4711"))).must_change == 0
