"""The terminals: real brains on real shells, each with a memory that outlives power cuts and a line to the host."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

import trio

from protocol.messages import EntryMode, Message, Ready
from protocol.messages.money import MAX_STAN, THIS_TERMINAL, TransactionKind
from terminal_emulator.brain import Brain
from terminal_emulator.desk import HOMES
from terminal_emulator.dialog import Ask, Confirm, Dialog, Digits, Pages, Print, Show, Stop, Transact
from terminal_emulator.effects import Effect, Key, Now, Outcome, Send
from terminal_emulator.flows.echo import claimed_time_s
from terminal_emulator.functions import sign_on as functions_sign_on
from terminal_emulator.functions.settlement import settlement
from terminal_emulator.load import keys_for
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.settled import Settlement
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.terminal import Terminal, Ticker, Write
from terminal_emulator.till import Till
from terminal_emulator.view import Screen
from tests.simulation.host import StepKill
from tests.simulation.network import Line
from tests.simulation.oracle import Oracle, content_of
from tests.simulation.world import World, describe

STOP_HASH_SIZE: Final = 8
READERS: Final = frozenset({"open_records", "kept", "acknowledged"})
"""Methods of a storage that change nothing."""


def stop_hash(token: bytes) -> bytes:
    """How a stop list names a card (docs/protocol.md)."""
    return sha256(token).digest()[:STOP_HASH_SIZE]


@contextmanager
def quick_locks() -> Iterator[None]:
    """Inside, a terminal's own hash of a password takes no tenth of a second of the processor."""
    before, vars(functions_sign_on)["SCRYPT_N"] = functions_sign_on.SCRYPT_N, 2
    try:
        yield
    finally:
        vars(functions_sign_on)["SCRYPT_N"] = before


class PowerCut(BaseException):
    """The terminal has lost power. Nothing may catch it."""


class Flash:
    """The terminal's memory as one life sees it: every change is durable when its call returns, unless power goes
    before or after it. `image` is what survives.
    """

    def __init__(self, image: MemoryStorage, device: Device) -> None:
        self._image = image
        self._device = device
        self.dead = False
        self.cut_at = ""
        """ "before" or "after": the next change meets a power cut there."""

    def save(self, record: Record) -> None:
        """See `Storage`."""
        self.change(self._image.save, record)

    def save_settlement(self, settlement: Settlement) -> None:
        """See `Storage`."""
        self._device.oracle.settling(self._device.name, self._device.terminal_id, settlement)
        self.change(self._image.save_settlement, settlement)

    def change(self, change: Callable[..., Any], *args: Any) -> Any:
        """Do it, durably."""
        if self.dead:
            raise PowerCut
        if self.cut_at == "before":
            self._device.cut_power("before a write")
            raise PowerCut
        if args and isinstance(args[0], Record):
            self._device.check_stop_list(args[0])
        result = change(*args)
        if args and isinstance(args[0], Record):
            self._device.oracle.stored(self._device.name, self._device.terminal_id, args[0])
        if self.cut_at == "after":
            self._device.cut_power("after a write")
            raise PowerCut
        return result

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._image, name)
        if not callable(found) or name in READERS:
            return found
        return lambda *args: self.change(found, *args)


def copy_of(image: MemoryStorage) -> MemoryStorage:
    """The same content, independent from now on."""
    copied = copy.copy(image)
    for name in MemoryStorage.__slots__:
        if isinstance(value := getattr(image, name), dict | set | list):
            setattr(copied, name, copy.copy(value))
    return copied


class SimBrain(Brain):
    """A real brain somebody listens to."""

    def __init__(self, device: Device, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._device = device

    def link_up(self, ready: Ready, now: Any, *, epoch: int = 0) -> list[Effect]:
        """See Brain."""
        self._device.oracle.ready(self._device.name, self._device.terminal_id, ready, epoch)
        return super().link_up(ready, now, epoch=epoch)

    def answer(self, message: Message, now: Any) -> list[Effect]:
        """See Brain."""
        device = self._device
        device.oracle.heard(device.name, device.terminal_id, device.asked, message)
        return super().answer(message, now)

    def order(self, record: Record, now: Now, pin: str = "") -> list[Effect]:
        """What a dialog does that has asked all its questions: have the record stored, sent and decided."""

        def dialog() -> Dialog:
            yield Transact(record, pin)

        return self.begin(dialog(), now)

    def settle(self, now: Now) -> list[Effect]:
        """The cashier chooses settlement and presses Enter whenever there is something to read. Where a supervisor is
        needed it is left alone: honest terminals never need one."""
        return self.begin(with_hands(settlement(self.till)), now)

    def work(self, function: Callable[[Till], Dialog], keyed: Sequence[str], now: Now) -> list[Effect]:
        """The cashier chooses a function and keys what is asked for, as long as there is something to be keyed."""
        return self.begin(with_hands(function(self.till), keyed), now)


def with_hands(dialog: Dialog, keyed: Sequence[str] = ()) -> Dialog:
    """A dialog in which digits are keyed one after the other, and every other question is answered with Enter; it ends
    where that is no answer."""
    reply: Any = None
    digits = iter(keyed)
    while True:
        try:
            prompt = dialog.send(reply)
        except (StopIteration, Stop):
            return
        if isinstance(prompt, Confirm | Show | Pages):
            reply = True if isinstance(prompt, Confirm) else None
        elif isinstance(prompt, Digits):
            reply = next(digits, "")
            if not prompt.low <= len(reply) <= prompt.high:
                return  # nothing left to be keyed, or meant for another prompt: the keypad would not take it
        elif isinstance(prompt, Ask | Print):
            reply = yield prompt
        else:
            return


class SimTerminal(Terminal):
    """A real terminal's shell, watched."""

    def __init__(self, device: Device, brain: Brain, **shell: Any) -> None:
        super().__init__(brain, show=self._notice, **shell)
        self._device = device

    def after(self, effects: list[Effect]) -> list[Write]:
        """See Terminal."""
        device = self._device
        for effect in effects:
            if isinstance(effect, Send):
                device.asked = effect.message
                device.oracle.sent(device.name, device.terminal_id, device.image, effect.message)
        return super().after(effects)

    def _notice(self, effect: Effect) -> None:
        device = self._device
        if isinstance(effect, Outcome):
            device.told(effect.record)


class Device:
    """One terminal's hardware: switched on and off, with a line and a memory."""

    def __init__(self, world: World, name: str, settings: Settings, line: Line, oracle: Oracle) -> None:
        self.world = world
        self.name = name
        self.settings = settings
        self.terminal_id = settings.terminal.to_int()
        self.line = line
        self.oracle = oracle
        self.image = MemoryStorage()
        self.asked: Message | None = None
        self.wall_offset_s = 0.0
        self.terminal: SimTerminal | None = None
        self.off_s = 2.0
        self.powered = True
        self.lives = 0
        self.rotating = False
        """A new key was made for it: from now on a double of it would take the key away."""
        self._rng = world.rng("device", name)
        self._flash: Flash | None = None
        self._nursery: trio.Nursery | None = None

    # --- Power

    async def run(self) -> None:
        """Life after life, until cancelled."""
        while True:
            if self.powered:
                await self._live()
            await self.world.time.sleep(self.off_s)

    async def _live(self) -> None:
        self.lives += 1
        self._flash = flash = Flash(self.image, self)
        brain = SimBrain(self, self.settings, flash, jitter=self._rng.random)
        ticker = Ticker()
        terminal = SimTerminal(
            self,
            brain,
            open_stream=self.line.connect,
            random_bytes=self._rng.randbytes,
            wall_clock=self.wall_s,
            ticker=ticker,
            keep_settings=self._keep_settings,
        )
        self.world.note(f"{self.name} on")
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self.terminal = terminal
                terminal.after(brain.power_on(terminal.now()))
                nursery.start_soon(ticker.run)
                nursery.start_soon(terminal.run)
        except* PowerCut:
            pass
        except* Exception as group:
            self.world.violate("S4", f"terminal {self.name} died of {describe(group)}")
        finally:
            self.terminal = self._nursery = None

    def _keep_settings(self, settings: Settings) -> None:
        """The key file: stored as durably as everything else."""
        assert self._flash is not None
        self.world.note(f"{self.name} keeps key {settings.key_version}, next {settings.next_key_version}")
        self._flash.change(self._replace_settings, settings)

    def _replace_settings(self, settings: Settings) -> None:
        if settings.key_version > self.settings.key_version:
            self.world.counts["keys changed"] += 1
            self.oracle.key_changed(self.terminal_id, self.image)
        self.settings = settings

    def enrol_anew(self, settings: Settings) -> None:
        """Somebody brings another key file; its memory stays."""
        self.cut_power("enrolled anew")
        self.oracle.enrolled_anew(self.terminal_id, self.image)
        self.settings = settings

    def wall_s(self) -> float:
        """The terminal's own clock."""
        return self.world.wall_ms() / 1000 + self.wall_offset_s

    def cut_power(self, why: str) -> None:
        """Off, this instant: nothing of this life is sent or stored any more."""
        if self._flash is None or self._flash.dead:
            return
        self._flash.dead = True
        self.world.note(f"{self.name} off: {why}")
        self.oracle.forgot(self.name)
        self.terminal = None
        self.line.lose_terminal(told=False)
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def cut_power_after(self, steps: int) -> None:
        """The same after so many steps of the scheduler."""
        StepKill(steps, lambda: None if self.world.calm else self.cut_power("at a step"))

    def cut_power_at_write(self, where: str) -> None:
        """The same "before" or "after" the next change of the memory."""
        if self._flash is not None:
            self._flash.cut_at = where

    # --- Cashier and customer

    @property
    def is_free(self) -> bool:
        """Whether the cashier can begin a sale."""
        terminal = self.terminal
        return terminal is not None and terminal.brain.online and not terminal.brain.busy

    @property
    def is_shut(self) -> bool:
        """Whether it is locked, or wants somebody to sign on before it sells."""
        return self.terminal is not None and self.terminal.brain.till.shut is not None

    @property
    def is_offline_by_hand(self) -> bool:
        """Whether its cashier has switched to selling without a host."""
        return self.terminal is not None and self.terminal.brain.till.offline_mode

    @property
    def is_done(self) -> bool:
        """Whether it is online, and every sale has its final state."""
        terminal = self.terminal
        if terminal is None or not terminal.brain.online or terminal.brain.unresolved:
            return False
        return not terminal.brain.offline_waiting

    def sell(self, card: bytes, amount_fen: int, *, taps: int = 1) -> bool:
        """Key an amount, hold a card to the reader; whether a sale began."""
        terminal = self.terminal
        if terminal is None or not (self.is_free or self.sells_offline):
            return False
        brain, now = terminal.brain, terminal.now()
        made, was_shut = len(self.image.waiting), self.is_shut
        try:
            self._go_home(brain, now)
            for key in keys_for(amount_fen):
                brain.key(key, now)
            for _ in range(taps):
                self.perform(terminal.after(brain.tap(card, now)))
            if brain.view.screen is Screen.DIALOG:  # the same card and amount again: "once more?"
                self.perform(terminal.after(brain.key(Key.ENTER, now)))
        except PowerCut:
            return False
        sells = brain.busy or len(self.image.waiting) > made
        self.world.check(not (was_shut and sells), "T6", f"{self.name} sells, though it is locked or nobody is there")
        if len(self.image.waiting) > made:
            self.world.counts["sales offline"] += 1
            return True
        return brain.busy

    @property
    def sells_offline(self) -> bool:
        """Whether it takes cards though it has no host: its limits allow it, and its cashier does."""
        terminal = self.terminal
        if terminal is None or terminal.brain.busy:
            return False
        return not terminal.brain.online and terminal.brain.till.sells_offline

    def check_stop_list(self, record: Record) -> None:
        """What is sold without a host is sold to nobody on the list this terminal holds."""
        if record.state is not RecordState.OFFLINE or record.identity in self.image.records:
            return
        stopped = stop_hash(record.payer) in self.image.stopped
        self.world.check(not stopped, "T5", f"{self.name} STAN {record.stan}: sold to a card on its own stop list")

    def _go_home(self, brain: Brain, now: Now) -> None:
        """At rest, Clear would be the first key of a combination."""
        if brain.view.screen not in HOMES:
            brain.key(Key.CLEAR, now)

    def follow_up(
        self,
        kind: TransactionKind,
        amount_fen: int,
        payer: bytes,
        original: Record | None = None,
        of: Device | None = None,
        *,
        entry_mode: EntryMode = EntryMode.CARD,
        pin: str = "",
    ) -> bool:
        """Do what is no plain sale, about `original` of that device (None: of this one); whether it began."""
        terminal = self.terminal
        if terminal is None or not self.is_free or self.image.is_full:
            return False
        brain, now = terminal.brain, terminal.now()
        assert isinstance(brain, SimBrain)
        batch, stan = self.image.used
        if stan >= MAX_STAN:
            return False
        record = Record(
            kind=kind,
            batch=batch,
            stan=stan + 1,
            amount_fen=amount_fen,
            payer=payer,
            claimed_at_s=claimed_time_s(now.wall_s),
            operator=self.settings.operator,
            entry_mode=entry_mode,
            original_terminal=THIS_TERMINAL if of is None else of.terminal_id,
            original_batch=0 if original is None else original.batch,
            original_stan=0 if original is None else original.stan,
        )
        if pin:
            identity = (self.terminal_id, batch, stan + 1)
            self.oracle.pins[identity, content_of(record, self.terminal_id)] = pin
        try:
            self.perform(terminal.after(brain.order(record, now, pin)))
        except PowerCut:
            return False
        return brain.busy

    def settle(self) -> bool:
        """Settle what there is, or go on with it; whether that began."""
        return self._begin(lambda brain, now: brain.settle(now))

    def work(self, function: Callable[[Till], Dialog], *keyed: str) -> bool:
        """Do something that is no transaction, keying this; whether that began."""
        return self._begin(lambda brain, now: brain.work(function, keyed, now))

    def _begin(self, what: Callable[[SimBrain, Now], list[Effect]]) -> bool:
        terminal = self.terminal
        if terminal is None or not self.is_free:
            return False
        brain = terminal.brain
        assert isinstance(brain, SimBrain)
        try:
            self.perform(terminal.after(what(brain, terminal.now())))
        except PowerCut:
            return False
        return True

    def perform(self, writes: list[Write]) -> None:
        """Send what a terminal wants sent."""
        if writes and self.terminal is not None and self._nursery is not None:
            self._nursery.start_soon(self.terminal.perform, writes)

    def told(self, record: Record) -> None:
        """The customer sees a final word."""
        state = record.state
        self.world.counts[f"sales {state.value}"] += state is not RecordState.REVERSED
        self.world.counts["reversals"] += state is RecordState.REVERSED
        self.oracle.told(self.name, self.terminal_id, record)
