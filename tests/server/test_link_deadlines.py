"""Every deadline of a connection, to the moment, on a virtual clock; and the orderly end of all of them."""

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from protocol.messages import Auth, Challenge, Ready
from server.link import DEADLINE_SLACK
from tests.protocol.pair import forge
from tests.server.host import CARD, START_FEN, Line, SlowLedger, open_host
from tests.wire import ECHO

HANDSHAKE_S, FRAME_S, IDLE_S = 5.0, 3.0, 90.0


async def closed_at(line) -> float:
    """When the host closes, without another byte."""
    assert await line.rest() == b""
    return trio.current_time()


# --- Handshake: five seconds from connect to READY


@pytest.mark.parametrize("said", [b"", b"F", b"FK\x01"])
async def test_a_silent_connection_is_closed(said, autojump_clock, logs):
    async with open_host() as rig:
        line = rig.line(rig.enrol())
        await line.stream.send_all(said)
        assert await closed_at(line) == HANDSHAKE_S
        await wait_all_tasks_blocked()
        assert rig.count("handshakes_total", result="timeout") == 1
        rig.assert_at_rest()
        [entry] = logs
        assert (entry["event"], entry["source"]) == ("handshake not finished", "10.0.0.1")
        assert (entry["expected"], entry["got"]) == ("READY within 5 s of connecting", "connected")


async def test_half_a_handshake_is_closed(autojump_clock, logs):
    async with open_host() as rig:
        till = rig.enrol()
        line = rig.line(till)
        await trio.sleep(4.5)
        assert isinstance(await line.ask(till.hello()), Challenge)
        assert await closed_at(line) == HANDSHAKE_S
        [entry] = logs
        assert (entry["terminal"], entry["got"]) == (str(till.number), "challenged")


async def test_a_handshake_that_just_makes_it_is_open(autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        line = rig.line(till)
        await trio.sleep(2.4)
        assert isinstance(await line.ask(till.hello()), Challenge)
        await trio.sleep(2.5)
        assert isinstance(await line.ask(Auth()), Ready)
        await trio.sleep(60)
        await line.ask(ECHO)


async def test_a_dripped_handshake_is_closed(autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        line = rig.line(till)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, line.stream, line.connection.send(till.hello()), 0.5)
            assert await closed_at(line) == HANDSHAKE_S


async def drip(stream, data, every_s):
    for byte in data:
        try:
            await stream.send_all(bytes([byte]))
        except trio.BrokenResourceError:
            return
        await trio.sleep(every_s)


# --- Frames: three seconds from the first byte to the last


@pytest.mark.parametrize("sent", [1, 15, 16, 40])
async def test_half_a_frame_then_silence_ends_the_session(sent, autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        await trio.sleep(10)
        await line.stream.send_all(line.connection.send(till.sale(CARD))[:sent])
        assert await closed_at(line) == 10 + FRAME_S
        await wait_all_tasks_blocked()
        assert rig.count("sessions_ended_total", reason="frame_timeout") == 1
        assert rig.balance_fen() == START_FEN
        rig.assert_at_rest()


async def test_a_dripped_frame_gets_no_more_time(autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, line.stream, line.connection.send(till.sale(CARD)), 1)
            assert await closed_at(line) == FRAME_S


async def test_a_frame_that_just_makes_it_is_served_and_silence_is_idle_again(autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        frame = line.connection.send(till.sale(CARD))
        await line.stream.send_all(frame[:20])
        await trio.sleep(2.9)
        await line.stream.send_all(frame[20:])
        assert (await line.hear()).response_code == "00"
        assert await closed_at(line) == pytest.approx(2.9 + IDLE_S, abs=IDLE_S * DEADLINE_SLACK)
        assert rig.count("sessions_ended_total", reason="idle") == 1


@pytest.mark.parametrize("mti", [0x0200, 0x0999], ids=["answered", "refused"])
async def test_each_frame_has_its_own_three_seconds(mti, autojump_clock):
    """The end of one frame and the start of the next may come together."""
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        sale = till.sale(CARD)
        first = forge(line.connection, mti, sale.layout.encode(sale), flags=1)
        line.connection.send(ECHO)
        await line.stream.send_all(first[:10])
        await trio.sleep(2)
        line.connection._sent, state = 3, line.connection.state
        second = forge(line.connection, 0x0800, ECHO.layout.encode(ECHO), flags=1)
        assert state == line.connection.state
        await line.stream.send_all(first[10:] + second[:10])
        await trio.sleep(2.9)
        await line.stream.send_all(second[10:])
        await wait_all_tasks_blocked()
        rig.assert_at_rest(sessions=1)
        assert rig.count("sessions_ended_total", reason="frame_timeout") == 0


# --- Idle: three heartbeats


async def test_a_silent_session_is_ended(autojump_clock, logs):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        assert await closed_at(line) == IDLE_S
        await wait_all_tasks_blocked()
        assert rig.count("sessions_ended_total", reason="idle") == 1
        assert (logs[-1]["event"], logs[-1]["reason"]) == ("session ended", "idle")
        rig.assert_at_rest()


async def test_a_heartbeat_keeps_a_session_open(autojump_clock):
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        for _ in range(20):
            await trio.sleep(30)
            await line.ask(ECHO)
        assert await closed_at(line) == pytest.approx(20 * 30 + IDLE_S, abs=IDLE_S * DEADLINE_SLACK)


async def test_a_busy_session_is_never_idle(autojump_clock):
    """The deadline is moved only now and then, but never too late."""
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        for _ in range(300):
            await trio.sleep(0.7)
            await line.sell(till.sale(CARD, 1))
        ended_s = await closed_at(line)
        assert 210 + IDLE_S * (1 - DEADLINE_SLACK) <= ended_s <= 210 + IDLE_S


async def test_a_request_that_comes_at_the_last_moment_is_answered(autojump_clock):
    ledger = SlowLedger()
    async with open_host(executor=ledger) as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        await trio.sleep(IDLE_S - 0.1)
        ledger.delay_s = 2
        assert (await line.sell(till.sale(CARD))).response_code == "00"


async def test_noise_does_not_keep_a_frame_alive(autojump_clock):
    async with open_host() as rig:
        line = await rig.sign_on(rig.enrol())
        await line.stream.send_all(b"FK\x01\x01")
        assert await closed_at(line) == FRAME_S


async def test_a_terminal_that_does_not_read_its_answers_is_ended(autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        near, far = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.link.serve, far, "10.0.0.1")
            line = Line(till, near)
            await line.shake_hands()
            far.send_stream.send_all_hook = trio.sleep_forever  # its window is closed
            await line.say(till.sale(CARD))
            started_s = trio.current_time()
        assert trio.current_time() - started_s <= IDLE_S
        assert rig.count("sessions_ended_total", reason="idle") == 1
        rig.assert_at_rest()
        assert rig.balance_fen() == START_FEN - 100  # decided and durable; the terminal will ask


# --- Drain


async def test_idle_connections_end_at_once(autojump_clock):
    async with open_host() as rig:
        lines = [await rig.sign_on(rig.enrol()) for _ in range(3)] + [rig.line(rig.enrol())]
        await wait_all_tasks_blocked()
        await rig.link.drain()
        assert trio.current_time() == 0
        for line in lines:
            assert await line.is_over()
        rig.assert_at_rest()
        assert rig.count("sessions_ended_total", reason="drain") == 3


async def test_requests_in_hand_are_answered_first(autojump_clock):
    ledger = SlowLedger()
    async with open_host(executor=ledger) as rig:
        tills = [rig.enrol() for _ in range(3)]
        lines = [await rig.sign_on(till) for till in tills]
        ledger.delay_s = 2
        for till, line in zip(tills, lines, strict=True):
            await line.say(till.sale(CARD, 10))
        await wait_all_tasks_blocked()
        await rig.link.drain()
        assert trio.current_time() == 4  # one went alone, the others gathered meanwhile
        for line in lines:
            assert (await line.hear()).response_code == "00"
            assert await line.is_over()
        rig.assert_at_rest()


async def test_a_ledger_that_hangs_does_not_hold_up_the_end_for_ever(autojump_clock):
    ledger = SlowLedger()
    async with open_host(executor=ledger, drain_timeout_s=1.5) as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        ledger.delay_s = 60
        await line.say(till.sale(CARD, 10))
        await wait_all_tasks_blocked()
        await rig.link.drain()
        assert trio.current_time() == 1.5
        assert await line.is_over()
        assert rig.count("sessions_ended_total", reason="drain") == 1
        await trio.sleep(60)
        assert rig.balance_fen() == START_FEN - 10


async def test_whoever_comes_during_the_drain_is_turned_away(autojump_clock):
    async with open_host() as rig:
        await rig.link.drain()
        assert await rig.connect().receive_some() == b""
        assert rig.count("connections_refused_total", reason="drain") == 1
        assert trio.current_time() == 0


async def test_a_drain_of_nobody_is_done_at_once(autojump_clock):
    async with open_host() as rig:
        await rig.link.drain()
        assert trio.current_time() == 0
