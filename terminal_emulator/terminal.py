"""The trio shell of one terminal: connect, handshake, carry the brain's effects out, reconnect for ever.

Two things run: `Terminal.run` reads what the host says, and a `Ticker` tells the brain when its time has come. One
ticker serves any number of terminals, so a load test has one task a terminal and no timer a sale. Whoever holds the
terminal (a screen, a script, a load generator) calls `feed` with keys and taps.

The monotonic clock is trio's, so that tests can make it jump; the wall clock, randomness and the network are passed in.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterable, Awaitable, Callable
from math import inf
from typing import Final

import msgspec
import trio

from protocol import (
    NEED_DATA,
    PEER_CLOSED,
    Connection,
    Discarded,
    NeedData,
    PeerClosed,
    Reason,
    Refused,
    RemoteProtocolError,
    Role,
    State,
    TerminalNumber,
)
from protocol.limits import ANSWER_TIMEOUT_S, HANDSHAKE_TIMEOUT_S, MAX_SESSION_FRAMES, RECONNECT_MAX_S, RECONNECT_MIN_S
from protocol.messages import (
    Auth,
    BalanceRequest,
    Challenge,
    EnrolAnswer,
    EnrolRequest,
    Hello,
    KeyAnswer,
    Message,
    MoneyRequest,
    Ready,
    SignOffRequest,
)
from protocol.pin_block import RANDOM_FILL_SIZE, card_digits, encode_pin_block
from protocol.security import CHALLENGE_SIZE, root_key_from_enrol_code
from terminal_emulator.backoff import Backoff
from terminal_emulator.brain import Brain
from terminal_emulator.effects import ChangeNumber, Effect, HangUp, Input, Now, Scan, Send, Tap
from terminal_emulator.flows import APPROVED
from terminal_emulator.rotation import Keep, Rotation
from terminal_emulator.settings import FIRMWARE
from terminal_emulator.view import Link

RECEIVE_SIZE: Final = 4096
"""Bytes asked of the stream at once: more than any answer of wire version 1."""

FRAMES_LEFT_MIN: Final = 16
"""With fewer frames left in a session, a new one is opened before the next request."""

STABLE_S: Final = RECONNECT_MAX_S
"""A session that lasted this long makes the next pause short again. Two terminals with one number, who push each other
out, thus do it ever more slowly."""

OpenStream = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens a stream to the host, or raises OSError."""

Write = tuple[trio.abc.Stream, bytes | None]
"""A frame to be written to a stream; None: close it."""


class LinkError(Exception):
    """No session: `link` is what to tell the cashier, the text what to tell a log.

    `wrong_key`: the host proved itself with another key than ours.
    """

    def __init__(self, link: Link, detail: str, *, wrong_key: bool = False) -> None:
        self.link = link
        self.wrong_key = wrong_key
        super().__init__(f"{link}: {detail}")


class EnrolError(Exception):
    """Enrolment failed; the text says what to do."""


class Enrolled(msgspec.Struct, frozen=True):
    """What enrolment brings: the terminal's own root key. A secret: not in repr()."""

    key_version: int
    root_key: bytes

    def __repr__(self) -> str:
        return f"<Enrolled key version {self.key_version}>"


async def _receive(stream: trio.abc.Stream, connection: Connection) -> Message:
    """The next message of a handshake, or of a key change behind it; LinkError if there will be none."""
    while True:
        try:
            event = connection.next_event()
            if isinstance(event, NeedData):
                connection.receive_data(await stream.receive_some(RECEIVE_SIZE))
                continue
        except RemoteProtocolError as error:
            # A host that does not know us, or knows another key, proves itself with a key we do not have.
            refused = error.reason is Reason.TAG
            raise LinkError(Link.REFUSED if refused else Link.GARBLED, str(error), wrong_key=refused) from None
        if isinstance(event, PeerClosed):
            # Whoever is refused gets a CHALLENGE first: this host is crowded or stopping, or its database is away.
            raise LinkError(Link.BUSY, "the host closed during the handshake")
        assert not isinstance(event, Refused)
        if isinstance(event, Discarded):
            continue  # noise on the line, which an open session survives: only a key is fetched in one
        return event


async def _shake_hands(stream: trio.abc.Stream, connection: Connection, hello: Hello) -> tuple[Challenge, Ready]:
    """HELLO to READY; LinkError if the host will not."""
    try:
        await stream.send_all(connection.send(hello))
        challenged = await _receive(stream, connection)
        assert isinstance(challenged, Challenge)
        await stream.send_all(connection.send(Auth()))
        ready = await _receive(stream, connection)
        assert isinstance(ready, Ready)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        raise LinkError(Link.LOST, "the connection broke during the handshake") from None
    return challenged, ready


async def _write(stream: trio.abc.Stream, data: bytes | None) -> None:
    """Send, or close; a broken stream is closed, so that whoever reads it notices."""
    try:
        if data is not None:
            await stream.send_all(data)
            return
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    await trio.aclose_forcefully(stream)


class Ticker:
    """Calls `tick` of terminals when their time has come: one sleeping task for all of them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Terminal]] = []
        self._count = 0  # so that equal times never compare terminals
        self._sleep = trio.CancelScope()

    def watch(self, terminal: Terminal) -> None:
        """Make sure to look at this terminal when its brain's deadline comes. Cheap if that is planned already."""
        deadline_s = terminal.brain.deadline_s
        if deadline_s >= terminal.next_look_s:
            return
        terminal.next_look_s = deadline_s
        self._count += 1
        heapq.heappush(self._heap, (deadline_s, self._count, terminal))
        self._sleep.deadline = min(self._sleep.deadline, deadline_s)

    async def run(self) -> None:
        """Until cancelled. Sends are left to tasks of their own: one slow line must not hold up the others."""
        async with trio.open_nursery() as nursery:
            while True:
                now_s = trio.current_time()
                while self._heap and self._heap[0][0] <= now_s:
                    look_s, _, terminal = heapq.heappop(self._heap)
                    if look_s != terminal.next_look_s:
                        continue  # an earlier look was planned after this one
                    terminal.next_look_s = inf
                    if terminal.brain.deadline_s <= now_s and (writes := terminal.tick()):
                        nursery.start_soon(terminal.perform, writes)
                    self.watch(terminal)
                self._sleep = trio.CancelScope(deadline=self._heap[0][0] if self._heap else inf)
                with self._sleep:
                    await trio.sleep_forever()


class Terminal:
    """One terminal on its line. `show` gets every effect that is not about the line, at once and in order."""

    def __init__(
        self,
        brain: Brain,
        *,
        open_stream: OpenStream,
        random_bytes: Callable[[int], bytes],
        wall_clock: Callable[[], float],
        ticker: Ticker,
        show: Callable[[Effect], None],
        keep_settings: Keep | None = None,
    ) -> None:
        self.brain = brain
        self.show = show
        self.rotation = Rotation(brain.settings, keep_settings)
        """The keys. Without `keep_settings`, which stores them durably, they are never changed over the wire."""
        self.next_look_s = inf
        """When the ticker looks at this terminal next: the ticker's own note."""
        self.last_error = ""
        """Why there is no session, for people who debug."""
        self._open_stream = open_stream
        self._random_bytes = random_bytes
        self._wall_clock = wall_clock
        self._ticker = ticker
        self._stream: trio.abc.Stream | None = None
        self._connection: Connection | None = None
        self._frames_left = 0
        self._hung_up = False
        self._is_writing = False
        self._writes: list[Write] = []

    def now(self) -> Now:
        """The time for the brain."""
        return Now(trio.current_time(), self._wall_clock())

    async def feed(self, what: Input) -> None:
        """A key was pressed, a card held to the reader or a code to the scanner."""
        brain, now = self.brain, self.now()
        if isinstance(what, Tap):
            effects = brain.tap(what.uid, now)
        elif isinstance(what, Scan):
            effects = brain.scan(what.text, now)
        else:
            effects = brain.key(what, now)
        await self.perform(self.after(effects))

    def tick(self) -> list[Write]:
        """For the ticker: what there is to perform."""
        return self.after(self.brain.tick(self.now()))

    def after(self, effects: list[Effect]) -> list[Write]:
        """Called after every input to the brain, at once: show what is to be shown, seal what is to be sent."""
        self._ticker.watch(self)
        writes: list[Write] = []
        for effect in effects:
            if isinstance(effect, Send):
                assert self._stream is not None
                assert self._connection is not None
                if self._connection.state is State.CLOSED:
                    # Its end has been read, the stream is being closed, and `run` is about to tell the brain, which
                    # then counts this request as unanswered.
                    continue
                self._frames_left -= 1
                message = self._with_pin(effect.message, effect.pin) if effect.pin else effect.message
                writes.append((self._stream, self._connection.send(message)))
            elif isinstance(effect, HangUp):
                assert self._stream is not None
                self.last_error = effect.reason
                writes.append((self._stream, None))
                self._stream = self._connection = None
                self._hung_up = True
            else:
                if isinstance(effect, ChangeNumber):
                    self._renumber(effect.terminal)
                    if self._stream is not None:
                        writes.append((self._stream, None))  # `run` notices, and connects under the new number
                self.show(effect)
        return writes

    def _renumber(self, number: TerminalNumber) -> None:
        """The keys go by the settings of the rotation. What cannot be stored holds until the power is cut."""
        self.rotation.settings = msgspec.structs.replace(self.rotation.settings, terminal=number)
        self.rotation.keep_settings()

    def _with_pin(self, message: Message, pin: str) -> Message:
        """The request with the PIN in it, enciphered anew for every sending."""
        assert self._connection is not None
        assert isinstance(message, MoneyRequest | BalanceRequest)
        fill = self._random_bytes(RANDOM_FILL_SIZE)
        block = encode_pin_block(self._connection.pin_key, pin, card_digits(message.payer), fill)
        return msgspec.structs.replace(message, pin_block=block)

    async def perform(self, writes: list[Write]) -> None:
        """Write, or close. A line that breaks here is noticed by `run`.

        An answer can come, and lead to the next request, before the task that sent the first one runs again: then that
        task writes the second one too.
        """
        if self._is_writing:
            self._writes += writes
            return
        self._is_writing = True
        try:
            while writes:
                for stream, data in writes:
                    await _write(stream, data)
                writes, self._writes = self._writes, []
        finally:
            self._is_writing = False

    async def run(self) -> None:
        """Until cancelled: keep a session open. Call `brain.power_on` before."""
        backoff = Backoff(RECONNECT_MIN_S, RECONNECT_MAX_S, self.brain.jitter)
        while True:
            began_s = trio.current_time()
            try:
                await self._session()
                error = LinkError(Link.LOST, "the host closed")
            except LinkError as raised:
                error = raised
            lasted_s = trio.current_time() - began_s
            if lasted_s >= STABLE_S:
                backoff.reset()
            hung_up = self._hung_up
            self._stream = self._connection = None
            self._hung_up = False
            if not hung_up:  # otherwise the brain knows
                self.last_error = str(error)
                await self.perform(self.after(self.brain.link_down(error.link, self.now())))
            elif lasted_s >= ANSWER_TIMEOUT_S:
                continue  # a request has waited long enough for its next try
            await trio.sleep(backoff.next_s())

    async def _session(self) -> None:
        """One session from opening the stream to its end; LinkError if it could not be opened or was broken."""
        stream: trio.abc.Stream | None = None
        try:
            with trio.move_on_after(HANDSHAKE_TIMEOUT_S) as patience:
                while True:
                    stream = await self._open()
                    challenge, ready, connection = await self._greet(stream)
                    others = self.rotation.saf_keys if self.brain.offline_waiting else ()
                    self.brain.use_saf_key(connection.saf_key, others, self.now())
                    if not await self._change_key(stream, connection, ready):
                        break
                    await trio.aclose_forcefully(stream)
            if patience.cancelled_caught:
                link = Link.UNREACHABLE if stream is None else Link.TIMEOUT
                raise LinkError(link, f"no session in {HANDSHAKE_TIMEOUT_S:g} s")
            assert stream is not None
            self._stream, self._connection = stream, connection
            self._frames_left = MAX_SESSION_FRAMES - FRAMES_LEFT_MIN
            self.last_error = ""
            while self.rotation.notes:
                self.show(self.rotation.notes.pop(0))
            await self.perform(self.after(self.brain.link_up(ready, self.now(), epoch=challenge.epoch)))
            await self._listen(stream, connection)
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    async def _open(self) -> trio.abc.Stream:
        try:
            return await self._open_stream()
        except OSError as error:
            raise LinkError(Link.UNREACHABLE, str(error)) from None

    async def _greet(self, stream: trio.abc.Stream) -> tuple[Challenge, Ready, Connection]:
        rotation = self.rotation
        connection = Connection(Role.TERMINAL, terminal=self.brain.settings.terminal, root_key=rotation.root_key)
        try:
            hello = Hello(
                key_version=rotation.key_version,
                terminal_challenge=self._random_bytes(CHALLENGE_SIZE),
                last_epoch=self.brain.last_epoch,
                last_saf_sequence=self.brain.last_saf_sequence,
                firmware=FIRMWARE,
            )
            challenge, ready = await _shake_hands(stream, connection, hello)
        except LinkError as error:
            if error.wrong_key:
                rotation.refused()
            raise
        return challenge, ready, connection

    async def _change_key(self, stream: trio.abc.Stream, connection: Connection, ready: Ready) -> bool:
        """Fetch the next root key if there is one, before anybody is told of this session. Whether it was kept, this
        session signed off, and a new one with the new key is to be opened."""
        # What was sold offline goes up under the key it was sealed for; then there is time for another.
        request = self.rotation.accepted(ready, may_fetch=not self.brain.offline_waiting)
        self.brain.till.use_keys_of(self.rotation.settings)
        if request is None:
            return False
        try:
            await stream.send_all(connection.send(request))
            answer = await _receive(stream, connection)
            if not isinstance(answer, KeyAnswer) or not self.rotation.answered(answer, request):
                return False
            await stream.send_all(connection.send(SignOffRequest()))
            await _receive(stream, connection)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkError(Link.LOST, "the connection broke while a key was fetched") from None
        return True

    async def _listen(self, stream: trio.abc.Stream, connection: Connection) -> None:
        """Hand the host's messages to the brain until the session ends."""
        brain = self.brain
        while self._stream is stream:
            try:
                event = connection.next_event()
                if event is NEED_DATA:
                    if self._frames_left <= 0 and brain.is_line_free:
                        return  # the keys of this session have served long enough
                    connection.receive_data(await stream.receive_some(RECEIVE_SIZE))
                    continue
            except RemoteProtocolError as error:
                raise LinkError(Link.GARBLED, str(error)) from None
            except trio.ClosedResourceError:
                return  # hung up, or found broken, by another task
            except trio.BrokenResourceError:
                raise LinkError(Link.LOST, "the connection broke") from None
            if event is PEER_CLOSED:
                return
            if isinstance(event, Message):
                await self.perform(self.after(brain.answer(event, self.now())))


async def run_terminal(
    brain: Brain,
    *,
    open_stream: OpenStream,
    random_bytes: Callable[[int], bytes],
    wall_clock: Callable[[], float],
    inbox: AsyncIterable[Input],
    show: Callable[[Effect], None],
    keep_settings: Keep | None = None,
) -> None:
    """Switch a terminal on and run it until the inbox ends.

    Args:
      brain: new, not switched on yet.
      open_stream: opens a stream to the host, or raises OSError.
      random_bytes: unpredictable bytes, for the handshake.
      wall_clock: seconds since 1970 UTC.
      inbox: keys and taps.
      show: gets every effect that is not about the line; `brain.view` is the screen at that moment.
      keep_settings: stores settings with new keys durably, or raises OSError; None: keys are never changed.

    Raises:
      ExceptionGroup with an OSError: the storage failed. The terminal must be started again.
    """
    ticker = Ticker()
    terminal = Terminal(
        brain,
        open_stream=open_stream,
        random_bytes=random_bytes,
        wall_clock=wall_clock,
        ticker=ticker,
        show=show,
        keep_settings=keep_settings,
    )
    terminal.after(brain.power_on(terminal.now()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ticker.run)
        nursery.start_soon(terminal.run)
        async for what in inbox:
            await terminal.feed(what)
        nursery.cancel_scope.cancel()


async def enrol(
    *,
    terminal: TerminalNumber,
    code: bytes,
    serial_number: str,
    open_stream: OpenStream,
    random_bytes: Callable[[int], bytes],
) -> Enrolled:
    """Trade a one-time enrolment code (16 bytes) for the terminal's own root key.

    Raises EnrolError if the host refuses or does not answer, OSError if it cannot be reached. A code works once:
    after a lost answer, ask for a new one.
    """
    connection = Connection(Role.TERMINAL, terminal=terminal, root_key=root_key_from_enrol_code(code, terminal))
    stream = await open_stream()
    answer: Message | None = None
    try:
        with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
            hello = Hello(key_version=0, terminal_challenge=random_bytes(CHALLENGE_SIZE), firmware=FIRMWARE)
            await _shake_hands(stream, connection, hello)
            await stream.send_all(connection.send(EnrolRequest(serial_number=serial_number)))
            answer = await _receive(stream, connection)
    except (LinkError, trio.BrokenResourceError) as error:
        if isinstance(error, LinkError) and error.wrong_key:
            raise EnrolError(
                f"terminal {terminal}: the host did not accept the code ({error}). A code works once, for some "
                "minutes: ask for a new one, and check the terminal number"
            ) from None
        raise EnrolError(
            f"terminal {terminal}: the connection ended before the host had answered ({error}): try the same code "
            "again; if the host does not accept it then, ask for a new one"
        ) from None
    finally:
        await trio.aclose_forcefully(stream)
    if answer is None:
        raise EnrolError(f"terminal {terminal}: no answer in {HANDSHAKE_TIMEOUT_S:g} s: ask for a new code")
    if not isinstance(answer, EnrolAnswer) or answer.response_code != APPROVED:
        refused = answer.response_code if isinstance(answer, EnrolAnswer) else "a reject"
        raise EnrolError(
            f"terminal {terminal}: expected code 00, got {refused}: the code is used up, expired, or for "
            f"another serial number than {serial_number!r}. It may be void now: ask for a new one"
        )
    return Enrolled(answer.key_version, answer.root_key)
