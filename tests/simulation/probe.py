"""A terminal's voice without a brain: to ask again what was asked before, and to say what no honest terminal says."""

from __future__ import annotations

from random import Random

import trio
from msgspec.structs import replace

from protocol import NEED_DATA, Connection, PeerClosed, RemoteProtocolError, Role
from protocol.messages import Auth, Challenge, Hello, Message, OfflineSaleRequest, Ready
from protocol.messages.offline import tag_of
from protocol.pin_block import RANDOM_FILL_SIZE, card_digits, encode_pin_block
from terminal_emulator.settings import Settings
from tests.simulation.network import Line


class NoAnswer(Exception):
    """The host has closed, or does not speak."""


class Probe:
    """One session under a terminal's own key. Raises NoAnswer, OSError and trio's stream errors."""

    def __init__(self, settings: Settings, line: Line, rng: Random) -> None:
        self._line, self._rng = line, rng
        self._hello = Hello(key_version=settings.key_version, terminal_challenge=rng.randbytes(16))
        self._connection = Connection(Role.TERMINAL, terminal=settings.terminal, root_key=settings.root_key)
        self._stream: trio.abc.Stream | None = None
        self.ready: Ready | None = None
        self.epoch = 0

    async def open(self) -> None:
        """Connect and shake hands."""
        self._stream = await self._line.connect()
        challenge = await self.ask(self._hello)
        assert isinstance(challenge, Challenge)
        ready = await self.ask(Auth())
        assert isinstance(ready, Ready)
        self.ready, self.epoch = ready, challenge.epoch

    async def ask(self, request: Message) -> Message:
        """The answer to one request."""
        assert self._stream is not None
        connection = self._connection
        await self._stream.send_all(connection.send(request))
        while True:
            try:
                event = connection.next_event()
            except RemoteProtocolError as error:
                raise NoAnswer(str(error)) from error
            if event is NEED_DATA:
                connection.receive_data(await self._stream.receive_some(4096))
            elif isinstance(event, PeerClosed):
                raise NoAnswer("the host has closed")
            else:
                assert isinstance(event, Message)
                return event

    def pin_block(self, pin: str, payer: bytes) -> bytes:
        """What is sent for a PIN that somebody keys, in this session."""
        assert self._connection.pin_key is not None
        return encode_pin_block(
            self._connection.pin_key, pin, card_digits(payer), self._rng.randbytes(RANDOM_FILL_SIZE)
        )

    def sealed(self, sale: OfflineSaleRequest) -> OfflineSaleRequest:
        """The same with its place in the chain attested, as only this terminal can."""
        return replace(sale, tag=tag_of(self._connection.saf_key, sale))

    async def close(self) -> None:
        """Hang up."""
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)
