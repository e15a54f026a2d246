"""Changing a terminal's root key, at the host: which keys open a session when, and what a key request is answered."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from protocol.messages import Auth, Challenge, EchoAnswer, KeyAnswer, KeyRequest, Reject
from protocol.messages.key_change import NO_WRAPPED_KEY
from protocol.security import root_key_from_enrol_code, unwrap_root_key
from server.ledger.store import StoreBroken
from server.session import BURST_S
from tests.server.host import CARD, START_MS, open_host
from tests.wire import ECHO, Till


def terminals(rig):
    return rig.host.admin.terminals


def record(rig, till):
    return rig.host.registry.find_terminal(till.number.to_int())


def rotate(rig, till, *, now=False) -> Till:
    """The same terminal with the key that waits for it."""
    [made] = terminals(rig).rotate(str(till.number), 1, now)
    following = rig.host.admin.next_key(till.number.to_int(), made["next_key_version"])
    root_key = unwrap_root_key(till.root_key, till.number, made["next_key_version"], following)
    return Till(till.number, root_key, made["next_key_version"])


async def opens(rig, till) -> bool:
    """Whether a handshake with this key succeeds. If not, the host's part of it ends without a word after AUTH."""
    line = rig.line(till)
    await line.say(till.hello())
    try:
        challenge = await line.hear()
    except Exception:  # proved with a key that is not ours: what a wrong key looks like from outside
        return False
    assert isinstance(challenge, Challenge)
    await line.say(Auth())
    return not await line.is_over()


async def test_ready_names_it_and_the_answer_carries_it():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        made = terminals(rig).rotate(str(till.number))
        assert made == [{"terminal": str(till.number), "key_version": 1, "next_key_version": 2}]
        assert terminals(rig).listing()[0]["state"] == "enrolled, new key waits"
        line = rig.line(till)
        assert (await line.shake_hands()).next_key_version == 2
        answer = await line.ask(KeyRequest(key_version=2))
        assert isinstance(answer, KeyAnswer)
        assert (answer.response_code, answer.key_version) == ("00", 2)
        root_key = unwrap_root_key(till.root_key, till.number, 2, answer.wrapped_key)
        assert rig.host.admin.terminals._desk.keys.unwrap(record(rig, till).next_wrapped_key) == root_key
        assert await line.ask(KeyRequest(key_version=2)) == answer
        following = rig.line(Till(till.number, root_key, 2))
        assert (await following.shake_hands()).next_key_version == 0
        found = record(rig, till)
        assert (found.key_version, found.waiting_version, found.key_made_at_ms) == (2, 0, START_MS)
        assert await line.is_over()


async def test_either_key_opens_until_one_is_proved():
    async with open_host() as rig:
        till = rig.enrol()
        following = rotate(rig, till)
        assert await opens(rig, till)
        assert await opens(rig, till)
        assert await opens(rig, following)
        assert not await opens(rig, till)
        assert await opens(rig, following)


async def test_a_key_is_proved_by_auth_and_not_by_hello():
    async with open_host() as rig:
        till = rig.enrol()
        following = rotate(rig, till)
        before = record(rig, till)
        stranger = Till(till.number, bytes(32), following.key_version)
        assert not await opens(rig, stranger)
        line = rig.line(following)
        await line.ask(following.hello())
        await line.stream.aclose()
        await wait_all_tasks_blocked()
        assert record(rig, till) == before
        assert await opens(rig, till)


async def test_nobody_stays_connected_under_the_old_key():
    """Neither in a session, nor in a handshake that had got its challenge before."""
    async with open_host() as rig:
        till = rig.enrol()
        following = rotate(rig, till)
        session = await rig.sign_on(till)
        handshake = rig.line(till)
        assert isinstance(await handshake.ask(till.hello()), Challenge)
        proved = await rig.sign_on(following)
        assert await handshake.is_over()
        assert await session.is_over()
        assert (await proved.sell(following.sale(CARD))).response_code == "00"
        rig.assert_at_rest(sessions=1)


async def test_a_key_in_force_outside_means_a_durable_commit(monkeypatch):
    """If the commit fails, nobody is told READY, and both keys are what they were."""
    async with open_host() as rig:
        till = rig.enrol()
        following = rotate(rig, till)
        before = record(rig, till)

        def lost(*_arguments, **_named):
            raise RuntimeError("a bug")

        monkeypatch.setattr(rig.host.registry, "promote_key", lost)
        assert not await opens(rig, following)
        assert record(rig, till) == before
        assert rig.count("sessions_ended_total", reason="fault") == 0
        monkeypatch.undo()
        assert await opens(rig, following)


async def test_a_store_that_may_have_lost_the_commit_ends_the_host(monkeypatch):
    with pytest.RaisesGroup(StoreBroken, flatten_subgroups=True):
        async with open_host() as rig:
            till = rig.enrol()
            following = rotate(rig, till)

            def broken(*_arguments, **_named):
                raise StoreBroken("fsync failed")

            monkeypatch.setattr(rig.host.registry, "promote_key", broken)
            await opens(rig, following)


@pytest.mark.parametrize("end", ["revoke", "enrol", "code"])
async def test_two_keys_end_at_once(end):
    async with open_host() as rig:
        till = rig.enrol()
        following = rotate(rig, till)
        if end == "revoke":
            terminals(rig).revoke(str(till.number))
        elif end == "enrol":
            terminals(rig).enrol(str(till.number))
        else:
            terminals(rig).enrol(str(till.number), with_code=True)
            assert await opens(rig, till)
            rig.host.admin.redeem_code(till.number.to_int(), "")
        assert not await opens(rig, till)
        assert not await opens(rig, following)
        found = record(rig, till)
        assert found.next_wrapped_key is None
        assert found.key_version == (1 if end == "revoke" else 3)


async def test_a_terminal_revoked_while_it_proves_the_next_key():
    async with open_host() as rig:
        till = rig.enrol()
        following = rotate(rig, till)
        line = rig.line(following)
        assert isinstance(await line.ask(following.hello()), Challenge)
        terminals(rig).revoke(str(till.number))  # without the message to the link: the commit alone must do
        await line.say(Auth())
        assert await line.rest() == b""
        assert (record(rig, till).key_version, record(rig, till).waiting_version) == (1, 0)
        rig.assert_at_rest()


async def test_reinstated_with_the_key_in_force_and_no_other():
    async with open_host() as rig:
        till = rig.enrol()
        following = rotate(rig, till)
        terminals(rig).revoke(str(till.number))
        terminals(rig).reinstate(str(till.number))
        assert not await opens(rig, following)
        assert await opens(rig, till)
        again = rotate(rig, till)
        assert again.key_version == 3  # no number is given twice


@pytest.mark.parametrize("version", [1, 2, 3, 65_535])
async def test_nothing_waits_nothing_is_given(version):
    async with open_host() as rig:
        till = rig.enrol()
        rotate(rig, rig.enrol())
        line = await rig.sign_on(till)
        answer = await line.ask(KeyRequest(key_version=version))
        assert answer == KeyAnswer(response_code="58", key_version=version, wrapped_key=NO_WRAPPED_KEY)
        assert isinstance(await line.ask(ECHO), EchoAnswer)


async def test_a_session_opened_by_a_code_fetches_no_next_key():
    async with open_host() as rig:
        till = rig.enrol()
        rotate(rig, till)
        code = bytes.fromhex(terminals(rig).enrol(str(till.number), with_code=True)["code"])
        line = rig.line(Till(till.number, root_key_from_enrol_code(code, till.number), 0))
        assert (await line.shake_hands()).next_key_version == 0
        answer = await line.ask(KeyRequest(key_version=2))
        assert isinstance(answer, Reject)
        assert answer.response_code == "58"


async def test_a_damaged_next_key_is_not_given_and_the_one_in_force_goes_on():
    async with open_host() as rig:
        till = rig.enrol()
        rotate(rig, till)
        rig.store.execute("UPDATE terminals SET next_wrapped_key = ?", (bytes(40),))
        line = await rig.sign_on(till)
        assert (await line.ask(KeyRequest(key_version=2))).response_code == "58"
        assert (await line.sell(till.sale(CARD))).response_code == "00"


# ------------------------------------------------------------------------------------------------ pace


async def test_key_requests_count_like_any_other(autojump_clock):
    async with open_host(requests_per_s=10) as rig:
        line = await rig.sign_on(rig.enrol())
        for _ in range(40):
            await line.ask(KeyRequest(key_version=2))
        assert trio.current_time() == pytest.approx((40 - BURST_S * 10) / 10, abs=0.2)


async def test_whoever_connects_anew_is_as_fast_as_before(autojump_clock):
    """The pace is the terminal's: a new session is no new burst."""
    async with open_host(requests_per_s=10) as rig:
        till, other = rig.enrol(), rig.enrol()
        for _ in range(8):
            line = await rig.sign_on(till)
            for _ in range(10):
                await line.ask(ECHO)
            await line.stream.aclose()
        assert trio.current_time() == pytest.approx((80 - BURST_S * 10) / 10, abs=0.2)
        before_s = trio.current_time()
        await (await rig.sign_on(other)).ask(ECHO)
        assert trio.current_time() == before_s
