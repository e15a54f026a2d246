"""The toy host on a line: accepts terminals of known keys, answers them, and misbehaves where a test asks for it."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from protocol import NEED_DATA, PEER_CLOSED, Connection, RemoteProtocolError, Role
from protocol.messages import Auth, Challenge, EnrolAnswer, EnrolRequest, Hello
from protocol.security import root_key_from_enrol_code
from tests.terminal_emulator.till import POSTED_MS, ToyHost, changed, ready_of

UNKNOWN_KEY = bytes(32)


class SlowToClose(trio.abc.HalfCloseableStream):
    """A stream that takes a while to close, or does something then: so that a tick can be hit that is short in life."""

    def __init__(self, stream, while_closing):
        self._stream = stream
        self._while_closing = while_closing

    async def receive_some(self, max_bytes=None):
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data):
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self):
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self):
        await self._stream.send_eof()

    async def aclose(self):
        try:
            with trio.CancelScope(shield=True):
                await self._while_closing()
        finally:
            await self._stream.aclose()


class ToyServer:
    """`keys`: root key by terminal number. `deaf`: requests are taken and not answered. `streams`: what is open."""

    def __init__(self, keys, host=None):
        self.keys = keys
        self.host = host or ToyHost()
        self.epoch = 1
        self.sessions = 0
        self.up = True
        self.deaf = False
        self.answers = []  # codes to answer the next requests with instead of deciding
        self.codes = {}  # enrolment codes by terminal number
        self.requests = []
        self.streams = set()
        self.connection: Any = None  # of the newest session
        self.answering = set()  # streams with a request in hand
        self.leaving = set()  # streams to be closed after the answer in hand
        self.nursery: Any = None

    async def run(self, task_status=trio.TASK_STATUS_IGNORED):
        async with trio.open_nursery() as self.nursery:
            task_status.started()
            await trio.sleep_forever()

    async def open_stream(self, settings=None):
        """What a terminal calls: one end of a pair of memory streams, the server holds the other."""
        await trio.lowlevel.checkpoint()
        if not self.up:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.serve, theirs)
        return ours

    async def crash(self):
        """Every connection breaks, and no new one is taken."""
        self.up = False
        for stream in list(self.streams):
            await trio.aclose_forcefully(stream)

    async def stop(self):
        """An orderly end: no new connection is taken, a request in hand is answered, then the connection is closed."""
        self.up = False
        self.leaving |= self.answering
        for stream in self.streams - self.answering:
            await stream.aclose()

    async def serve(self, stream):
        self.streams.add(stream)
        try:
            async with stream:
                self.connection = Connection(Role.HOST)
                await self._session(stream, self.connection)
        except (RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.streams.discard(stream)

    async def _session(self, stream, connection):
        while True:
            event = connection.next_event()
            if event is NEED_DATA:
                connection.receive_data(await stream.receive_some(4096))
            elif event is PEER_CLOSED:
                return
            elif (reply := self.reply(connection, event)) is not None:
                self.sessions += isinstance(event, Auth)
                self.answering.add(stream)
                try:
                    await stream.send_all(connection.send(reply))
                finally:
                    self.answering.discard(stream)
                if stream in self.leaving:
                    return

    def reply(self, connection, event):
        number = connection.terminal
        if isinstance(event, Hello):
            key = self.keys.get(number, UNKNOWN_KEY)
            if event.key_version == 0:
                key = root_key_from_enrol_code(self.codes.get(number, bytes(16)), number)
            connection.use_key(key)
            return Challenge(host_challenge=bytes(16), host_time_ms=POSTED_MS, epoch=self.epoch)
        if isinstance(event, Auth):
            return ready_of(self.host.newest.get(number, (0, 0)))
        self.requests.append(event)
        if isinstance(event, EnrolRequest):
            good = event.serial_number == "SN-1"
            key = b"k" * 32 if good else bytes(32)
            return EnrolAnswer(response_code="00" if good else "58", key_version=4 if good else 0, root_key=key)
        if self.deaf:
            return None
        if self.answers:
            return changed(ToyHost().answer(number, event), response_code=self.answers.pop(0), rrn=0, posted_at_ms=0)
        return self.host.answer(number, event)
