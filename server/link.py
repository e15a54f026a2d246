"""One task per connection: stream <-> protocol.Connection <-> Service, with every deadline and limit.

Faults, three kinds: a refusal is an answer; a peer that breaks the protocol is counted by reason and closed, at its own
cost alone; a fault of ours ends the connection and is logged, and no approval leaves. Its queue is the socket:
nothing more is read from a terminal while its request is in hand.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
import trio

from protocol import (
    NEED_DATA,
    Connection,
    Discarded,
    Event,
    PeerClosed,
    Refused,
    RemoteProtocolError,
    Role,
    State,
    TerminalNumber,
)
from protocol.messages import Auth, Challenge, Hello, Message, Ready
from protocol.security import CHALLENGE_SIZE
from server.admission import Admission
from server.config import Limits
from server.gate import Gate
from server.ledger.devices import Devices, EventKind
from server.ledger.ledger import Ledger
from server.ledger.registry import Registry, TerminalRecord
from server.ledger.rollback import Rollback
from server.ledger.rollback import note as note_rollback
from server.ledger.store import StorePaused
from server.metrics import Metrics
from server.payers import SessionKeys
from server.root_keys import ENROL_KEY_VERSION, Keys, RootKeys
from server.seen import Seen
from server.service import Service
from server.session import Pace, Session
from server.texts import cut_text

log = structlog.get_logger("link")

RECEIVE_SIZE: Final = 8192
"""Bytes read at once: with the framer's one unfinished frame this bounds what a connection buffers."""
MERCHANT_NAME_SIZE: Final = 48
STRANGER_LINES_PER_S: Final = 10
"""Log lines a second about refused frames of unauthenticated connections."""
ENROL_REQUESTS_MAX: Final = 4
"""Requests of a session opened by a one-time code: it needs two, to enrol and to sign off."""
LAST_ANSWER_S: Final = 0.9
"""How long a revoked terminal's request in hand may take: a revocation is done within a second."""
DEADLINE_SLACK: Final = 1 / 16
"""An idle deadline is moved only when it is this part of itself old: moving it for every frame costs more than it
gives."""


class Link:
    """All connections of the host."""

    def __init__(
        self,
        service: Service,
        gate: Gate,
        ledger: Ledger,
        registry: Registry,
        keys: Keys,
        seen: Seen,
        metrics: Metrics,
        limits: Limits,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._service = service
        self._gate = gate
        self._ledger = ledger
        self._registry = registry
        self._seen = seen
        self._root_keys = RootKeys(keys, now_ms=now_ms, random_bytes=random_bytes)
        self._metrics = metrics
        self._limits = limits
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._rollback_noted = False
        self._sessions: dict[TerminalNumber, Session] = {}
        self._connections: set[Session] = set()
        self._claims: dict[TerminalNumber, set[Session]] = {}
        # One for each terminal that was ever authenticated: whoever connects anew does not start anew.
        self._paces: dict[TerminalNumber, Pace] = {}
        self.admission = Admission(limits.pending_handshakes, limits.pending_handshakes_per_source)
        self._stranger_second = 0
        self._stranger_lines = 0
        self._draining = False
        self._all_closed = trio.Event()
        metrics.connections.set_function(lambda: len(self._connections))
        metrics.sessions.set_function(lambda: len(self._sessions))

    # --- Accepting

    async def wait_ready_to_accept(self) -> None:
        """Accept pacing: while as many handshakes as allowed are under way, new connections wait in the backlog."""
        await self.admission.wait_for_place()

    def refuse(self, source: str) -> str | None:
        """Why a connection just accepted must be closed at once, or None. Decides only."""
        if self._draining:
            return "drain"
        if len(self._connections) >= self._limits.connections:
            return "full"
        if not self.admission.is_open_to(source):
            return "source"
        return None

    async def serve(self, stream: trio.abc.Stream, source: str) -> None:
        """One connection from accept to close. Raises nothing of the peer's making."""
        reason = self.refuse(source)
        if reason is not None:
            self._metrics.connections_refused.labels(reason=reason).inc()
            await trio.aclose_forcefully(stream)
            return
        scope = trio.CancelScope()
        session = Session(scope)
        self._connections.add(session)
        try:
            with scope:
                await self._run(stream, source, session)
        finally:
            self._connections.discard(session)
            if self._draining and not self._connections:
                self._all_closed.set()
            self._forget(session)
            await trio.aclose_forcefully(stream)

    async def _run(self, stream: trio.abc.Stream, source: str, session: Session) -> None:
        connection = Connection(Role.HOST)
        reason = "closed"
        self.admission.enter(session, source)
        try:
            session.scope.deadline = trio.current_time() + self._limits.handshake_timeout_s
            try:
                record = await self._shake_hands(stream, source, connection, session)
            finally:
                self.admission.leave(session)
            if record is None:
                return
            if session.terminal is None:
                await self._enrol(stream, connection, session, record)
            else:
                reason = await self._converse(stream, connection, session)
        except RemoteProtocolError as error:
            reason = "protocol"
            self._metrics.frames_rejected.labels(reason=error.reason.value).inc()
            if session.terminal is not None or self._may_log_stranger():
                log.info(
                    "frame refused",
                    terminal=str(connection.terminal),
                    authenticated=session.terminal is not None,
                    source=source,
                    error=str(error),
                )
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            reason = "closed"
        except trio.Cancelled:
            reason = session.end_reason or ("frame_timeout" if connection.mid_frame else "idle")
            raise
        except StorePaused:
            reason = "fault"  # said in the log by the gate; the terminal comes back by itself
        except Exception:
            # Our own bug: this terminal is told nothing, and everybody else goes on.
            reason = "fault"
            log.exception("connection failed", terminal=str(connection.terminal), source=source)
        finally:
            if session.terminal is not None:
                self._metrics.sessions_ended.labels(reason=reason).inc()
                log.info("session ended", terminal=str(session.terminal), reason=reason)
            elif reason in ("idle", "frame_timeout"):
                self._note_handshake(session, "timeout")
                if session.handshake == "timeout" and self._may_log_stranger():
                    log.info(
                        "handshake not finished",
                        terminal=str(connection.terminal),
                        source=source,
                        expected=f"READY within {self._limits.handshake_timeout_s:g} s of connecting",
                        got=connection.state.value,
                    )
            elif reason != "closed":
                self._note_handshake(session, "failed")
                if reason == "crowded":
                    self._metrics.connections_refused.labels(reason=reason).inc()

    def _note_handshake(self, session: Session, result: str) -> None:
        """Count how a handshake ended, once."""
        if session.handshake is None:
            session.handshake = result
            self._metrics.handshakes.labels(result=result).inc()

    def _may_log_stranger(self) -> bool:
        """Whoever is not authenticated must not be able to fill the disk with log lines; the counters see them all."""
        second = int(trio.current_time())
        if second != self._stranger_second:
            self._stranger_second, self._stranger_lines = second, 0
        self._stranger_lines += 1
        return self._stranger_lines <= STRANGER_LINES_PER_S

    # --- Handshake

    async def _ask(self, stream: trio.abc.Stream, connection: Connection, session: Session) -> Event:
        """The peer's turn in a handshake."""
        self.admission.ask(session)
        event = await _next_event(stream, connection)
        self.admission.heard(session)
        return event

    async def _shake_hands(
        self, stream: trio.abc.Stream, source: str, connection: Connection, session: Session
    ) -> TerminalRecord | None:
        """HELLO, CHALLENGE, AUTH, READY. None if the peer went away; RemoteProtocolError for everything not to be
        trusted."""
        hello = await self._ask(stream, connection, session)
        if not isinstance(hello, Hello) or connection.terminal is None:
            return None
        terminal = connection.terminal
        if hello.key_version != ENROL_KEY_VERSION:
            self._claim(session, terminal)
        record = await self._gate.call(self._registry.find_terminal, terminal.to_int())
        key = self._root_keys.of(terminal, record, hello.key_version)
        if isinstance(key, bytes):
            connection.use_key(key)
        else:
            # From outside it looks like any other: the same frames after the same work, and no key that could be right.
            connection.use_key(self._root_keys.dummy())
        await stream.send_all(
            connection.send(
                Challenge(
                    host_challenge=self._random_bytes(CHALLENGE_SIZE),
                    host_time_ms=self._now_ms(),
                    epoch=self._ledger.epoch,
                )
            )
        )
        if not isinstance(key, bytes):
            self._note_handshake(session, "failed")
            if self._may_log_stranger():
                log.info("terminal not admitted", terminal=str(terminal), source=source, expected=key[0], got=key[1])
        auth = await self._ask(stream, connection, session)
        if not isinstance(auth, Auth) or record is None or not isinstance(key, bytes):
            return None
        if hello.last_epoch > self._ledger.epoch:
            await self._note_rollback(terminal, hello.last_epoch)
        next_key_version = record.waiting_version if hello.key_version == record.key_version else 0
        proves_next_key = hello.key_version == record.waiting_version != ENROL_KEY_VERSION
        if proves_next_key and not await self._adopt_key(session, terminal, hello.key_version):
            return None
        newest = await self._gate.call(self._ledger.newest_identity, terminal.to_int())
        await stream.send_all(
            connection.send(
                Ready(
                    host_time_ms=self._now_ms(),
                    business_day=self._ledger.business_day,
                    config_version=self._service.config_version(),
                    sale_limit_fen=self._ledger.limits.sale_limit_fen,
                    last_batch=newest.batch,
                    last_stan=newest.stan,
                    merchant_number=record.merchant_id,
                    merchant_name=cut_text(record.merchant_name, MERCHANT_NAME_SIZE),
                    history=self._ledger.history,
                    restored_at_s=self._ledger.restored_at_s,
                    next_key_version=next_key_version,
                )
            )
        )
        if hello.key_version == ENROL_KEY_VERSION:
            self._note_handshake(session, "enrol")
        else:
            self._note_handshake(session, "ready")
            self._open(session, terminal)
            self._seen.note(terminal.to_int(), hello.firmware)
        return record

    async def _adopt_key(self, session: Session, terminal: TerminalNumber, key_version: int) -> bool:
        """The next key has been proved: it is in force from now on, and nobody stays connected under the one before."""
        if not await self._service.adopt_key(terminal, key_version):
            return False
        for other in self._claims[terminal] - {session}:
            other.end("takeover")
        log.info("key changed", terminal=str(terminal), key_version=key_version)
        return True

    async def _note_rollback(self, terminal: TerminalNumber, seen_epoch: int) -> None:
        """An older ledger seems to stand in a newer one's place. Money must flow all the same: count it, log it, and
        write it down once, for `fanka admin ledger show` and `fanka doctor`."""
        own_epoch = self._ledger.epoch
        self._metrics.rollbacks_seen.inc()
        log.error(
            "terminal has seen a later epoch of this host: is the ledger an old backup?",
            terminal=str(terminal),
            expected=f"at most {own_epoch}",
            got=seen_epoch,
        )
        if not self._rollback_noted:
            self._rollback_noted = True
            seen = Rollback(terminal.to_int(), seen_epoch, own_epoch, self._now_ms())
            with suppress(StorePaused):  # the metric and the log have it
                await self._gate.call(self._save_rollback, seen)

    def _save_rollback(self, seen: Rollback) -> None:
        note_rollback(self._ledger.store, seen)
        detail = f"epoch {seen.seen_epoch}, this host's is {seen.own_epoch}"
        with self._ledger.store.transaction():
            Devices(self._ledger.store).note(seen.terminal_id, seen.noted_at_ms, EventKind.ROLLBACK_SEEN, detail)

    def _claim(self, session: Session, terminal: TerminalNumber) -> None:
        """Note whom HELLO named before the registry is asked, so that a revocation that comes between is not missed.

        Not for enrolment sessions: fetching the new key there ends the sessions under the old one, and a revoked
        terminal gets no key.
        """
        session.claimed = terminal
        self._claims.setdefault(terminal, set()).add(session)

    def _forget(self, session: Session) -> None:
        if session.terminal is not None and self._sessions.get(session.terminal) is session:
            del self._sessions[session.terminal]
        if session.claimed is not None:
            claims = self._claims[session.claimed]
            claims.discard(session)
            if not claims:
                del self._claims[session.claimed]

    def _open(self, session: Session, terminal: TerminalNumber) -> None:
        """One live session per terminal: the newer, authenticated one wins."""
        older = self._sessions.get(terminal)
        if older is not None:
            self._metrics.takeovers.inc()
            log.warning(
                "session taken over by a newer one: a lost line, or two devices with one number", terminal=str(terminal)
            )
            older.end("takeover")
        session.terminal = terminal
        self._sessions[terminal] = session
        log.info("session opened", terminal=str(terminal))

    # --- Conversation

    async def _enrol(
        self, stream: trio.abc.Stream, connection: Connection, session: Session, record: TerminalRecord
    ) -> None:
        """Answer what a one-time code is good for: few requests, all within the time of one handshake.

        Such a session is in nobody's list. This deadline ends it, so that one code cannot hold many connections.
        """
        assert connection.terminal is not None
        session.scope.deadline = trio.current_time() + self._limits.handshake_timeout_s
        for _ in range(ENROL_REQUESTS_MAX):
            event = await _next_event(stream, connection)
            if isinstance(event, Message):
                reply = await self._service.enrol(record.wrapped_code, connection.terminal, event)
            elif isinstance(event, Refused):
                self._note_refused(connection.terminal, event)
                reply = event.reject
            else:
                if isinstance(event, Discarded):
                    self._note_noise(connection.terminal, event)
                return
            await stream.send_all(connection.send(reply))
            if connection.state is State.CLOSED:
                return

    async def _converse(self, stream: trio.abc.Stream, connection: Connection, session: Session) -> str:
        """Answer requests until somebody ends it; the reason it ended."""
        terminal = connection.terminal
        assert terminal is not None
        keys = SessionKeys(connection.pin_key, connection.saf_key)
        limits = self._limits
        pace = self._paces.setdefault(terminal, Pace(limits.requests_per_s))
        scope = session.scope
        slack_s = limits.idle_timeout_s * DEADLINE_SLACK
        deadline_s = scope.deadline = trio.current_time() + limits.idle_timeout_s
        waiting_for_rest = False
        while True:
            event = connection.next_event()
            if event is NEED_DATA:
                now_s = trio.current_time()
                if connection.mid_frame:
                    if not waiting_for_rest:
                        waiting_for_rest = True
                        deadline_s = scope.deadline = now_s + limits.frame_timeout_s
                elif waiting_for_rest or deadline_s - now_s < limits.idle_timeout_s - slack_s:
                    waiting_for_rest = False
                    deadline_s = scope.deadline = now_s + limits.idle_timeout_s
                connection.receive_data(await stream.receive_some(RECEIVE_SIZE))
            elif isinstance(event, Message):
                now_s = trio.current_time()
                if (wait_s := pace.wait_s(now_s)) > 0:
                    await self._slow_down(wait_s)
                session.busy = True
                if waiting_for_rest or deadline_s - now_s < limits.frame_timeout_s:
                    # Whoever asks at the last moment is not idle: the answer gets its time too.
                    waiting_for_rest = False
                    deadline_s = scope.deadline = now_s + limits.idle_timeout_s
                reply = await self._service.handle(terminal, event, keys)
                await stream.send_all(connection.send(reply))
                session.busy = False
                if connection.state is State.CLOSED:
                    return "signed_off"
                if session.last_answer is not None:
                    return session.last_answer
            elif isinstance(event, Refused):
                waiting_for_rest = False  # a whole frame: the next one has its own time
                if (wait_s := pace.wait_s(trio.current_time())) > 0:
                    await self._slow_down(wait_s)
                self._note_refused(terminal, event)
                await stream.send_all(connection.send(event.reject))
            elif isinstance(event, Discarded):
                self._note_noise(terminal, event)
            else:
                return "closed"

    def _note_refused(self, terminal: TerminalNumber, refused: Refused) -> None:
        self._metrics.frames_rejected.labels(reason=refused.error.reason.value).inc()
        log.info("request refused", terminal=str(terminal), error=str(refused.error))

    def _note_noise(self, terminal: TerminalNumber, noise: Discarded) -> None:
        self._metrics.frames_rejected.labels(reason=noise.reason.value).inc()
        log.info(
            "noise discarded",
            terminal=str(terminal),
            size=noise.size,
            reason=noise.reason.value,
            expected=noise.expected,
            got=noise.got,
        )

    async def _slow_down(self, wait_s: float) -> None:
        """A terminal asks faster than any cashier could: read nothing more from it for a while."""
        self._metrics.slowed.inc()
        await trio.sleep(wait_s)

    # --- From outside

    def revoke(self, terminal_id: int) -> None:
        """End every session of a terminal that was just revoked or given a new key, those in their handshake too.

        A request already with the ledger gets its answer first: cutting the line there would leave a customer charged
        at a till that shows "not charged" and may never come back to reverse it.
        """
        for session in [*self._claims.get(TerminalNumber.from_int(terminal_id), ())]:
            session.end_after_answer("revoked", trio.current_time() + LAST_ANSWER_S)

    async def drain(self) -> None:
        """Orderly end: idle connections close now, requests in hand are answered first, all bounded by
        drain_timeout_s."""
        self._draining = True
        for session in [*self._connections]:
            session.end_after_answer("drain", trio.current_time() + self._limits.drain_timeout_s)
        if self._connections:
            with trio.move_on_after(self._limits.drain_timeout_s):
                await self._all_closed.wait()
        for session in [*self._connections]:
            session.end("drain")


async def _next_event(stream: trio.abc.Stream, connection: Connection) -> Event:
    """Read until there is an event. PEER_CLOSED comes as one; RemoteProtocolError passes through."""
    while True:
        event = connection.next_event()
        if isinstance(event, Message | PeerClosed | Refused | Discarded):
            return event
        connection.receive_data(await stream.receive_some(RECEIVE_SIZE))
