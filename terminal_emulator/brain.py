"""The terminal without its hardware: keys, taps, answers and the time go in, effects come out. It does no I/O.

    effects = brain.power_on(now) | key(key, now) | tap(uid, now) | scan(text, now) | link_up(ready, now)
              | link_down(link, now) | answer(message, now) | tick(now)

The shell carries out the effects in order and calls `tick` at `deadline_s`. What is on the screen is `brain.view`.

Three things are kept apart: what the cashier is doing (`desk`), the conversations with the host (`flows`), and the
line, of which there is one and on which one request may be outstanding (`_pump`). The line is given to the flow that
needs it most; a sale whose turn has not come is stored already and waits.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from msgspec.structs import replace

from protocol.limits import ANSWER_TIMEOUT_S
from protocol.messages import (
    EchoAnswer,
    EntryMode,
    Message,
    MoneyRequest,
    ParametersAnswer,
    Ready,
    Reject,
    ReversalAnswer,
    SignOnAnswer,
)
from protocol.messages.fields import PAYER_SIZE
from protocol.messages.money import TransactionKind
from protocol.security import saf_key
from terminal_emulator.backoff import Jitter, middle
from terminal_emulator.desk import RESULT_SCREENS, Desk
from terminal_emulator.dialog import Dialog, Payer
from terminal_emulator.effects import (
    Effect,
    HangUp,
    Key,
    Note,
    NoteKind,
    Now,
    Outcome,
    PrintSlip,
    Send,
)
from terminal_emulator.flows import APPROVED, NON_FINAL, Flow
from terminal_emulator.flows.ask import AskJob
from terminal_emulator.flows.background import Background
from terminal_emulator.flows.echo import EchoFlow
from terminal_emulator.flows.offline import OfflineFlow
from terminal_emulator.flows.parameters import ParametersFlow
from terminal_emulator.flows.reversal import ReversalFlow
from terminal_emulator.flows.stop_list import StopListFlow
from terminal_emulator.flows.transaction import TransactionFlow
from terminal_emulator.flows.upload import UploadFlow
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.news import ERROR_BEEP, OK_BEEP, news_of
from terminal_emulator.offline import Chain, sealed
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.sight import Work, view_of
from terminal_emulator.storage import Storage
from terminal_emulator.till import Till
from terminal_emulator.view import Link, Screen, View


class Brain:
    """See the module's docstring. `jitter` gives numbers 0 <= x < 1. Storage errors pass through: they are fatal."""

    __slots__ = (
        "_answer_due_s",
        "_asked",
        "_background",
        "_desk",
        "_echo",
        "_host_rolled_back",
        "_offline",
        "_parameters",
        "_recovered",
        "_reversals",
        "_sale",
        "_stop_list",
        "_storage",
        "_upload",
        "deadline_s",
        "jitter",
        "till",
    )

    def __init__(
        self, settings: Settings, storage: Storage, *, jitter: Jitter = middle, translate: Translate = N_
    ) -> None:
        self.jitter = jitter
        self.till = Till(settings, storage, translate)
        self.deadline_s = inf
        """When `tick` is wanted next, on the monotonic clock; inf: not at all."""
        self._storage = storage
        self._desk = Desk(self.till)
        self._host_rolled_back = False  # until it is switched off: newer sales hide the gap from the next READY
        self._sale: TransactionFlow | None = None  # the transaction somebody waits for
        self._recovered: list[TransactionFlow] = []
        self._reversals = ReversalFlow(jitter)
        self._upload = UploadFlow(storage, jitter)
        self._parameters = ParametersFlow(self.till)
        self._offline = OfflineFlow(storage, jitter, lambda: self.till.holds_back)
        self._stop_list = StopListFlow(storage, jitter, lambda: self.till.offline_limits.allow_any)
        self._echo = EchoFlow()
        self._background = Background(self._parameters, self._upload, self._offline, self._stop_list, self._echo)
        self._asked: Flow | None = None  # whose request is outstanding
        self._answer_due_s = inf
        self.till.watch_work(
            lambda: self.unresolved + self._upload.is_working + self._offline.is_running,
            lambda: self._reversals.refused,
        )

    # --- What a shell may ask

    @property
    def settings(self) -> Settings:
        """What makes this terminal this terminal."""
        return self.till.settings

    @property
    def link(self) -> Link:
        """The state of the line."""
        return self.till.link

    @property
    def online(self) -> bool:
        """Whether a session is open."""
        return self.till.link is Link.ONLINE

    @property
    def busy(self) -> bool:
        """Whether people are waiting: a transaction has been sent and is not decided. Keys and taps are ignored."""
        return self._sale is not None

    @property
    def unresolved(self) -> int:
        """How many transactions have no final state yet, reversals included."""
        return (self._sale is not None) + len(self._recovered) + len(self._reversals)

    @property
    def offline_waiting(self) -> int:
        """How many sales were made without the host, and have no verdict of it yet."""
        return len(self._storage.waiting)

    @property
    def is_line_free(self) -> bool:
        """Whether the session is open and no request is outstanding."""
        return self._asked is None and self.till.link is Link.ONLINE

    @property
    def last_epoch(self) -> int:
        """The host's epoch seen last, for Hello."""
        return self._storage.epoch

    @property
    def last_saf_sequence(self) -> int:
        """The number of the newest record ever made offline, for Hello."""
        return self._storage.chain[0]

    @property
    def view(self) -> View:
        """The screen now; made when asked for."""
        work = Work(self._sale, self._recovered, self._reversals, self._upload)
        return view_of(self._desk, work, host_rolled_back=self._host_rolled_back)

    # --- What happens to a terminal

    def power_on(self, now: Now) -> list[Effect]:
        """The first call. Transactions found open are asked about, or reversed, as soon as there is a session.
        StorageError: they are another terminal's."""
        assert self._desk.screen is Screen.OFF
        self._storage.claim(self.settings.terminal)
        self._desk.screen = Screen.IDLE
        self.till.now = now
        self.till.power_on()
        self._offline.power_on()
        for record in self._storage.open_records():
            if record.state is RecordState.PENDING:
                self._recovered.append(TransactionFlow(record, now.monotonic_s, self.jitter, recovered=True))
            else:
                self._reversals.add(record, now.monotonic_s)
        newest = self._storage.records.get(self._storage.used)
        if newest is not None and newest.state in RESULT_SCREENS:
            self._desk.found_out(newest)  # its slip may be missing: the power may have gone before it was printed
        return self._pump(now, [])

    def key(self, key: Key, now: Now) -> list[Effect]:
        """A key was pressed."""
        desk = self._desk
        self.till.now = now
        if self._sale is not None:
            return [ERROR_BEEP]
        desk.asks_last = bool(self._recovered)
        effects = desk.key(key)
        return self._did(effects, now) if desk.is_stirred else effects

    def tap(self, uid: bytes, now: Now) -> list[Effect]:
        """A card was held to the reader. A sale is stored, then sent."""
        if not 1 <= len(uid) <= PAYER_SIZE or not self._may_act(now):
            return [ERROR_BEEP]
        effects = self._desk.read(Payer(uid))
        return self._did(effects, now) if self._desk.is_stirred else effects

    def scan(self, text: str, now: Now) -> list[Effect]:
        """A code was held to the scanner."""
        if not text.isascii() or not 1 <= len(text) <= PAYER_SIZE or not self._may_act(now):
            return [ERROR_BEEP]
        return self._did(self._desk.read(Payer(text.encode("ascii"), EntryMode.CODE)), now)

    def begin(self, dialog: Dialog, now: Now) -> list[Effect]:
        """Open this dialog as if its function had been chosen from a menu."""
        if not self._may_act(now):
            return [ERROR_BEEP]
        self._desk.go_home()
        return self._did(self._desk.begin(dialog), now)

    def _may_act(self, now: Now) -> bool:
        self.till.now = now
        return self._sale is None

    def _did(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Somebody did something: put on the line what came of it, and set the clock."""
        desk = self._desk
        desk.is_stirred = False
        if desk.order is None or desk.runner is not None:
            self._background.stir()
        return self._pump(now, effects)

    def use_saf_key(self, key: bytes, other_keys: Collection[bytes], now: Now) -> None:
        """A session is about to open under a root key whose K_saf this is. What was sold offline under one of the
        others is sealed anew: the host knows one key of a terminal at a time."""
        self._offline.begin(key, other_keys, now.monotonic_s)
        self._background.stir()

    def link_up(self, ready: Ready, now: Now, *, epoch: int = 0) -> list[Effect]:
        """A session is open. `epoch` is the host's, from its Challenge."""
        effects: list[Effect] = []
        assert self._asked is None
        self.till.now = now
        self.till.opened(ready)
        self._echo.touch(now.monotonic_s)
        self._background.stir()
        self._parameters.named(ready.config_version, now.monotonic_s)
        newest, used = (ready.last_batch, ready.last_stan), self._storage.used
        if newest > used:
            self._storage.skip_to(*newest)
            effects.append(Note(NoteKind.MEMORY_ROLLED_BACK, f"the host knows {newest}, the newest here was {used}"))
        restored = self._upload.begin(ready, now.monotonic_s)
        self._stop_list.begin(now.monotonic_s)
        if restored:
            self._stop_list.forget()
            self._note_upload(effects)  # in good order: it gets back what it lacks
        elif why := self._why_rolled_back(newest, epoch):
            self._host_rolled_back = True
            effects.append(Note(NoteKind.HOST_ROLLED_BACK, why))
        if restored or epoch > self._storage.epoch:
            self._storage.save_epoch(epoch)  # a new history may begin with a lower one, if its clock was set back
        return self._pump(now, effects)

    def _why_rolled_back(self, newest: tuple[int, int], epoch: int) -> str:
        """How it shows that the host was restored from an old backup, "" if it does not."""
        if newest < (approved := self._storage.newest_approved):
            return f"the host approved {approved} and now knows nothing newer than {newest}: an old backup?"
        if epoch < self._storage.epoch:
            return f"host epoch {epoch}, seen before {self._storage.epoch}"
        return ""

    def _note_upload(self, effects: list[Effect]) -> None:
        effects += self._upload.take_notes()
        if not self._upload.is_running:
            self._host_rolled_back = self._upload.was_refused

    def link_down(self, reason: str, now: Now) -> list[Effect]:
        """The session has ended, or could not be opened; `reason` is a Link other than ONLINE."""
        effects: list[Effect] = []
        self._drop(Link(reason), now, effects)
        return self._pump(now, effects)

    def answer(self, message: Message, now: Now) -> list[Effect]:
        """A message from the host in the open session."""
        flow, self._asked = self._asked, None
        self.till.now = now
        effects: list[Effect] = []
        if flow is None:
            return effects  # nothing was asked: a push, and this version knows none
        if not flow.fits(message):
            effects.append(Note(NoteKind.NOT_OURS, f"{type(message).__name__} does not fit the request"))
            self._asked = flow
            self._drop(Link.GARBLED, now, effects)
            effects.append(HangUp("an answer that does not fit the request"))
            return self._pump(now, effects)
        if isinstance(message, Reject):
            detail = f"{message.rejected_mti:04X}: {message.field}: expected {message.expected}, got {message.got}"
            effects.append(Note(NoteKind.REJECTED, detail))
        elif isinstance(message, ReversalAnswer) and message.response_code not in NON_FINAL | {APPROVED}:
            effects.append(Note(NoteKind.REVERSAL_REFUSED, f"STAN {message.stan}: code {message.response_code}"))
        record = flow.answered(message, now.monotonic_s)
        if type(flow) is not TransactionFlow:
            self._look_around(flow, message, now, effects)
        if record is not None:
            self._take(record, flow, now, effects)
        return self._pump(now, effects)

    def _look_around(self, flow: Flow, message: Message, now: Now, effects: list[Effect]) -> None:
        """An answer to something else than a transaction may concern others than the flow that asked."""
        self._background.stir()
        effects += self._offline.take_notes()
        if flow is self._upload:
            self._note_upload(effects)
        elif isinstance(message, EchoAnswer | SignOnAnswer):
            self._parameters.named(message.config_version, now.monotonic_s)
        if isinstance(message, ParametersAnswer | SignOnAnswer):
            self._stop_list.begin(now.monotonic_s)  # whoever asks for what is new means this, too
        self._look_at_job(effects)

    def tick(self, now: Now) -> list[Effect]:
        """The time has come that `deadline_s` named."""
        effects: list[Effect] = []
        self.till.now = now
        now_s = now.monotonic_s
        if now_s >= self._desk.armed_until_s:
            self._desk.disarm()
        if self._asked is not None and now_s >= self._answer_due_s:
            self._drop(Link.TIMEOUT, now, effects)
            effects.append(HangUp(f"no answer in {ANSWER_TIMEOUT_S:g} s"))
        for flow in self._sales():
            if (record := flow.expired(now_s)) is not None:
                self._take(record, flow, now, effects)
        return self._pump(now, effects)

    # --- The line

    def _sales(self) -> list[TransactionFlow]:
        return [*self._recovered, self._sale] if self._sale is not None else list(self._recovered)

    def _next_request(self, now_s: float) -> tuple[Flow, Message] | None:
        """Who speaks next. First a customer who waits for an answer; a new sale goes after reversals and old sales."""
        sale = self._sale
        if sale is not None and sale.sends and (message := sale.next_request(now_s)) is not None:
            return sale, message
        if (message := self._reversals.next_request(now_s)) is not None:
            return self._reversals, message
        for recovered in self._recovered:
            if (message := recovered.next_request(now_s)) is not None:
                return recovered, message
        if sale is not None and not sale.sends and (message := sale.next_request(now_s)) is not None:
            return sale, message
        if (job := self._desk.job) is not None and (message := job.next_request(now_s)) is not None:
            return job, message
        return self._background.next_request(now_s)

    def _pump(self, now: Now, effects: list[Effect]) -> list[Effect]:
        """If the line is free, send what is due; then set `deadline_s`."""
        now_s, wall_s = now
        if self._desk.order is not None:
            self._begin_order(now_s, effects)
        if self._asked is None and self.till.link is Link.ONLINE:
            self._echo.wall_s = wall_s + self.till.ahead_s
            found = self._next_request(now_s)
            if found is not None:
                self._asked, message = found
                self._answer_due_s = now_s + ANSWER_TIMEOUT_S
                self._echo.touch(now_s)
                effects.append(Send(message, self._pin_for(message)))
        self._set_deadline(now_s)
        return effects

    def _begin_order(self, now_s: float, effects: list[Effect]) -> None:
        """First remember it, then send it; or decide it here alone."""
        order, self._desk.order = self._desk.order, None
        assert order is not None
        if self.till.sells_offline and not order.online_only and order.record.kind is TransactionKind.SALE:
            self._sell_offline(order.record, effects)
            return
        self._storage.save(order.record)
        self._sale = TransactionFlow(order.record, now_s, self.jitter, pin=order.pin)

    def _sell_offline(self, sale: Record, effects: list[Effect]) -> None:
        """The desk has checked it: it is a link of the chain, durably, before anybody is told."""
        if not self._offline.key:
            self._offline.key = saf_key(self.settings.root_key, self.settings.terminal)
        sold = replace(sale, kind=TransactionKind.OFFLINE_SALE, state=RecordState.OFFLINE)
        record = sealed(sold, Chain(*self._storage.chain), self._offline.key, self._storage.stop_version)
        self._storage.save(record)
        self._offline.add(record)
        self._background.stir()
        effects += (OK_BEEP, PrintSlip(record, self.till.merchant))
        self._desk.decided(record, effects)

    def _pin_for(self, message: Message) -> str:
        """The PIN that goes with this request of `_asked`, if one was keyed."""
        flow = self._asked
        if isinstance(flow, TransactionFlow):
            return flow.pin if isinstance(message, MoneyRequest) else ""
        return flow.pin if isinstance(flow, AskJob) else ""

    def _set_deadline(self, now_s: float) -> None:
        if self._asked is not None:
            deadline_s = self._answer_due_s
        elif self.till.link is Link.ONLINE:
            deadline_s = min(self._background.deadline_s(now_s), self._reversals.deadline_s(now_s))
            if self._desk.job is not None:
                deadline_s = min(deadline_s, self._desk.job.deadline_s(now_s))
        else:
            deadline_s = inf
        if self._sale is not None:
            deadline_s = min(deadline_s, self._sale.deadline_s(now_s))
        for flow in self._recovered:
            deadline_s = min(deadline_s, flow.deadline_s(now_s))
        self.deadline_s = min(deadline_s, self._desk.armed_until_s)

    def _drop(self, link: Link, now: Now, effects: list[Effect]) -> None:
        """The session is over: who was waiting for an answer gets none."""
        assert link is not Link.ONLINE
        self.till.link = link
        self._background.stir()
        flow, self._asked = self._asked, None
        if flow is not None and (record := flow.unanswered(now.monotonic_s)) is not None:
            self._take(record, flow, now, effects)
        if (job := self._desk.job) is not None:
            if job is not flow:
                job.unanswered(now.monotonic_s)  # its turn had not come
            self._look_at_job(effects)

    def _look_at_job(self, effects: list[Effect]) -> None:
        job = self._desk.job
        if job is not None and job.is_done:
            self._desk.done(job, effects)

    # --- What became of a transaction

    def _take(self, record: Record, flow: Flow, now: Now, effects: list[Effect]) -> None:
        """A transaction has a new state: first remember it, then show it."""
        self._storage.save(record)
        self.till.note_card(record)
        state = record.state
        if flow is self._offline:
            effects.append(Outcome(record))
            return
        if state in (RecordState.REVERSING, RecordState.REPEATING):
            if flow is self._reversals:
                return  # as open as before: that the host refuses it has been noted
            self._reversals.add(record, now.monotonic_s)
        if state is RecordState.REVERSED and flow is self._reversals:
            effects.append(Outcome(record))
            self._desk.undone(record)
            return
        effects += news_of(record, self.till.merchant)
        if flow is self._sale:
            self._sale = None
            self._desk.decided(record, effects)
        else:
            self._recovered = [other for other in self._recovered if other is not flow]
            self._desk.found_out(record)
