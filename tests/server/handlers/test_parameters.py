"""Parameters: what is in force for one terminal, and the version by which it knows that there is something new."""

from __future__ import annotations

from protocol.messages import Meal, ParametersRequest, Profile
from tests.server.host import open_host
from tests.wire import ECHO

ASK = ParametersRequest()


async def test_the_narrowest_counts_and_the_rest_is_the_programs_own():
    async with open_host() as rig:
        rig.host.admin.perform("parameter.set", {"name": "profile", "value": 1, "merchant_id": rig.merchant_id})
        till, other = rig.enrol(), rig.enrol()
        rig.host.admin.perform("parameter.set", {"name": "profile", "value": 0, "terminal": str(other.number)})
        answer = await (await rig.sign_on(till)).ask(ASK)
        assert (answer.response_code, answer.profile, answer.repeat_guard) == ("00", Profile.MEMBER, 1)
        assert answer.sale_limit_fen == rig.host.config.rules.sale_limit_fen
        assert answer.utc_offset_minutes == rig.host.config.day.utc_offset_minutes == 480
        assert answer.refund_days == 180
        assert answer.offline_count_limit > 0
        assert (await (await rig.sign_on(other)).ask(ASK)).profile is Profile.CANTEEN


async def test_meals_in_the_order_of_the_day():
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        rig.host.admin.perform("meal.set", {"meal_id": 2, "name": "午餐", "start_minute": 630, "end_minute": 810})
        rig.host.admin.perform("meal.set", {"meal_id": 1, "name": "早餐", "start_minute": 360, "end_minute": 540})
        assert (await line.ask(ASK)).meals == (
            Meal(meal=1, start_minute=360, end_minute=540, name="早餐"),
            Meal(meal=2, start_minute=630, end_minute=810, name="午餐"),
        )


async def test_a_change_is_seen_by_its_version_everywhere():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        before = (await line.ask(ECHO)).config_version
        assert (await line.ask(ASK)).config_version == before
        rig.host.admin.perform("parameter.set", {"name": "repeat_guard", "value": 0})
        after = (await line.ask(ECHO)).config_version
        assert after > before
        answer = await line.ask(ASK)
        assert (answer.config_version, answer.repeat_guard) == (after, 0)
        again = rig.line(till)
        assert (await again.shake_hands()).config_version == after
        async with open_host(store=rig.store) as restarted:
            assert (await (await restarted.sign_on(till)).ask(ECHO)).config_version == after
