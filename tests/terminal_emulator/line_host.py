"""The toy host at the other end of a real line: handshake and frames by `protocol`, streams in memory."""

import random

import trio
from trio.testing import memory_stream_pair

from protocol import NEED_DATA, PEER_CLOSED, Connection, Role
from protocol.messages import Auth, Challenge, Hello, Message
from terminal_emulator.brain import Brain
from terminal_emulator.machine import Machine, Watcher
from terminal_emulator.settings import Settings
from terminal_emulator.storage import MemoryStorage
from tests.terminal_emulator.till import POSTED_MS, WALL_S, ToyHost, ready_of, settings_of


class LineHost:
    """`open` is what a terminal connects with. `mute`: decides, but answers are lost. `delay_s`: how long it thinks."""

    def __init__(self, nursery: trio.Nursery, toy: ToyHost, root_key: bytes) -> None:
        self.toy = toy
        self.mute = False
        self.delay_s = 0.0
        self._nursery = nursery
        self._root_key = root_key

    async def open(self) -> trio.abc.Stream:
        near, far = memory_stream_pair()
        self._nursery.start_soon(self._serve, far)
        return near

    async def _serve(self, stream: trio.abc.Stream) -> None:
        connection = Connection(Role.HOST)
        try:
            while True:
                event = connection.next_event()
                if event is NEED_DATA:
                    connection.receive_data(await stream.receive_some(4096))
                elif event is PEER_CLOSED:
                    break
                else:
                    await self._answer(stream, connection, event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await stream.aclose()

    async def _answer(self, stream: trio.abc.Stream, connection: Connection, message: Message) -> None:
        if isinstance(message, Hello):
            connection.use_key(self._root_key)
            answer = Challenge(version=1, host_challenge=bytes(16), host_time_ms=POSTED_MS, epoch=1)
        elif isinstance(message, Auth):
            answer = ready_of(self.toy.newest.get(connection.terminal, (0, 0)))
        else:
            answer = self.toy.answer(connection.terminal, message)
            if self.delay_s:
                await trio.sleep(self.delay_s)
            if self.mute:
                return
        await stream.send_all(connection.send(answer))


def machine_at(host: LineHost, settings: Settings | None = None, storage=None, **options) -> Machine:
    """A machine whose cable leads to the host."""
    return Machine(
        Brain(settings or settings_of(), storage or MemoryStorage()),
        open_stream=host.open,
        random_bytes=random.Random(7).randbytes,
        wall_clock=lambda: WALL_S + trio.current_time(),
        **options,
    )


class _Alarm(Watcher):
    """An event for every change."""

    def __init__(self) -> None:
        self.event = trio.Event()

    def changed(self) -> None:
        self.event.set()
        self.event = trio.Event()


async def until(machine: Machine, condition) -> None:
    """Wait until the condition holds of the machine; at most a minute of the virtual clock."""
    alarm = _Alarm()
    machine.watch(alarm)
    with trio.fail_after(60):
        while not condition(machine):
            await alarm.event.wait()
