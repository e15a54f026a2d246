"""A terminal's end of the wire for tests: says what a terminal says, over a real socket, with no brain behind it."""

from __future__ import annotations

import random
import socket
from typing import Final

import msgspec

from protocol import NEED_DATA, PEER_CLOSED, Connection, PeerClosed, Role, TerminalNumber
from protocol.messages import (
    Auth,
    Challenge,
    EchoRequest,
    Hello,
    Message,
    MoneyRequest,
    QueryAnswer,
    QueryRequest,
    Ready,
    ReversalAnswer,
    ReversalRequest,
    SaleAnswer,
    SaleRequest,
)

CLAIMED_AT_S: Final = 1_788_200_000
ECHO: Final = EchoRequest(claimed_at_s=CLAIMED_AT_S)
PATIENCE_S: Final = 60.0
"""How long a test waits for the host before it fails: far longer than any machine takes."""

Address = tuple[str, int]


class Till:
    """One terminal as the host knows it: number, key, and the STAN that is never used twice."""

    def __init__(self, number: TerminalNumber, root_key: bytes, key_version: int = 1) -> None:
        self.number = number
        self.root_key = root_key
        self.key_version = key_version
        self.batch = 1
        self.stan = 0
        self._random = random.Random(number.to_int())

    def __repr__(self) -> str:
        return f"<Till {self.number}>"

    def connection(self) -> Connection:
        """A new session of this terminal, nothing said yet."""
        return Connection(Role.TERMINAL, terminal=self.number, root_key=self.root_key)

    def hello(self) -> Hello:
        return Hello(key_version=self.key_version, terminal_challenge=self._random.randbytes(16))

    def sale(self, card: bytes, amount_fen: int = 100) -> SaleRequest:
        """A new sale: each call takes the next STAN."""
        self.stan += 1
        return SaleRequest(
            stan=self.stan, batch=self.batch, amount_fen=amount_fen, payer=card, claimed_at_s=CLAIMED_AT_S
        )


def reversal_of(request: MoneyRequest) -> ReversalRequest:
    """The reversal of a money request of any kind."""
    said = msgspec.structs.asdict(request)
    return ReversalRequest(**{name: said[name] for name in ReversalRequest.__struct_fields__ if name in said})


def query_of(sale: MoneyRequest) -> QueryRequest:
    """The query for a money request of any kind."""
    return QueryRequest(
        stan=sale.stan,
        batch=sale.batch,
        amount_fen=sale.amount_fen,
        entry_mode=sale.entry_mode,
        payer=sale.payer,
        claimed_at_s=sale.claimed_at_s,
    )


class Wire:
    """A blocking connection to a host. Closes itself when used with `with`."""

    def __init__(self, address: Address, till: Till, *, source: str = "") -> None:
        self.till = till
        self.connection = till.connection()
        self.socket = dial(address, source=source)
        self.last_frame = self.last_answer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def say(self, message: Message) -> bytes:
        """Send a message by the protocol's rules; the frame it became."""
        frame = self.connection.send(message)
        self.socket.sendall(frame)
        return frame

    def say_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more will come, and go on listening."""
        self.socket.shutdown(socket.SHUT_WR)

    def hear(self) -> Message | PeerClosed:
        """The next message, or PEER_CLOSED when the host has closed or reset the connection."""
        while True:
            event = self.connection.next_event()
            if event is not NEED_DATA:
                assert isinstance(event, Message | PeerClosed), event
                return event
            self.connection.receive_data(self._receive())

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def rest(self) -> bytes:
        """Every byte until the host closes."""
        received = b""
        while data := self._receive():
            received += data
        return received

    def ask(self, message: Message) -> Message:
        self.say(message)
        answer = self.hear()
        assert isinstance(answer, Message), f"{message}: expected an answer, got {answer}"
        return answer

    def shake_hands(self) -> Ready:
        challenge = self.ask(self.till.hello())
        assert isinstance(challenge, Challenge)
        ready = self.ask(Auth())
        assert isinstance(ready, Ready)
        return ready

    def sell(self, sale: SaleRequest) -> SaleAnswer:
        answer = self.ask(sale)
        assert isinstance(answer, SaleAnswer), answer
        return answer

    def query(self, sale: SaleRequest) -> QueryAnswer:
        answer = self.ask(query_of(sale))
        assert isinstance(answer, QueryAnswer), answer
        return answer

    def reverse(self, sale: SaleRequest) -> ReversalAnswer:
        answer = self.ask(reversal_of(sale))
        assert isinstance(answer, ReversalAnswer), answer
        return answer

    def is_over(self) -> bool:
        """Whether the host has closed and said nothing more."""
        return self.hear() is PEER_CLOSED


def sign_on(address: Address, till: Till, *, source: str = "") -> Wire:
    """A session that is open."""
    wire = Wire(address, till, source=source)
    try:
        wire.shake_hands()
    except BaseException:
        wire.close()
        raise
    return wire


def dial(address: Address, *, source: str = "") -> socket.socket:
    """A connected socket; `source` is the loopback address it comes from (127.0.0.2 is another device)."""
    return socket.create_connection(address, PATIENCE_S, (source, 0) if source else None)
