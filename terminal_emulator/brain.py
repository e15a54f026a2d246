"""The terminal without its hardware: keys, taps, answers and the time go in, effects come out. It does no I/O.

    effects = brain.power_on(now) | key(key, now) | tap(uid, now) | link_up(ready, now) | link_down(link, now)
              | answer(message, now) | tick(now)

The shell carries out the effects in order and calls `tick` at `deadline_s`. What is on the screen is `brain.view`.

Three things are kept apart: what the cashier is doing (`keypad`), the conversations with the host (`flows`), and the
line, of which there is one and on which one request may be outstanding (`_pump`). The line is given to the flow that
needs it most; a sale whose turn has not come is stored already and waits.
"""

from __future__ import annotations

from math import inf
from typing import Final

from protocol.limits import ANSWER_TIMEOUT_S
from protocol.messages import Message, MoneyRequest, Ready, Reject, ReversalAnswer
from protocol.messages.fields import PAYER_SIZE
from protocol.messages.money import MAX_BATCH, MAX_STAN, EntryMode, TransactionKind
from terminal_emulator.backoff import Jitter, middle
from terminal_emulator.effects import (
    Beep,
    BeepKind,
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
from terminal_emulator.flows.echo import EchoFlow, claimed_time_s
from terminal_emulator.flows.reversal import ReversalFlow
from terminal_emulator.flows.transaction import TransactionFlow
from terminal_emulator.flows.upload import UploadFlow
from terminal_emulator.keypad import Keypad
from terminal_emulator.record import Merchant, Record, RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.storage import Storage
from terminal_emulator.view import Link, Lock, Screen, View

KEY_BEEP: Final = Beep(BeepKind.KEY)
OK_BEEP: Final = Beep(BeepKind.OK)
ERROR_BEEP: Final = Beep(BeepKind.ERROR)

RESULT_SCREENS: Final = {
    RecordState.APPROVED: (Screen.APPROVED, Screen.LAST_APPROVED),
    RecordState.DECLINED: (Screen.DECLINED, Screen.LAST_UNCHARGED),
    RecordState.REVERSED: (Screen.UNCHARGED, Screen.LAST_UNCHARGED),
    RecordState.REVERSING: (Screen.UNCHARGED, Screen.LAST_UNCHARGED),
    RecordState.REPEATING: (Screen.REPEATING, Screen.LAST_REPEATING),
}
"""What a transaction's new state shows: at once, and when it was found open after a power cut."""

SHOWS_BALANCE: Final = frozenset({APPROVED, "51"})


class Brain:
    """See the module's docstring. `jitter` gives numbers 0 <= x < 1. Storage errors pass through: they are fatal."""

    __slots__ = (
        "_answer_due_s",
        "_asked",
        "_echo",
        "_host_rolled_back",
        "_keypad",
        "_last",
        "_lock",
        "_merchant",
        "_recovered",
        "_result",
        "_reversals",
        "_sale",
        "_screen",
        "_storage",
        "_upload",
        "deadline_s",
        "jitter",
        "link",
        "settings",
    )

    def __init__(self, settings: Settings, storage: Storage, *, jitter: Jitter = middle) -> None:
        self.settings = settings
        self.jitter = jitter
        self.link = Link.CONNECTING
        self.deadline_s = inf
        """When `tick` is wanted next, on the monotonic clock; inf: not at all."""
        self._storage = storage
        self._keypad = Keypad()
        self._screen = Screen.OFF
        self._lock: Lock | None = None
        self._host_rolled_back = False  # until it is switched off: newer sales hide the gap from the next READY
        self._merchant: Merchant | None = None
        self._result: Record | None = None  # the sale on a result screen
        self._last: Record | None = None  # a sale found open after a power cut and resolved, to be shown when idle
        self._sale: TransactionFlow | None = None
        self._recovered: list[TransactionFlow] = []
        self._reversals = ReversalFlow(jitter)
        self._upload = UploadFlow(storage, jitter)
        self._echo = EchoFlow()
        self._asked: Flow | None = None  # whose request is outstanding
        self._answer_due_s = inf

    # --- What a shell may ask

    @property
    def online(self) -> bool:
        """Whether a session is open."""
        return self.link is Link.ONLINE

    @property
    def busy(self) -> bool:
        """Whether a customer is waiting: a sale has been tapped and is not decided. Keys and taps are ignored."""
        return self._sale is not None

    @property
    def unresolved(self) -> int:
        """How many sales have no final state yet, reversals included."""
        return (self._sale is not None) + len(self._recovered) + len(self._reversals)

    @property
    def is_line_free(self) -> bool:
        """Whether the session is open and no request is outstanding."""
        return self._asked is None and self.link is Link.ONLINE

    @property
    def last_epoch(self) -> int:
        """The host's epoch seen last, for Hello."""
        return self._storage.epoch

    @property
    def view(self) -> View:
        """The screen now; made when asked for."""
        screen, record, attempt = self._on_screen()
        shows_balance = (
            record is not None
            and record.response_code in SHOWS_BALANCE
            and record.state in (RecordState.APPROVED, RecordState.DECLINED)
        )
        return View(
            screen=screen,
            kind=TransactionKind.SALE if record is None else record.kind,
            link=self.link,
            terminal=self.settings.terminal,
            merchant=self._merchant,
            amount_text=self._keypad.text,
            amount_fen=self._keypad.amount_fen if record is None else record.amount_fen,
            attempt=attempt,
            response_code="" if record is None else record.response_code,
            balance_fen=record.balance_fen if record is not None and shows_balance else None,
            stan=0 if record is None else record.stan,
            pending_reversals=len(self._reversals),
            host_rolled_back=self._host_rolled_back,
            upload=self._upload.progress,
            records_differ=self._upload.differs,
            lock=self._lock,
        )

    def _on_screen(self) -> tuple[Screen, Record | None, int]:
        if (sale := self._sale) is not None:
            if sale.asking:
                return Screen.ASKING, sale.record, sale.sends
            return (Screen.RESENDING if sale.sends > 1 else Screen.SENDING), sale.record, sale.sends
        if self._screen is Screen.IDLE and self._recovered:
            return Screen.LAST_ASKING, self._recovered[0].record, 0
        if self._screen is Screen.IDLE and self._last is not None:
            return RESULT_SCREENS[self._last.state][1], self._last, 0
        return self._screen, self._result, 0

    # --- What happens to a terminal

    def power_on(self, now: Now) -> list[Effect]:
        """The first call. Sales found open are asked about, or reversed, as soon as there is a session."""
        assert self._screen is Screen.OFF
        self._screen = Screen.IDLE
        for record in self._storage.open_records():
            if record.state is RecordState.PENDING:
                self._recovered.append(TransactionFlow(record, now.monotonic_s, self.jitter, recovered=True))
            else:
                self._reversals.add(record, now.monotonic_s)
        return self._pump(now, [])

    def key(self, key: Key, now: Now) -> list[Effect]:
        """A key was pressed."""
        if self._sale is not None:
            return [ERROR_BEEP]
        screen = self._screen
        if screen is Screen.AMOUNT and self._keypad.press(key):
            return [KEY_BEEP]
        if screen is Screen.OFF or (screen is Screen.CARD and key is not Key.CLEAR):
            return [ERROR_BEEP]
        if key is Key.CLEAR:
            self._to_idle()
            return [KEY_BEEP]
        if key is Key.ENTER:
            return self._enter()
        if key is Key.DELETE:
            return self._delete()
        return self._begin_amount(key)

    def _begin_amount(self, key: Key) -> list[Effect]:
        """A digit or the point on any screen that lets an amount begin, or go on."""
        screen = self._screen
        if screen is Screen.LOCKED or not self._keypad.press(key):
            return [ERROR_BEEP]
        self._result = None
        if screen is Screen.IDLE:
            self._last = None
        self._screen = Screen.AMOUNT
        return [KEY_BEEP]

    def _enter(self) -> list[Effect]:
        if self._screen is not Screen.AMOUNT and self._screen is not Screen.NO_LINK:
            return self._dismiss()
        if self._keypad.amount_fen == 0:
            return [ERROR_BEEP]
        if not self._may_sell():
            return [ERROR_BEEP]
        self._screen = Screen.CARD
        return [KEY_BEEP]

    def _delete(self) -> list[Effect]:
        if self._screen is not Screen.AMOUNT and self._screen is not Screen.NO_LINK:
            return [ERROR_BEEP]
        self._keypad.delete()
        self._screen = Screen.AMOUNT
        if not self._keypad.text:
            self._to_idle()
        return [KEY_BEEP]

    def _dismiss(self) -> list[Effect]:
        """Enter takes a result off the screen; on the idle screen it has nothing to do."""
        if self._screen is Screen.IDLE and self._last is None:
            return [ERROR_BEEP]
        self._to_idle()
        return [KEY_BEEP]

    def _to_idle(self) -> None:
        if self._screen is Screen.IDLE:
            self._last = None  # it was on the screen
        self._screen = Screen.IDLE
        self._keypad.clear()
        self._result = None
        self._lock = None

    def _may_sell(self) -> bool:
        """Whether a sale could be sent now; if not, the screen says why."""
        if self._storage.is_full:
            self._lock = Lock.MEMORY_FULL
        elif self._storage.used >= (MAX_BATCH, MAX_STAN):
            self._lock = Lock.NUMBERS_USED_UP
        if self._lock is not None:
            self._screen = Screen.LOCKED
        elif self.link is not Link.ONLINE:
            self._screen = Screen.NO_LINK
        else:
            return True
        return False

    def tap(self, uid: bytes, now: Now) -> list[Effect]:
        """A card was held to the reader."""
        return self._pay(uid, EntryMode.CARD, now)

    def scan(self, text: str, now: Now) -> list[Effect]:
        """A code was held to the scanner. What is no payment code is the same as no code."""
        if not (text.isascii() and text.isdigit()):
            return [ERROR_BEEP]
        return self._pay(text.encode("ascii"), EntryMode.CODE, now)

    def _pay(self, payer: bytes, entry_mode: EntryMode, now: Now) -> list[Effect]:
        """Somebody pays what is on the screen. The sale is stored, then sent."""
        if self._screen is not Screen.CARD or self._sale is not None or not 1 <= len(payer) <= PAYER_SIZE:
            return [ERROR_BEEP]
        if not self._may_sell():
            return [ERROR_BEEP]
        batch, stan = self._storage.used
        batch, stan = (batch + 1, 1) if stan >= MAX_STAN else (batch, stan + 1)
        record = Record(
            batch=batch,
            stan=stan,
            amount_fen=self._keypad.amount_fen,
            payer=payer,
            entry_mode=entry_mode,
            claimed_at_s=claimed_time_s(now.wall_s),
            operator=self.settings.operator,
        )
        self._storage.save(record)
        self._keypad.clear()
        self._sale = TransactionFlow(record, now.monotonic_s, self.jitter)
        return self._pump(now, [KEY_BEEP])

    def link_up(self, ready: Ready, now: Now, *, epoch: int = 0) -> list[Effect]:
        """A session is open. `epoch` is the host's, from its Challenge."""
        effects: list[Effect] = []
        assert self._asked is None
        self.link = Link.ONLINE
        self._merchant = Merchant(ready.merchant_number, ready.merchant_name)
        self._echo.touch(now.monotonic_s)
        newest, used = (ready.last_batch, ready.last_stan), self._storage.used
        if newest > used:
            self._storage.skip_to(*newest)
            effects.append(Note(NoteKind.MEMORY_ROLLED_BACK, f"the host knows {newest}, the newest here was {used}"))
        restored = self._upload.begin(ready, now.monotonic_s)
        if restored:
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
        if flow is self._upload:
            self._note_upload(effects)
        if record is not None:
            self._take(record, flow, now, effects)
        return self._pump(now, effects)

    def tick(self, now: Now) -> list[Effect]:
        """The time has come that `deadline_s` named."""
        effects: list[Effect] = []
        now_s = now.monotonic_s
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
        for flow in (self._upload, self._echo):
            if (message := flow.next_request(now_s)) is not None:
                return flow, message
        return None

    def _pump(self, now: Now, effects: list[Effect]) -> list[Effect]:
        """If the line is free, send what is due; then set `deadline_s`."""
        now_s, wall_s = now
        if self._asked is None and self.link is Link.ONLINE:
            self._echo.wall_s = wall_s
            found = self._next_request(now_s)
            if found is not None:
                self._asked, message = found
                self._answer_due_s = now_s + ANSWER_TIMEOUT_S
                self._echo.touch(now_s)
                pin = self._sale.pin if found[0] is self._sale and isinstance(message, MoneyRequest) else ""
                effects.append(Send(message, pin))
        self._set_deadline(now_s)
        return effects

    def _set_deadline(self, now_s: float) -> None:
        if self._asked is not None:
            deadline_s = self._answer_due_s
        elif self.link is Link.ONLINE:
            idle: tuple[Flow, ...] = (self._echo, self._reversals, self._upload)
            deadline_s = min([flow.deadline_s(now_s) for flow in idle])
        else:
            deadline_s = inf
        if self._sale is not None:
            deadline_s = min(deadline_s, self._sale.deadline_s(now_s))
        for flow in self._recovered:
            deadline_s = min(deadline_s, flow.deadline_s(now_s))
        self.deadline_s = deadline_s

    def _drop(self, link: Link, now: Now, effects: list[Effect]) -> None:
        """The session is over: who was waiting for an answer gets none."""
        assert link is not Link.ONLINE
        self.link = link
        flow, self._asked = self._asked, None
        if flow is not None and (record := flow.unanswered(now.monotonic_s)) is not None:
            self._take(record, flow, now, effects)

    # --- What became of a sale

    def _take(self, record: Record, flow: Flow, now: Now, effects: list[Effect]) -> None:
        """A transaction has a new state: first remember it, then show it."""
        self._storage.save(record)
        state = record.state
        if state in (RecordState.REVERSING, RecordState.REPEATING):
            self._reversals.add(record, now.monotonic_s)
        if state is RecordState.REVERSED and flow is self._reversals:
            effects.append(Outcome(record))
            return
        if flow is self._sale:
            self._sale = None
            self._result = record
            self._screen = RESULT_SCREENS[state][0]
        else:
            self._recovered = [other for other in self._recovered if other is not flow]
            self._last = record
        if state is RecordState.APPROVED:
            effects += (OK_BEEP, PrintSlip(record, self._merchant), Outcome(record))
        elif state.is_open:
            effects.append(ERROR_BEEP)
        else:
            effects += (ERROR_BEEP, Outcome(record))
