"""Who gets a place for a handshake when strangers want them all: always somebody new, never at an honest one's cost."""

from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from protocol.messages import Auth, Challenge, Ready
from server.admission import PEER_PATIENCE_S
from tests.server.host import CARD, SlowLedger, open_host

PLACES = 256


async def crowd(rig, sources, each):
    """Strangers that connect and say nothing, one source after the other; each takes all the places it can get."""
    streams = []
    for source in sources:
        streams += [rig.connect(source) for _ in range(each)]
        await wait_all_tasks_blocked()
    return streams


async def is_open(stream):
    with trio.move_on_after(0.001):
        await stream.receive_some()
        return False
    return True


async def accept(rig):
    """How long the host's door stays shut, in seconds."""
    began_s = trio.current_time()
    await rig.link.wait_ready_to_accept()
    await wait_all_tasks_blocked()
    return trio.current_time() - began_s


@pytest.mark.parametrize(("sources", "left"), [(1, 205), (2, 164), (4, 105), (8, 43), (16, 8), (20, 4)])
async def test_sources_that_take_all_they_can_get_leave_places_for_the_next(sources, left, autojump_clock):
    async with open_host() as rig:
        await crowd(rig, [f"10.0.9.{number}" for number in range(sources)], 64)
        assert PLACES - rig.link.admission.under_way == left
        assert rig.count("connections_refused_total", reason="source") == 64 * sources - (PLACES - left)
        assert await accept(rig) == 0
        line = await rig.sign_on(rig.enrol())
        assert (await line.sell(line.till.sale(CARD))).response_code == "00"


async def test_the_known_gap_is_closed(autojump_clock):
    """Four hostile addresses with 64 silent connections each once held off every new sign-on for five seconds."""
    async with open_host() as rig:
        sources = [f"10.0.9.{number}" for number in range(4)]
        for _ in range(20):
            await crowd(rig, sources, 64)
            assert await accept(rig) == 0
            assert isinstance(await rig.line(rig.enrol()).shake_hands(), Ready)


async def test_with_all_places_taken_the_longest_silent_of_the_younger_half_makes_room(autojump_clock):
    async with open_host(pending_handshakes=4) as rig:
        streams = []
        for number in range(4):
            streams.append(rig.connect(f"10.0.9.{number}"))
            await trio.sleep(0.1)
        assert await accept(rig) == pytest.approx(PEER_PATIENCE_S - 0.2)
        assert [await is_open(stream) for stream in streams] == [True, True, False, True]
        assert rig.count("connections_refused_total", reason="crowded") == 1
        assert rig.count("handshakes_total", result="failed") == 1
        assert isinstance(await rig.line(rig.enrol(), "10.0.9.9").shake_hands(), Ready)


async def test_a_site_whose_terminals_are_all_slow_gets_in_all_the_same(autojump_clock):
    """Each answers after a second, and all of them want in at once. If everybody silent had to go, nobody got in."""
    async with open_host(pending_handshakes=8) as rig:
        ready = []

        async def sign_on(till, source):
            for _ in range(100):
                line = rig.line(till, source)
                await line.say(till.hello())
                if isinstance(await line.hear(), Challenge):
                    await trio.sleep(1.0)
                    with suppress(trio.BrokenResourceError):
                        await line.say(Auth())
                        if isinstance(await line.hear(), Ready):
                            ready.append(till)
                            return
                await trio.sleep(0.5)
                await rig.link.wait_ready_to_accept()

        async with trio.open_nursery() as nursery:
            for number in range(60):
                await rig.link.wait_ready_to_accept()
                nursery.start_soon(sign_on, rig.enrol(), f"10.0.9.{number}")
                await wait_all_tasks_blocked()
        assert len(ready) == 60


async def test_half_a_handshake_is_silent_too(autojump_clock):
    async with open_host(pending_handshakes=1) as rig:
        line = rig.line(rig.enrol())
        assert isinstance(await line.ask(line.till.hello()), Challenge)
        assert await accept(rig) == PEER_PATIENCE_S
        assert await line.is_over()


async def test_one_byte_at_a_time_is_as_good_as_silence(autojump_clock):
    async with open_host(pending_handshakes=1) as rig:
        line = rig.line(rig.enrol())
        hello = line.connection.send(line.till.hello())

        async def drip():
            for byte in hello:
                await line.stream.send_all(bytes([byte]))
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            assert await accept(rig) <= PEER_PATIENCE_S
            nursery.cancel_scope.cancel()
        assert await line.is_over()


async def test_nobody_has_to_go_while_nobody_waits(autojump_clock):
    async with open_host(pending_handshakes=1) as rig:
        line = rig.line(rig.enrol())
        await trio.sleep(4.9)
        assert isinstance(await line.shake_hands(), Ready)


async def test_the_time_the_host_takes_is_not_held_against_a_terminal(autojump_clock):
    """A whole site signs on while the ledger is slow: it waits in the backlog, and nobody is sent away."""
    ledger = SlowLedger()
    async with open_host(executor=ledger, pending_handshakes=2) as rig:
        tills = [rig.enrol() for _ in range(8)]
        ledger.delay_s = 1.0
        ready = []

        async def sign_on(till, source):
            ready.append(await rig.line(till, source).shake_hands())

        async with trio.open_nursery() as nursery:
            for number, till in enumerate(tills):
                await rig.link.wait_ready_to_accept()
                nursery.start_soon(sign_on, till, f"10.0.9.{number}")
                await wait_all_tasks_blocked()
        assert len(ready) == len(tills)
        assert rig.count("connections_refused_total", reason="crowded") == 0
        assert rig.count("handshakes_total", result="ready") == len(tills)


async def test_a_terminal_that_answers_in_time_keeps_its_place(autojump_clock):
    """Each turn has its own patience: a slow line needs two."""
    async with open_host(pending_handshakes=1) as rig:
        line = rig.line(rig.enrol())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.link.wait_ready_to_accept)
            await trio.sleep(PEER_PATIENCE_S * 0.9)
            assert isinstance(await line.ask(line.till.hello()), Challenge)
            await trio.sleep(PEER_PATIENCE_S * 0.9)
            assert isinstance(await line.ask(Auth()), Ready)


async def test_a_place_is_free_again_however_a_handshake_ends(autojump_clock):
    async with open_host(pending_handshakes=4) as rig:
        till = rig.enrol()
        gone, wrong, late = (rig.connect(f"10.0.9.{number}") for number in range(3))
        await gone.aclose()
        await wrong.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await rig.sign_on(till)
        await wait_all_tasks_blocked()
        assert rig.link.admission.under_way == 1
        await trio.sleep(6)
        assert await late.receive_some() == b""
        assert rig.link.admission.under_way == 0
        assert rig.link.admission.is_open_to("10.0.9.2")
