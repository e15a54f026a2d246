"""What a terminal's requests mean. Knows no socket: message in, message out."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, Protocol

import msgspec
import structlog
import trio

from protocol import Reason, TerminalNumber
from protocol.messages import (
    EchoAnswer,
    EchoRequest,
    EnrolAnswer,
    EnrolRequest,
    KeyAnswer,
    KeyRequest,
    Message,
    OfflineSaleAnswer,
    OfflineSaleRequest,
    OfflineVerdict,
    PasswordChangeRequest,
    PasswordRequest,
    Reject,
    SignOffAnswer,
    SignOffRequest,
    UploadAnswer,
    UploadRequest,
    UploadVerdict,
)
from protocol.messages.key_change import NO_WRAPPED_KEY
from protocol.response_codes import RESPONSE_CODES as ALL_CODES
from server.gate import Gate
from server.handlers import CALLS, HANDLERS, Call, Handler
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.ledger import Ledger
from server.ledger.model import Asked, Command, Decision, Outcome
from server.ledger.store import StorePaused
from server.metrics import Metrics
from server.operations.desk import Desk
from server.payers import NO_KEYS, Caller, Payers, SessionKeys
from server.permits import Permits
from server.pin_alarm import LOCKS, PinAlarm

log = structlog.get_logger("service")

QUARANTINED: Final = (Decision.OFFLINE_TAMPERED, Decision.ID_CONFLICT, Decision.TERMINAL_REVOKED)
"""What keeps an offline record apart."""
WAITS: Final = (Decision.ORIGINAL_UNKNOWN, Decision.CARD_UNKNOWN)
"""Why an upload is not decided, other than for the host's sake."""
WAIT_LINE_EVERY_S: Final = 60.0
"""Least time between two log lines about uploads that wait: each asks again every half a minute. The counter has them
all."""
CODES: Final = (*ALL_CODES,)
APPROVED: Final = "00"
NOT_PERMITTED: Final = "58"


class Enroller(Protocol):
    """Redeems one-time enrolment codes and changes keys; called in the ledger's thread."""

    def redeem_code(self, terminal_id: int, serial_number: str, wrapped_code: bytes | None) -> tuple[int, bytes] | None:
        """Key version and root key, or None if the code is used up, expired, bound to another serial number, or not
        `wrapped_code`, the one the session was opened with."""

    def next_key(self, terminal_id: int, key_version: int) -> bytes | None:
        """The next root key, wrapped for the terminal; None if no key of this number waits for it."""

    def adopt_key(self, terminal_id: int, key_version: int) -> bool:
        """Put in force a waiting key that was proved; whether this version is in force now."""


class Service:
    """Answers the requests of authenticated terminals."""

    def __init__(
        self,
        gate: Gate,
        ledger: Ledger,
        enroller: Enroller,
        desk: Desk,
        metrics: Metrics,
        *,
        now_ms: Callable[[], int],
        config_version: Callable[[], int],
    ) -> None:
        self._gate = gate
        self._ledger = ledger
        self._enroller = enroller
        self._desk = desk
        self._payers = Payers(desk.secrets, now_ms)
        self._permits = Permits(trio.current_time)
        self._pin_alarm = PinAlarm(gate, desk.registry.store, metrics, now_ms)
        self._metrics = metrics
        self._now_ms = now_ms
        self.config_version = config_version
        names = (*(one.name for one in HANDLERS.values()), *(one.name for one in CALLS.values()))
        # Looking a labelled child up by name costs more than counting: resolve them once.
        self._counters = {
            (name, code): metrics.authorizations.labels(type=name, code=code) for name in names for code in CODES
        }
        self._waiting = metrics.uploads.labels(verdict="waiting")
        self._next_wait_line_s = -inf
        self._uploads = {verdict: metrics.uploads.labels(verdict=verdict.name.lower()) for verdict in UploadVerdict}
        self._offline = {one: metrics.offline_sales.labels(verdict=one.name.lower()) for one in OfflineVerdict}
        self._latency = {name: metrics.latency_seconds.labels(type=name) for name in names}

    async def handle(self, terminal: TerminalNumber, message: Message, keys: SessionKeys = NO_KEYS) -> Message:
        """The answer to one request of an open session, which has these keys."""
        handler = HANDLERS.get(type(message))
        if handler is not None:
            return await self._decide(handler, terminal, message, keys)
        call = CALLS.get(type(message))
        if call is not None:
            return await self._look_up(call, terminal, message)
        await trio.lowlevel.checkpoint()
        if isinstance(message, EchoRequest):
            return EchoAnswer(
                host_time_ms=self._now_ms(),
                business_day=self._ledger.business_day,
                config_version=self.config_version(),
            )
        if isinstance(message, SignOffRequest):
            return SignOffAnswer()
        if isinstance(message, KeyRequest):
            return await self._next_key(terminal, message)
        return self._refuse(terminal, message, "a request of an enrolled terminal's session")

    async def _next_key(self, terminal: TerminalNumber, message: KeyRequest) -> KeyAnswer:
        wrapped = await self._gate.call(self._enroller.next_key, terminal.to_int(), message.key_version)
        code = NOT_PERMITTED if wrapped is None else APPROVED
        log.info("key fetched", terminal=str(terminal), key_version=message.key_version, code=code)
        return KeyAnswer(response_code=code, key_version=message.key_version, wrapped_key=wrapped or NO_WRAPPED_KEY)

    async def adopt_key(self, terminal: TerminalNumber, key_version: int) -> bool:
        """Whether the key that a handshake has proved is in force, now that a waiting one has been put in force.

        Raises StorePaused while the ledger cannot be written: then there must be no READY, which makes the terminal
        forget the key before.
        """
        return await self._gate.call(self._enroller.adopt_key, terminal.to_int(), key_version)

    def _refuse(self, terminal: TerminalNumber, message: Message, expected: str) -> Reject:
        """A message type that this session may not send."""
        reject = not_permitted(message, expected)
        self._metrics.frames_rejected.labels(reason=Reason.STATE.value).inc()
        log.info("request refused", terminal=str(terminal), expected=reject.expected, got=reject.got)
        return reject

    async def _decide(self, handler: Handler, terminal: TerminalNumber, message: Message, keys: SessionKeys) -> Message:
        started_s = trio.current_time()
        caller = Caller(terminal.to_int(), keys, self._payers)
        command = handler.to_command(caller, message)
        if handler.passwords:
            outcome = await self._decide_with_password(handler, terminal, command)
        else:
            outcome = await self._gate.submit(command, in_background=handler.in_background)
        decision = outcome.decision
        if decision == Decision.ID_CONFLICT:
            self._metrics.id_conflicts.inc()
            log.error(
                handler.conflict,
                terminal=str(terminal),
                batch=getattr(message, "batch", 0),
                stan=getattr(message, "stan", 0),
                **_evidence(message),
            )
        elif decision in LOCKS:
            await self._pin_alarm.note(terminal, decision)
        self._count(handler.name, RESPONSE_CODES[decision], started_s)
        answer: Message = handler.to_answer(message, outcome)
        if isinstance(answer, UploadAnswer):
            self._note_upload(terminal, answer, outcome)
        elif isinstance(answer, OfflineSaleAnswer) and isinstance(message, OfflineSaleRequest):
            self._note_offline(terminal, message, answer, outcome)
        return answer

    async def _decide_with_password(self, handler: Handler, terminal: TerminalNumber, command: Command) -> Outcome:
        """Tell the ledger whether the password was checked; the journal knows whether this is a copy, which needs
        none."""
        assert isinstance(command, Asked)
        terminal_id, batch, stan = command.identity
        if not self._permits.take(terminal_id, (batch, stan), handler.passwords):
            command = msgspec.structs.replace(command, lacks_password=True)
        outcome = await self._gate.submit(command)
        if outcome.decision not in (Decision.BUSY, Decision.FAULT):
            is_approved = outcome.decision == Decision.APPROVED
            self._permits.decided(terminal_id, (batch, stan), is_approved=is_approved, is_copy=outcome.replayed)
        if outcome.decision == Decision.PASSWORD_MISSING and not outcome.replayed:
            log.warning(
                "refused: expected its password to be checked just before",
                terminal=str(terminal),
                what=handler.name,
                batch=batch,
                stan=stan,
            )
        return outcome

    def _note_upload(self, terminal: TerminalNumber, answer: UploadAnswer, outcome: Outcome) -> None:
        """Count an upload, and say now and then what waits: the office may have to issue a card again."""
        if outcome.decision not in WAITS:
            self._uploads[answer.verdict].inc()
            return
        self._waiting.inc()
        if trio.current_time() >= self._next_wait_line_s:
            self._next_wait_line_s = trio.current_time() + WAIT_LINE_EVERY_S
            log.warning(
                "upload waits for what the backup did not have: its card, or the transaction it is about",
                terminal=str(terminal),
                batch=answer.batch,
                stan=answer.stan,
                why=outcome.decision.name.lower(),
            )

    def _note_offline(
        self, terminal: TerminalNumber, asked: OfflineSaleRequest, answer: OfflineSaleAnswer, outcome: Outcome
    ) -> None:
        """Count an offline record, and say so if somebody has to look at it: nothing is skipped in silence."""
        self._offline[answer.verdict].inc()
        if outcome.decision in QUARANTINED and not outcome.replayed:
            log.error(
                "offline record not booked: it is in the quarantine, for a person to look at",
                terminal=str(terminal),
                batch=asked.batch,
                stan=asked.stan,
                saf_sequence=asked.saf_sequence,
                why=outcome.decision.name.lower(),
            )
        elif answer.verdict is OfflineVerdict.GAP:
            log.warning(
                "offline record does not follow the one before",
                terminal=str(terminal),
                expected=answer.next_saf_sequence,
                got=asked.saf_sequence,
            )

    async def _look_up(self, call: Call, terminal: TerminalNumber, message: Message) -> Message:
        """Answer in the ledger's thread what is no command of the ledger."""
        started_s = trio.current_time()
        try:
            ask = self._gate.call_alone if call.is_long else self._gate.call
            answer = await ask(call.run, self._desk, terminal.to_int(), message)
        except StorePaused:  # said in the log by the gate
            answer = call.undecided(message, RESPONSE_CODES[Decision.FAULT])
        code = getattr(answer, "response_code", APPROVED)
        if code == APPROVED and isinstance(message, PasswordRequest | PasswordChangeRequest):
            self._permits.grant(terminal.to_int(), message.purpose)
        self._count(call.name, code, started_s)
        return answer

    def _count(self, name: str, code: str, started_s: float) -> None:
        self._counters[(name, code)].inc()
        self._latency[name].observe(trio.current_time() - started_s)

    async def enrol(self, wrapped_code: bytes | None, terminal: TerminalNumber, message: Message) -> Message:
        """The answer inside a session opened by a one-time code: there is nothing else it may ask."""
        if isinstance(message, SignOffRequest):
            await trio.lowlevel.checkpoint()
            return SignOffAnswer()
        if not isinstance(message, EnrolRequest):
            await trio.lowlevel.checkpoint()
            return self._refuse(terminal, message, "an enrolment request, in a session opened by a one-time code")
        granted = await self._gate.call(
            self._enroller.redeem_code, terminal.to_int(), message.serial_number, wrapped_code
        )
        if granted is None:
            return EnrolAnswer(response_code=NOT_PERMITTED, key_version=0, root_key=bytes(32))
        log.info("terminal enrolled", terminal=str(terminal), key_version=granted[0])
        return EnrolAnswer(response_code="00", key_version=granted[0], root_key=granted[1])


def _evidence(message: Message) -> dict[str, int]:
    """For the log: what a lost host had answered to a sale that this one knows otherwise."""
    if not isinstance(message, UploadRequest):
        return {}
    return {"lost_rrn": message.rrn, "lost_posted_at_ms": message.posted_at_ms}


def not_permitted(message: Message, expected: str) -> Reject:
    """A reject for a message type that this session may not send."""
    layout = message.layout
    return Reject(
        rejected_mti=layout.mti,
        rejected_processing_code=layout.processing_code,
        response_code=NOT_PERMITTED,
        offset=4,
        field="mti",
        expected=expected[:64],
        got=layout.title,
    )
