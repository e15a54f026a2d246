"""A terminal on a line: memory streams, the toy host, and a clock that jumps."""

import math
import random
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from protocol import TerminalNumber
from protocol.limits import HEARTBEAT_S, RECONNECT_MAX_S, RECONNECT_MIN_S
from protocol.messages import Auth, EchoRequest, Hello, QueryRequest, ReversalRequest, SaleRequest
from protocol.messages.money import NO_PIN_BLOCK
from protocol.pin_block import card_digits, decode_pin_block
from terminal_emulator.brain import Brain
from terminal_emulator.dialog import Renumber
from terminal_emulator.effects import Key, Outcome, Send, Tap
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.terminal import EnrolError, Terminal, Ticker, enrol, run_terminal
from tests.terminal_emulator.till import CARD, NUMBER, WALL_S, changed, settings_of
from tests.terminal_emulator.toy_server import SlowToClose, ToyServer

KEY = bytes(range(32))


class Counter:
    """A running terminal as a cashier sees it."""

    def __init__(self, server, storage=None, **settings):
        self.server = server
        self.brain = Brain(settings_of(**settings), storage or MemoryStorage(), jitter=lambda: 0.5)
        self.effects = []
        self.connects = []
        self.inbox, self.events = trio.open_memory_channel(math.inf)

    async def open_stream(self):
        self.connects.append(trio.current_time())
        return await self.server.open_stream()

    async def run(self):
        await run_terminal(
            self.brain,
            open_stream=self.open_stream,
            random_bytes=bytes,
            wall_clock=lambda: WALL_S,
            inbox=self.events,
            show=self.effects.append,
        )

    def type(self, amount="12.5"):
        for key in amount:
            self.inbox.send_nowait(Key(key))
        self.inbox.send_nowait(Key.ENTER)
        self.inbox.send_nowait(Tap(CARD))

    async def until(self, condition, seconds=60):
        with trio.fail_after(seconds):
            while not condition():  # noqa: ASYNC110 - the clock jumps, and a condition is easier to read than its event
                await trio.sleep(0.01)

    async def online(self):
        await self.until(lambda: self.brain.online)

    async def sell(self, seconds=60):
        """A whole sale: its outcome."""
        before = len(self.outcomes)
        self.type()
        await self.until(lambda: len(self.outcomes) > before, seconds)
        return self.outcomes[-1]

    @property
    def outcomes(self):
        return [effect.record for effect in self.effects if isinstance(effect, Outcome)]


@pytest.fixture
async def server(nursery):
    server = ToyServer({NUMBER: KEY})
    await nursery.start(server.run)
    yield server
    server.nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(server, storage=None, **settings):
    counter = Counter(server, storage, **settings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(counter.run)
        yield counter
        await counter.inbox.aclose()  # ends it: `run` returns by itself


async def test_a_sale_over_a_line(autojump_clock, server):
    async with running(server) as counter:
        await counter.online()
        record = await counter.sell()
        assert (record.state, record.amount_fen, record.rrn) == ("approved", 1250, 1)
        assert counter.brain.view.screen == "approved"
        assert [(await counter.sell()).stan for _ in range(3)] == [2, 3, 4]
        assert server.streams
    await trio.testing.wait_all_tasks_blocked()
    assert not server.streams


async def test_silence_is_filled_with_heartbeats(autojump_clock, server):
    async with running(server) as counter:
        await counter.online()
        await trio.sleep(4 * HEARTBEAT_S + 1)
        assert [type(request) for request in server.requests] == [EchoRequest] * 4
        assert counter.connects == [0]


async def test_a_host_that_is_down_is_tried_again_with_growing_pauses(autojump_clock, server):
    server.up = False
    async with running(server) as counter:
        await trio.sleep(300)
        assert counter.brain.view.link == "unreachable"
        pauses = [after - before for before, after in zip(counter.connects, counter.connects[1:], strict=False)]
        assert pauses == sorted(pauses)
        assert min(pauses) == pytest.approx(RECONNECT_MIN_S * 1.5)
        assert max(pauses) == pytest.approx((RECONNECT_MIN_S + RECONNECT_MAX_S) / 2)
        server.up = True
        await counter.until(lambda: counter.brain.online, RECONNECT_MAX_S)
        assert (await counter.sell()).state == "approved"


@pytest.mark.parametrize("keys", [{}, {NUMBER: b"x" * 32}], ids=["unknown terminal", "wrong key"])
async def test_a_refused_handshake_is_shown_and_tried_again(autojump_clock, server, keys):
    server.keys = keys
    async with running(server) as counter:
        await counter.until(lambda: counter.brain.view.link == "refused")
        await trio.sleep(60)
        assert len(counter.connects) > 3
        assert counter.brain.view.link == "refused"
        server.keys = {NUMBER: KEY}
        await counter.until(lambda: counter.brain.online, RECONNECT_MAX_S)


@pytest.mark.parametrize(
    ("answer", "link"), [(None, "timeout"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "garbled"), (b"", "busy")]
)
async def test_a_stranger_at_the_address_is_no_host(autojump_clock, server, answer, link):
    async def stranger():
        ours, theirs = trio.testing.memory_stream_pair()
        if answer is not None:
            await theirs.send_all(answer) if answer else await theirs.send_eof()
        kept.append(theirs)
        return ours

    kept = []
    server.open_stream = stranger
    async with running(server) as counter:
        await counter.until(lambda: counter.brain.view.link == link)
        assert counter.brain.view.link == link


@pytest.mark.parametrize("last_heard", [Hello, Auth], ids=["before CHALLENGE", "after AUTH"])
async def test_a_host_that_closes_in_the_handshake_has_not_refused_anybody(
    autojump_clock, server, monkeypatch, last_heard
):
    """Crowded, draining, its store away: whoever registers the terminal anew then does so in vain."""
    reply = server.reply

    def close(connection, event):
        if isinstance(event, last_heard):
            raise trio.ClosedResourceError
        return reply(connection, event)

    with monkeypatch.context() as patched:
        patched.setattr(server, "reply", close)
        async with running(server) as counter:
            await counter.until(lambda: counter.brain.view.link == "busy")
            await trio.sleep(60)
            assert len(counter.connects) > 3
            assert counter.brain.view.link == "busy"
            patched.undo()
            await counter.until(lambda: counter.brain.online, RECONNECT_MAX_S)


async def test_a_host_that_closes_while_a_terminal_enrols_has_not_refused_the_code(server, monkeypatch):
    def close(connection, event):
        raise trio.ClosedResourceError

    monkeypatch.setattr(server, "reply", close)
    with pytest.raises(EnrolError, match="try the same code again") as caught:
        await enrol(
            terminal=NUMBER,
            code=bytes(16),
            serial_number="SN-1",
            open_stream=server.open_stream,
            random_bytes=bytes,
        )
    assert "did not accept" not in str(caught.value)


async def test_two_terminals_with_one_number_do_not_push_each_other_out_all_day(autojump_clock, server):
    """The host keeps the newer session; each of the two comes back more and more slowly."""
    serve = server.serve

    async def serve_one(stream):
        for older in list(server.streams):
            await trio.aclose_forcefully(older)
        await serve(stream)

    server.serve = serve_one
    async with running(server) as one, running(server) as other:
        await trio.sleep(600)
        connects = len(one.connects) + len(other.connects)
    assert connects < 600 / 4


async def test_a_deaf_host_is_left_for_a_new_session_and_the_sale_is_made_once(autojump_clock, server):
    async with running(server) as counter:
        await counter.online()
        server.deaf = True
        counter.type()
        await counter.until(lambda: len(server.requests) == 2)
        server.deaf = False
        await counter.until(lambda: counter.outcomes)
        assert counter.outcomes[0].state == "approved"
        assert [type(request) for request in server.requests] == [SaleRequest] * 3
        assert len(set(server.requests)) == 1
        assert server.host.sales_posted == 1
        assert counter.connects == pytest.approx([0, 3, 6], abs=0.5)


async def test_a_host_deaf_for_good_is_asked_then_the_sale_reversed_when_it_hears_again(autojump_clock, server):
    async with running(server) as counter:
        await counter.online()
        server.deaf = True
        began_s = trio.current_time()
        counter.type()
        await counter.until(lambda: counter.brain.view.screen == "uncharged")
        assert trio.current_time() == pytest.approx(began_s + 10, abs=0.3)
        assert [type(request) for request in server.requests] == [SaleRequest] * 3 + [QueryRequest]
        assert counter.outcomes == []
        await trio.sleep(100)
        assert set(map(type, server.requests[4:])) <= {ReversalRequest, EchoRequest}
        server.deaf = False
        await counter.until(lambda: counter.outcomes, 120)
        assert counter.outcomes[0].state == "reversed"
        assert server.host.charged((NUMBER, 1, 1)) == 0
        assert (await counter.sell()).state == "approved"


async def test_a_host_that_crashes_in_the_middle_of_a_sale(autojump_clock, server):
    """The answer is lost after it was booked; the host is back before ten seconds have passed."""
    async with running(server) as counter:
        await counter.online()
        server.deaf = True
        counter.type()
        await counter.until(lambda: server.requests)
        server.host.answer(NUMBER, server.requests[0])
        await server.crash()
        await trio.sleep(2)
        assert counter.brain.busy
        assert counter.brain.view.link in ("lost", "unreachable")
        server.deaf, server.up = False, True
        await counter.until(lambda: counter.outcomes)
        assert counter.outcomes[0].state == "approved"
        assert server.host.sales_posted == 1


async def test_time_is_up_while_there_is_no_session(autojump_clock, server):
    async with running(server) as counter:
        await counter.online()
        server.deaf = True
        counter.type()
        await counter.until(lambda: server.requests)
        began_s = trio.current_time()
        await server.crash()
        await counter.until(lambda: not counter.brain.busy)
        assert trio.current_time() == pytest.approx(began_s + 10, abs=0.3)
        assert counter.brain.view.screen == "uncharged"
        server.deaf, server.up = False, True
        await counter.until(lambda: counter.outcomes)
        assert counter.outcomes[0].state == "reversed"


async def test_power_lost_after_sending(autojump_clock, server):
    storage = MemoryStorage()
    async with running(server, storage) as counter:
        await counter.online()
        server.deaf = True
        counter.type()
        await counter.until(lambda: server.requests)
    server.host.answer(NUMBER, server.requests[0])
    server.deaf = False
    async with running(server, storage) as counter:
        await counter.until(lambda: counter.outcomes)
        assert counter.brain.view.screen == "last_approved"
        assert (await counter.sell()).stan == 2
    assert server.host.sales_posted == 2


@pytest.mark.parametrize("code", ["09", "96"])
async def test_a_busy_host_is_asked_again_in_the_same_session(autojump_clock, server, code):
    async with running(server) as counter:
        await counter.online()
        server.answers = [code, code]
        assert (await counter.sell()).state == "approved"
        assert counter.connects == [0]
        assert len(server.requests) == 3


async def test_a_session_that_has_used_up_its_frames_is_opened_anew(autojump_clock, server, monkeypatch):
    monkeypatch.setattr("terminal_emulator.terminal.MAX_SESSION_FRAMES", 20)
    async with running(server) as counter:
        await counter.online()
        for _ in range(12):
            await counter.online()
            assert (await counter.sell()).state == "approved"
        assert server.sessions == 3


@pytest.mark.parametrize("what", ["tap", "heartbeat"])
@pytest.mark.parametrize("end", ["closed", "garbled"])
async def test_a_request_that_comes_between_the_end_of_a_session_and_its_closing(autojump_clock, server, what, end):
    """The host's end has been read, the stream is being closed, the brain does not know yet: nothing can be sent."""
    closing = []

    async def while_closing():
        if closing:
            return
        closing.append(counter.brain.online)
        if what == "tap":
            counter.type()
            await trio.sleep(0.1)
        else:
            await trio.sleep(HEARTBEAT_S + 1)
        closing.append(counter.brain.is_line_free)

    async def open_stream():
        return SlowToClose(await ToyServer.open_stream(server), while_closing)

    server.open_stream = open_stream
    async with running(server) as counter:
        await counter.online()
        [stream] = server.streams
        if end == "closed":
            await stream.aclose()
        else:
            await stream.send_all(b"x" * 20_000)
        await counter.until(lambda: counter.brain.link in ("lost", "garbled"))
        assert closing == [True, False]  # it was online, and then asked something
        assert server.requests == []
        if what == "tap":
            await counter.until(lambda: counter.outcomes)
            assert counter.outcomes[0].state == "approved"
        await counter.online()
        assert (await counter.sell()).state == "approved"
        assert server.host.sales_posted == len(server.requests) == (2 if what == "tap" else 1)
        assert server.sessions == 2


async def test_a_failing_memory_ends_the_terminal(autojump_clock, server):
    class BrokenStorage(MemoryStorage):
        def save(self, record):
            raise OSError("no space left")

    with pytest.RaisesGroup(OSError, flatten_subgroups=True):
        async with running(server, BrokenStorage()) as counter:
            await counter.online()
            counter.type()
            await trio.sleep(1)
    assert server.requests == []


async def test_enrolment_brings_the_terminals_own_key(autojump_clock, server):
    code = b"0123456789abcdef"
    server.codes[NUMBER] = code

    async def try_it(code, serial_number="SN-1"):
        return await enrol(
            terminal=NUMBER,
            code=code,
            serial_number=serial_number,
            open_stream=server.open_stream,
            random_bytes=bytes,
        )

    enrolled = await try_it(code)
    assert (enrolled.key_version, enrolled.root_key) == (4, b"k" * 32)
    assert "kkk" not in repr(enrolled)
    with pytest.raises(EnrolError, match="another serial number than 'SN-2'"):
        await try_it(code, "SN-2")
    with pytest.raises(EnrolError, match="did not accept the code"):
        await try_it(b"another code....")
    server.deaf = True
    server.reply = lambda connection, event: None
    with pytest.raises(EnrolError, match="no answer in 5 s"):
        await try_it(code)
    server.up = False
    with pytest.raises(OSError, match="refused"):
        await try_it(code)


async def test_a_pin_travels_enciphered_under_the_key_of_the_session_anew_each_time(autojump_clock, server, nursery):
    terminal = Terminal(
        Brain(settings_of(), MemoryStorage()),
        open_stream=server.open_stream,
        random_bytes=random.Random(1).randbytes,
        wall_clock=lambda: WALL_S,
        ticker=Ticker(),
        show=lambda _: None,
    )
    terminal.brain.power_on(terminal.now())
    nursery.start_soon(terminal.run)
    await trio.testing.wait_all_tasks_blocked()
    request = SaleRequest(stan=1, batch=1, amount_fen=5, payer=CARD, claimed_at_s=1)
    for _ in range(2):
        await terminal.perform(terminal.after([Send(request, "1234")]))
        await trio.testing.wait_all_tasks_blocked()
    blocks = [sent.pin_block for sent in server.requests]
    key = server.connection.pin_key
    assert [decode_pin_block(key, block, card_digits(CARD)) for block in blocks] == ["1234", "1234"]
    assert len(set(blocks)) == 2
    assert [changed(sent, pin_block=NO_PIN_BLOCK) for sent in server.requests] == [request, request]
    assert "1234" not in repr(Send(request, "1234"))
    nursery.cancel_scope.cancel()


async def test_a_new_number_is_stored_and_connected_under(autojump_clock, server, nursery):
    server.keys[TerminalNumber(3, 59)] = KEY
    stored = []
    terminal = Terminal(
        Brain(settings_of(), MemoryStorage()),
        open_stream=server.open_stream,
        random_bytes=bytes,
        wall_clock=lambda: WALL_S,
        ticker=Ticker(),
        show=lambda _: None,
        keep_settings=stored.append,
    )
    terminal.brain.power_on(terminal.now())
    nursery.start_soon(terminal.run)
    await trio.testing.wait_all_tasks_blocked()

    def renumber():
        yield Renumber(TerminalNumber(3, 59))

    await terminal.perform(terminal.after(terminal.brain.begin(renumber(), terminal.now())))
    await trio.sleep(30)
    assert terminal.brain.online
    assert server.connection.terminal == TerminalNumber(3, 59)
    assert [settings.terminal for settings in stored] == [TerminalNumber(3, 59)]
    nursery.cancel_scope.cancel()
