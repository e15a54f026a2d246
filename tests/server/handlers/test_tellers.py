"""Tellers: what the supervisor may do from the keypad, and nobody else."""

from __future__ import annotations

from protocol.messages import (
    PasswordChangeRequest,
    PasswordPurpose,
    SignOnRequest,
    TellerAction,
    TellerAnswer,
    TellerRequest,
)
from server.ledger.operators import WRONG_TRIES_MAX
from tests.server.host import open_host


def request_of(action, operator=0, password="123456", **more):
    return TellerRequest(action=action, operator=operator, supervisor_password=password, **more)


async def test_a_teller_is_added_signs_on_and_is_deleted():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        added = await line.ask(request_of(TellerAction.ADD, 2, name="张三", new_password="4711"))
        assert added == TellerAnswer(response_code="00", operator=2, name="张三")
        first = await line.ask(SignOnRequest(operator=2, password="4711"))
        assert (first.response_code, first.operator_name, first.must_change) == ("00", "张三", 1)
        assert (await line.ask(request_of(TellerAction.DELETE, 2))).response_code == "00"
        assert (await line.ask(SignOnRequest(operator=2, password="4711"))).response_code == "55"
        assert (await line.ask(request_of(TellerAction.DELETE, 2))).response_code == "25"


async def test_who_came_and_went_is_in_the_history():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        await line.ask(request_of(TellerAction.ADD, 2, name="张三", new_password="4711"))
        await line.ask(request_of(TellerAction.ADD, 2))
        await line.ask(request_of(TellerAction.NEXT))
        await line.ask(request_of(TellerAction.DELETE, 2))
        for old in ("123456", "111111"):  # the wrong one changes nothing
            await line.ask(
                PasswordChangeRequest(purpose=PasswordPurpose.RECHARGE, old_password=old, new_password="271828")
            )
        found = rig.host.admin.perform("history.listing", {"what": "operator"})
        assert [(row["who"], row["what"], row["old"], row["new"]) for row in found] == [
            ("terminal 3-1", "operator recharge of merchant 1", "a password", "another password"),
            ("terminal 3-1", "operator 02 of merchant 1", "teller 张三", ""),
            ("terminal 3-1", "operator 02 of merchant 1", "", "teller 张三"),
        ]


async def test_without_a_password_a_new_teller_has_the_factory_one():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        assert (await line.ask(request_of(TellerAction.ADD, 3))).response_code == "00"
        assert (await line.ask(SignOnRequest(operator=3, password="0000"))).must_change == 1


async def test_the_list_goes_from_number_to_number():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        await line.ask(request_of(TellerAction.ADD, 40, name="李四"))
        found, number = [], 0
        while (answer := await line.ask(request_of(TellerAction.NEXT, number))).response_code == "00":
            number = answer.operator
            found.append((number, answer.name))
        assert (found, answer.response_code) == ([(1, ""), (40, "李四")], "25")


async def test_what_may_not_be_added_or_deleted():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        before = rig.store.execute("SELECT * FROM operators ORDER BY 1, 2")
        for number, password in ((1, "4711"), (0, "4711"), (5, "123"), (5, "abcd")):
            answer = await line.ask(request_of(TellerAction.ADD, number, new_password=password))
            assert answer.response_code == "F5"
        assert (await line.ask(request_of(TellerAction.DELETE, 0))).response_code == "25", "the supervisor stays"
        assert rig.store.execute("SELECT * FROM operators ORDER BY 1, 2") == before


async def test_it_takes_the_supervisors_password_and_wrong_ones_lock_it():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        requests = [request_of(action, 2, "0000") for action in TellerAction] * WRONG_TRIES_MAX
        codes = [(await line.ask(request)).response_code for request in requests[:WRONG_TRIES_MAX]]
        assert codes == ["55"] * (WRONG_TRIES_MAX - 1) + ["75"]
        assert (await line.ask(request_of(TellerAction.NEXT))).response_code == "75"
        assert rig.store.execute("SELECT count(*) FROM operators")[0][0] == 3


async def test_another_merchants_tellers_are_its_own():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        await line.ask(request_of(TellerAction.ADD, 2, new_password="4711"))
        rig.merchant_id = rig.host.admin.merchants.add("二食堂")["merchant_id"]
        other = await rig.sign_on(rig.enrol())
        assert (await other.ask(SignOnRequest(operator=2, password="4711"))).response_code == "55"


async def test_a_full_disk_changes_nothing():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        rig.fill_disk()
        codes = {
            (await line.ask(request_of(TellerAction.ADD, number, name="王五" * 4))).response_code
            for number in range(2, 100)
        }
        assert codes == {"00", "96"}, "some still find room"
        rig.free_disk()
        assert (await line.ask(request_of(TellerAction.NEXT))).response_code == "00"
