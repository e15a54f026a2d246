"""What the cashier is doing: the amount being keyed, a dialog, the result of the last sale. Here keys and taps end.

The desk knows no line. What it wants of the host it leaves in `order` (a record to be decided) or in `job`, and is told
what came of it: `decided`, `done`.
"""

from __future__ import annotations

from math import inf
from typing import Final

from protocol.messages.money import MAX_BATCH, MAX_STAN, TransactionKind
from protocol.messages.parameters import Profile
from terminal_emulator.dialog import Ask, Card, Dialog, Open, Payer, Print, Renumber, Runner, Show, Transact
from terminal_emulator.effects import Beep, BeepKind, ChangeNumber, Effect, Key, PrintReport
from terminal_emulator.flows.ask import AskJob
from terminal_emulator.functions import open_function
from terminal_emulator.functions.pay import PIN_CODES, confirm_repeat, pay_with_pin
from terminal_emulator.keypad import Keypad
from terminal_emulator.keys import AT_REST, COMBINATION_S, COMBINATIONS, FIRST_KEYS, SEQUENCES
from terminal_emulator.news import ERROR_BEEP
from terminal_emulator.offline import OfflineRefusal
from terminal_emulator.record import Record, RecordState
from terminal_emulator.till import Till
from terminal_emulator.view import Link, Lock, Screen

KEY_BEEP: Final = Beep(BeepKind.KEY)

RESULT_SCREENS: Final = {
    RecordState.APPROVED: (Screen.APPROVED, Screen.LAST_APPROVED),
    RecordState.DECLINED: (Screen.DECLINED, Screen.LAST_UNCHARGED),
    RecordState.REVERSED: (Screen.UNCHARGED, Screen.LAST_UNCHARGED),
    RecordState.REVERSING: (Screen.UNCHARGED, Screen.LAST_UNCHARGED),
    RecordState.REPEATING: (Screen.REPEATING, Screen.LAST_REPEATING),
    RecordState.OFFLINE: (Screen.OFFLINE_APPROVED, Screen.OFFLINE_APPROVED),
}
"""What a transaction's new state shows: at once, and when it was found open after a power cut."""

HOMES: Final = frozenset({Screen.IDLE, Screen.OFFLINE_REFUSED, *(at_once for at_once, _ in RESULT_SCREENS.values())})
"""Where the terminal is at rest: the next key begins something new."""


class Desk:
    """See the module's docstring. Every input gives the effects that are to be seen and heard."""

    __slots__ = (
        "_armed",
        "armed_until_s",
        "asks_last",
        "is_stirred",
        "job",
        "keypad",
        "last",
        "last_screen",
        "lock",
        "offline_refusal",
        "order",
        "result",
        "runner",
        "screen",
        "till",
    )

    def __init__(self, till: Till) -> None:
        self.till = till
        self.screen = Screen.OFF
        self.keypad = Keypad()
        self.lock: Lock | None = None
        self.offline_refusal: OfflineRefusal | None = None
        """Why the sale in `result` may not be made without the host."""
        self.result: Record | None = None
        """The transaction on a result screen."""
        self.last: Record | None = None
        """One found open after a power cut and resolved, or one whose reversal is confirmed, to be shown when idle."""
        self.last_screen = Screen.IDLE
        """How `last` is shown."""
        self.runner: Runner | None = None
        self.job: AskJob | None = None
        """What the dialog waits for."""
        self.order: Transact | None = None
        """A record to be stored and decided; the brain takes it away."""
        self.armed_until_s = inf
        """When the wait for the second key of a combination ends; inf: there is none."""
        self._armed: tuple[Key, ...] = ()
        self.is_stirred = False
        """Whether the last input did more than key an amount: then the brain has to look."""
        self.asks_last = False
        """Whether what was found open after a power cut is on the screen, in place of rest."""

    @property
    def is_armed(self) -> bool:
        """Whether Clear was pressed at rest, and a combination may follow."""
        return self._armed == (Key.CLEAR,)

    # --- Inputs

    def key(self, key: Key) -> list[Effect]:
        """A key was pressed, and no transaction is being decided."""
        screen = self.screen
        if screen is Screen.AMOUNT and self.keypad.press(key):
            return [KEY_BEEP]
        if screen is Screen.DIALOG:
            return self._to_dialog(key)
        if screen is Screen.OFF or (screen is Screen.CARD and key is not Key.CLEAR):
            return [ERROR_BEEP]
        if self._armed and key is not Key.CLEAR:
            return self._combine(key)
        if key is Key.CLEAR:
            return self._clear()
        if screen in HOMES:
            return self._at_rest(key)
        if key is Key.ENTER:
            return self._enter()
        if key is Key.DELETE:
            return self._delete()
        return self._begin_amount(key)

    def _clear(self) -> list[Effect]:
        """Home; and at rest already, the first key of a combination."""
        rests = self.screen is Screen.IDLE and self.last is None and not self.asks_last and not self._armed
        self.to_idle()
        if rests and self.till.shut is None and self.till.profile is Profile.CANTEEN:
            self._arm(Key.CLEAR)
        return [KEY_BEEP]

    def _arm(self, *keys: Key) -> None:
        self._armed = keys
        self.is_stirred = True
        self.armed_until_s = self.till.now.monotonic_s + COMBINATION_S

    def disarm(self) -> None:
        """The second key did not come, or has come."""
        self._armed, self.armed_until_s = (), inf

    def _combine(self, key: Key) -> list[Effect]:
        """The next key of a combination or sequence; a key that makes none is just itself after Clear, else nothing."""
        keys = (*self._armed, key)
        self.disarm()
        if keys[0] is Key.CLEAR:
            name = COMBINATIONS.get(key)
            return self._at_rest(key) if name is None else self.open(name)
        if (name := SEQUENCES.get(keys)) is not None:
            return self.open(name)
        if not any(sequence[: len(keys)] == keys for sequence in SEQUENCES):
            return [ERROR_BEEP]
        self._arm(*keys)
        return [KEY_BEEP]

    def _at_rest(self, key: Key) -> list[Effect]:
        """A key other than Clear on the idle screen, or on a result."""
        till = self.till
        if till.shut is not None:
            return self.open(till.way_in)
        if key in FIRST_KEYS:
            self.to_idle()
            self._arm(key)
            return [KEY_BEEP]
        if key is Key.ENTER and (self.screen is not Screen.IDLE or self.last is not None):
            self.to_idle()
            return [KEY_BEEP]
        if (name := AT_REST[till.profile].get(key)) is not None:
            return self.open(name)
        if till.profile is Profile.CANTEEN and not till.fixed_fen:
            return self._begin_amount(key)
        return [ERROR_BEEP]

    def _begin_amount(self, key: Key) -> list[Effect]:
        """A digit or the point on any screen that lets an amount begin, or go on."""
        screen = self.screen
        if screen is Screen.LOCKED or not self.keypad.press(key):
            return [ERROR_BEEP]
        self.result = None
        if screen is Screen.IDLE:
            self.last = None
        self.screen = Screen.AMOUNT
        return [KEY_BEEP]

    def _enter(self) -> list[Effect]:
        if self.result is not None or (self.screen is not Screen.AMOUNT and self.screen is not Screen.NO_LINK):
            self.to_idle()
            return [KEY_BEEP]
        if self.keypad.amount_fen == 0 or not self.may_sell():
            return [ERROR_BEEP]
        self.screen = Screen.CARD
        return [KEY_BEEP]

    def _delete(self) -> list[Effect]:
        if self.screen is not Screen.AMOUNT and self.screen is not Screen.NO_LINK:
            return [ERROR_BEEP]
        self.keypad.delete()
        self.screen = Screen.AMOUNT
        if not self.keypad.text:
            self.to_idle()
        return [KEY_BEEP]

    def to_idle(self) -> None:
        """Home. What was on the screen has been seen."""
        if self.screen is Screen.IDLE:
            self.last = None
        self.disarm()
        self.screen = Screen.IDLE
        self.keypad.clear()
        self.result = None
        self.lock = self.offline_refusal = None

    def may_sell(self, record: Record | None = None, *, online_only: bool = False) -> bool:
        """Whether money could be moved now, or this record decided; if not, the screen says why."""
        storage = self.till.storage
        if storage.is_full:
            self.lock = Lock.MEMORY_FULL
        elif storage.used >= (MAX_BATCH, MAX_STAN):
            self.lock = Lock.NUMBERS_USED_UP
        if self.lock is not None:
            self.screen = Screen.LOCKED
        elif self.till.sells_offline and not online_only and (record is None or record.kind is TransactionKind.SALE):
            return record is None or self._may_sell_offline(record)
        elif self.till.link is not Link.ONLINE:
            self.screen = Screen.NO_LINK
        else:
            return True
        return False

    def _may_sell_offline(self, sale: Record) -> bool:
        self.offline_refusal = self.till.offline_refusal(sale)
        if self.offline_refusal is None:
            return True
        self.keypad.clear()
        self.result, self.screen = sale, Screen.OFFLINE_REFUSED
        return False

    def read(self, payer: Payer) -> list[Effect]:
        """A card was held to the reader, or a payment code scanned."""
        till, screen = self.till, self.screen
        if screen is Screen.DIALOG:
            assert self.runner is not None
            self.is_stirred = True
            effects: list[Effect] = [KEY_BEEP]
            if not self.runner.read(payer):
                return [ERROR_BEEP]
            self._follow(effects)
            return effects
        if not payer.may_pay:
            return [ERROR_BEEP]
        if screen is Screen.CARD:
            return self._sell(payer, self.keypad.amount_fen)
        if screen not in HOMES or till.shut is not None:
            return [ERROR_BEEP]
        if till.fixed_fen:
            self.to_idle()
            return self._sell(payer, till.fixed_fen)
        if till.profile is Profile.MEMBER:
            till.carried = payer
            return self.open("card_first", keeps_card=True)
        return [ERROR_BEEP]

    def _sell(self, payer: Payer, amount_fen: int) -> list[Effect]:
        """The plain sale: one tap and it is on its way."""
        record = self.till.new_record(TransactionKind.SALE, amount_fen, payer)
        if not self.may_sell(record):
            return [ERROR_BEEP]
        self.keypad.clear()
        if self.till.is_repeat(payer, amount_fen):
            return [ERROR_BEEP, *self.begin(confirm_repeat(self.till, payer, amount_fen))]
        self.order = Transact(record)
        self.is_stirred = True
        return [KEY_BEEP]

    # --- Dialogs

    def open(self, name: str, *, keeps_card: bool = False) -> list[Effect]:
        """Begin a function, or a menu."""
        self.to_idle()
        if not keeps_card:
            self.till.carried = None
        return [KEY_BEEP, *self.begin(open_function(self.till, name))]

    def begin(self, dialog: Dialog) -> list[Effect]:
        """Open a dialog."""
        self.is_stirred = True
        self.screen = Screen.DIALOG
        self.runner = Runner(dialog)
        effects: list[Effect] = []
        self._follow(effects)
        return effects

    def _to_dialog(self, key: Key) -> list[Effect]:
        assert self.runner is not None
        self.is_stirred = True
        if key is Key.CLEAR:
            self.go_home()
            return [KEY_BEEP]
        if not self.runner.press(key):
            return [ERROR_BEEP]
        effects: list[Effect] = [KEY_BEEP]
        self._follow(effects)
        return effects

    def go_home(self) -> None:
        """Whatever the cashier was doing is over."""
        self._end()
        self.to_idle()

    def _end(self) -> None:
        if self.runner is not None:
            self.runner.close()
        self.runner = self.job = None
        self.till.carried = None

    def _follow(self, effects: list[Effect]) -> None:
        """Do what the dialog's prompt wants done, until it wants something of a person, of the host, or nothing."""
        runner = self.runner
        assert runner is not None
        while (prompt := runner.prompt) is not None:
            if isinstance(prompt, Print):
                effects.append(PrintReport(prompt.slip))
                runner.reply(None)
            elif isinstance(prompt, Renumber):
                self.till.renumber(prompt.terminal)
                effects.append(ChangeNumber(prompt.terminal))
                runner.reply(None)
            elif isinstance(prompt, Open):
                runner.close()
                runner = self.runner = Runner(open_function(self.till, prompt.name))
            elif isinstance(prompt, Card) and self.till.carried is not None:
                payer, self.till.carried = self.till.carried, None
                runner.read(payer)  # a code is refused where only a card will do
            elif isinstance(prompt, Ask) and not self.till.online:
                runner.reply(None)
            elif isinstance(prompt, Ask):
                self.job = AskJob(prompt.message, prompt.pin)
                return
            elif isinstance(prompt, Transact):
                if self.may_sell(prompt.record, online_only=prompt.online_only):
                    self.order = prompt
                else:
                    self._end()  # the screen says why
                    if self.screen is Screen.NO_LINK:
                        self.result = prompt.record
                    effects.append(ERROR_BEEP)
                return
            else:
                if isinstance(prompt, Show) and prompt.beep is not None:
                    effects.append(Beep(prompt.beep))
                return
        self._end()
        if self.screen is Screen.DIALOG:
            self.to_idle()

    def decided(self, record: Record, effects: list[Effect]) -> None:
        """The record of the order has a new state: show it, or tell the dialog that waits for it."""
        self.result = record
        self.screen = RESULT_SCREENS[record.state][0]
        runner = self.runner
        if runner is not None and isinstance(runner.prompt, Transact):
            runner.reply(record)
            if runner.prompt is not None:
                self.result = None
                self.screen = Screen.DIALOG
            self._follow(effects)
        elif record.state is RecordState.DECLINED and record.response_code in PIN_CODES:
            self.result = None
            effects += self.begin(pay_with_pin(self.till, record))

    def found_out(self, record: Record) -> None:
        """What was open has been decided in the background. If it is on the screen, that goes on telling the truth;
        else it is told when the terminal is idle."""
        if self.result is not None and self.result.identity == record.identity:
            self.result = record
            self.screen = RESULT_SCREENS[record.state][0]
        else:
            self.last, self.last_screen = record, RESULT_SCREENS[record.state][1]

    def undone(self, record: Record) -> None:
        """Its reversal is confirmed, and that is told when the terminal is idle. Not of a sale: its customer has paid
        again long ago. Whoever waits to undo something once more, or has cash in the hand, has to know."""
        if record.kind is not TransactionKind.SALE:
            self.last, self.last_screen = record, Screen.LAST_REVERSED

    def done(self, job: AskJob, effects: list[Effect]) -> None:
        """The question is answered, or will not be."""
        if job is not self.job:
            return
        assert self.runner is not None
        self.job = None
        self.runner.reply(job.answer)
        self._follow(effects)
