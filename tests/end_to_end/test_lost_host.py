"""A host loses its disk and is put back from a backup: real terminals bring every sale back, and none is charged twice.

Everything is real but the sockets and the clock: brains with their memories in files, sessions, gate, ledger.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from server.ledger.ledger import Ledger
from server.ledger.model import OFFLINE_DEBT_ACCOUNT
from server.ledger.sqlite import SqliteStore
from server.ledger.verify import verify
from terminal_emulator.brain import Brain
from terminal_emulator.desk import HOMES
from terminal_emulator.effects import Effect, Key, Note, Outcome, Tap
from terminal_emulator.file_storage import FileStorage
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.terminal import Terminal, Ticker, Write
from terminal_emulator.view import Link, Screen
from tests.server.host import CARD, OTHER_CARD, START_FEN, START_MS, STRANGER, HostRig, open_host
from tests.server.ledger import audit
from tests.server.ledger.campus import NO_LIMITS
from tests.wire import Till

pytestmark = pytest.mark.slow

NEW_CARD = b"\x04\x77\x88\x99"
"""Issued after the backup was made."""


class DeafStream(trio.abc.HalfCloseableStream):
    """A stream that loses whatever the host says while `is_deaf()`."""

    def __init__(self, stream: trio.StapledStream, is_deaf: Callable[[], bool]) -> None:
        self._stream, self._is_deaf = stream, is_deaf

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while True:
            data = await self._stream.receive_some(max_bytes)
            if not data or not self._is_deaf():
                return bytes(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class WatchedTerminal(Terminal):
    """Says when something has happened to it."""

    def __init__(self, campus: Campus, **parts: Any) -> None:
        self._campus = campus
        super().__init__(**parts)

    def after(self, effects: list[Effect]) -> list[Write]:
        writes = super().after(effects)
        self._campus.changed.set()
        return writes


class Pos:
    """A terminal with its memory in a folder. `on` for as long as it has power."""

    def __init__(self, campus: Campus, till: Till, folder: Path) -> None:
        self.campus, self.till, self.folder = campus, till, folder
        self.effects: list[Effect] = []
        self.is_deaf = False
        self.storage: FileStorage
        self.brain: Brain
        self.terminal: Terminal
        self._scope = trio.CancelScope()

    async def open_stream(self) -> trio.abc.Stream:
        if self.campus.rig is None:
            raise OSError("nobody there")
        return DeafStream(self.campus.rig.connect(), lambda: self.is_deaf)

    def switch_on(self, nursery: trio.Nursery) -> None:
        self.storage = FileStorage(self.folder)
        settings = Settings(terminal=self.till.number, root_key=self.till.root_key, key_version=self.till.key_version)
        rng = random.Random(self.till.number.to_int())
        self.brain = Brain(settings, self.storage, jitter=rng.random)
        ticker = Ticker()
        self.terminal = WatchedTerminal(
            self.campus,
            brain=self.brain,
            open_stream=self.open_stream,
            random_bytes=rng.randbytes,
            wall_clock=lambda: START_MS / 1_000 + trio.current_time(),
            ticker=ticker,
            show=self.effects.append,
        )
        self.terminal.after(self.brain.power_on(self.terminal.now()))
        self._scope = trio.CancelScope()

        async def run() -> None:
            with self._scope:
                async with trio.open_nursery() as own:
                    own.start_soon(ticker.run)
                    own.start_soon(self.terminal.run)

        nursery.start_soon(run)

    async def cut_power(self) -> None:
        """What was in its working memory is gone; so is its line, which the host does not notice at once."""
        self._scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        self.storage.close()

    async def begin_sale(self, amount: str, card: bytes) -> None:
        if self.brain.view.screen not in HOMES:  # there, Clear would be the first key of a combination
            await self.terminal.feed(Key.CLEAR)
        for key in (*map(Key, amount), Key.ENTER):
            await self.terminal.feed(key)
        await self.terminal.feed(Tap(card))
        if self.brain.view.screen is Screen.DIALOG:  # the same again?
            await self.terminal.feed(Key.ENTER)
        assert self.brain.busy

    async def sell(self, amount: str, card: bytes = CARD) -> Record:
        before = len(self.outcomes)
        await self.begin_sale(amount, card)
        await self.campus.until(lambda: len(self.outcomes) > before)
        return self.outcomes[-1]

    async def sell_unheard(self, amount: str, card: bytes = CARD) -> None:
        """The host books it, its answer is lost, and the customer is told "not charged"."""
        self.is_deaf = True
        await self.begin_sale(amount, card)
        await self.campus.until(lambda: not self.brain.busy)
        assert self.brain.view.pending_reversals == 1

    async def hear_again(self) -> None:
        self.is_deaf = False
        await self.campus.until(lambda: self.brain.unresolved == 0)

    @property
    def outcomes(self) -> list[Record]:
        return [effect.record for effect in self.effects if isinstance(effect, Outcome)]

    @property
    def notes(self) -> list[str]:
        return [effect.kind.value for effect in self.effects if isinstance(effect, Note)]

    @property
    def is_settled(self) -> bool:
        """Online, and nothing left to be told."""
        brain = self.brain
        return brain.online and brain.is_line_free and not brain.unresolved and brain.view.upload is None


class Campus:
    """The host of the moment, None while there is none, and the terminals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rig: HostRig | None = None
        self.tills: list[Pos] = []
        self.nursery: trio.Nursery
        self.changed = trio.Event()

    def add_till(self) -> Pos:
        assert self.rig is not None
        till = self.rig.enrol()
        pos = Pos(self, till, self.folder / f"till-{till.number}")
        pos.switch_on(self.nursery)
        self.tills.append(pos)
        return pos

    def back_up(self) -> Path:
        assert self.rig is not None
        path = self.folder / f"backup-{len([*self.folder.glob('backup-*')])}"
        self.rig.store.execute("VACUUM INTO ?", (str(path),))
        return path

    @asynccontextmanager
    async def host(self, backup: Path | None = None, *, at_ms: int = START_MS, **options):
        """A host until the end of the block, which is the end of its disk as well."""
        store = None
        if backup is not None:
            store = SqliteStore(backup)
            Ledger(store, NO_LIMITS).open_history(at_ms)
        async with open_host(store=store, **options) as rig:
            rig.clock.ms = at_ms
            self.rig = rig
            try:
                yield rig
                audit.check(rig.store)
                assert [check for check in verify(rig.store) if not check.ok] == []
            finally:
                self.rig = None

    async def until(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(600):
            while not condition():
                self.changed = trio.Event()
                await self.changed.wait()

    async def settled(self) -> None:
        await self.until(lambda: all(pos.is_settled for pos in self.tills))

    def assert_books_are_the_tills(self) -> None:
        """Every sale a terminal holds for approved is charged once, and no other sale of it is."""
        assert self.rig is not None
        wanted = {
            (pos.till.number.to_int(), *record.identity): record.amount_fen
            for pos in self.tills
            for record in pos.storage.records.values()
            if record.state is RecordState.APPROVED
        }
        charged = {
            row[:3]: row[3]
            for row in self.rig.store.execute(
                "SELECT terminal_id, batch, stan, amount_fen FROM transfers AS t WHERE side = 0 AND decision = 0"
                " AND terminal_id > 0 AND NOT EXISTS (SELECT 1 FROM transfers AS r WHERE r.side = 1"
                " AND (r.terminal_id, r.batch, r.stan) = (t.terminal_id, t.batch, t.stan))"
            )
        }
        assert charged == wanted


@pytest.fixture
async def campus(tmp_path):
    campus = Campus(tmp_path)
    async with trio.open_nursery() as nursery:
        campus.nursery = nursery
        yield campus
        nursery.cancel_scope.cancel()
    for pos in campus.tills:
        pos.storage.close()


def uploads(rig: HostRig) -> dict[str, int]:
    """How many uploads the host has answered, by verdict."""
    verdicts = ("restored", "known", "reversed", "conflict", "not_open", "undecided")
    counts = {verdict: int(rig.count("uploads_total", verdict=verdict)) for verdict in verdicts}
    return {verdict: count for verdict, count in counts.items() if count}


def copy_of(backup: Path) -> Path:
    """Opening a backup makes a ledger of it; this one can be opened once more."""
    return Path(shutil.copy(backup, f"{backup}-again"))


async def morning(campus: Campus) -> Path:
    """Three tills sell before and after a backup, with everything that can happen to a sale; the backup."""
    rig = campus.rig
    assert rig is not None
    first, second, third = (campus.add_till() for _ in range(3))
    await campus.settled()
    await first.sell("12")
    await second.sell("3.5", OTHER_CARD)
    await third.sell("1", STRANGER)
    await second.sell_unheard("2", CARD)
    await second.hear_again()
    await third.sell_unheard("4", OTHER_CARD)  # in the backup it is booked; its reversal is not
    backup = campus.back_up()
    await third.hear_again()
    admin = rig.host.admin
    admin.accounts.topup("S1", 5_000, 2, 9)
    admin.cards.issue(NEW_CARD.hex(), "S3", "Coy")
    admin.accounts.topup("S3", 5_000, 2, 10)
    for pos, amount, card in (
        (first, "70", CARD),
        (second, "50", CARD),
        (first, "9", OTHER_CARD),
        (third, "8", OTHER_CARD),
        (third, "6", NEW_CARD),
        (first, "999", OTHER_CARD),
    ):
        await pos.sell(amount, card)
    await first.sell_unheard("5", OTHER_CARD)
    await first.hear_again()
    await second.sell("7", OTHER_CARD)
    assert rig.balance_fen() == 15_000 - 1_200 - 7_000 - 5_000
    campus.assert_books_are_the_tills()
    return backup


async def test_every_sale_comes_back_once_and_every_reversal_stays_one(campus, autojump_clock):
    async with campus.host() as lost:
        backup = await morning(campus)
        said = {pos: list(pos.outcomes) for pos in campus.tills}
        epoch = campus.tills[0].brain.last_epoch
    assert lost.store is not None
    await campus.until(lambda: not any(pos.brain.online for pos in campus.tills))

    async with campus.host(backup, at_ms=START_MS + 3_600_000) as rig:
        await campus.settled()
        campus.assert_books_are_the_tills()
        assert uploads(rig) == {"known": 2, "restored": 6}
        assert rig.host.ledger.history == 2
        assert {pos.storage.history for pos in campus.tills} == {(2, rig.host.ledger.restored_at_s)}
        assert all(pos.brain.last_epoch > epoch for pos in campus.tills)
        # The lost top-up of 50 yuan and the unknown card of 6: what was eaten for money this ledger knows nothing of.
        debt = rig.store.load_accounts([OFFLINE_DEBT_ACCOUNT])[OFFLINE_DEBT_ACCOUNT]
        assert (rig.balance_fen(), debt.balance_fen) == (0, -(13_200 - START_FEN) - 600)
        assert rig.balance_fen(OTHER_CARD) == START_FEN - 350 - 900 - 800 - 700
        assert {pos: pos.outcomes for pos in campus.tills} == said, "no record of a terminal has changed"
        for pos in campus.tills:
            assert pos.notes.count("host_restored") == pos.notes.count("upload_done") == 1
            assert not {"record_differs", "upload_refused", "host_rolled_back"} & {*pos.notes}
            assert not pos.brain.view.host_rolled_back
        await campus.tills[0].sell("1", OTHER_CARD)

        # Power off and on, so that each asks READY anew: nothing is left to be uploaded.
        before = uploads(rig), rig.transfers()
        for pos in campus.tills:
            await pos.cut_power()
            pos.switch_on(campus.nursery)
        await campus.settled()
        assert (uploads(rig), rig.transfers()) == before


async def test_a_second_loss_is_mended_from_the_same_backup(campus, autojump_clock):
    """The second restore gets the number of the first: the terminals tell the two apart all the same."""
    async with campus.host():
        backup = await morning(campus)
        again = copy_of(backup)
    async with campus.host(backup, at_ms=START_MS + 1_000):
        await campus.settled()
        await campus.tills[0].sell("1", OTHER_CARD)
    async with campus.host(again, at_ms=START_MS + 2_000) as rig:
        await campus.settled()
        assert rig.host.ledger.history == 2
        campus.assert_books_are_the_tills()
        assert not any("host_rolled_back" in pos.notes for pos in campus.tills)


async def test_a_terminal_that_loses_power_in_mid_upload_starts_over(campus, autojump_clock):
    async with campus.host():
        pos = campus.add_till()
        backup = campus.back_up()
        await campus.settled()
        for _ in range(12):
            await pos.sell("1", OTHER_CARD)
    async with campus.host(backup) as rig:
        for cut_at in (1, 5, 11):
            await campus.until(lambda cut_at=cut_at: (upload := pos.brain.view.upload) and upload.done >= cut_at)
            await pos.cut_power()
            assert pos.storage.history == (1, 0)
            pos.switch_on(campus.nursery)
        await campus.settled()
        campus.assert_books_are_the_tills()
        assert uploads(rig)["restored"] == 12
        assert uploads(rig)["known"] >= 1 + 5 + 11
        assert rig.balance_fen(OTHER_CARD) == START_FEN - 1_200


async def test_a_terminal_that_is_younger_than_the_backup_is_enrolled_anew_and_brings_its_sales(campus, autojump_clock):
    """The host has never heard of its key; its memory does not depend on it."""
    async with campus.host() as rig:
        merchant_id = rig.merchant_id
        backup = campus.back_up()
        pos = campus.add_till()
        await campus.settled()
        for _ in range(3):
            await pos.sell("1", OTHER_CARD)
    async with campus.host(backup) as rig:
        await campus.until(lambda: pos.brain.link is Link.REFUSED)
        enrolled = rig.host.admin.terminals.enrol(str(pos.till.number), merchant_id)
        await pos.cut_power()
        pos.till = Till(pos.till.number, bytes.fromhex(enrolled["root_key"]), enrolled["key_version"])
        pos.switch_on(campus.nursery)
        await campus.settled()
        campus.assert_books_are_the_tills()
        assert uploads(rig) == {"restored": 3}


async def test_whoever_waits_at_the_till_goes_before_the_upload(campus, autojump_clock):
    async with campus.host():
        pos = campus.add_till()
        backup = campus.back_up()
        await campus.settled()
        for _ in range(30):
            await pos.sell("1", OTHER_CARD)
    async with campus.host(backup) as rig:
        await campus.until(lambda: pos.brain.view.upload and pos.brain.view.upload.done == 3)
        assert (await pos.sell("2.5", OTHER_CARD)).state is RecordState.APPROVED
        assert pos.brain.view.upload.done < 6, "the sale did not wait for the upload's end"
        await pos.sell_unheard("4", OTHER_CARD)
        await pos.hear_again()
        await campus.settled()
        campus.assert_books_are_the_tills()
        found = uploads(rig)
        assert found["restored"] == 30, "what was sold meanwhile is none of it"
        assert found.get("known", 0) <= 1, "the one whose answer was lost, and no other, was sent again"
        assert rig.balance_fen(OTHER_CARD) == START_FEN - 3_000 - 250


async def test_when_uploads_are_not_taken_any_more_it_is_said_once(campus, autojump_clock):
    """What is already there is known; the reversals are taken all the same."""
    async with campus.host():
        backup = await morning(campus)
    store = SqliteStore(backup)
    ledger = Ledger(store, NO_LIMITS)
    ledger.open_history(START_MS)
    assert ledger.close_recovery(START_MS + 1)
    async with open_host(store=store) as rig:
        campus.rig = rig
        await campus.settled()
        assert uploads(rig) == {"known": 2, "not_open": 3}
        assert all(pos.brain.view.host_rolled_back for pos in campus.tills), "somebody has to look into it"
        assert all(pos.notes.count("upload_refused") == 1 for pos in campus.tills)
        assert rig.balance_fen(OTHER_CARD) == START_FEN - 350, "the reversal the backup lacks has come all the same"
        before = uploads(rig)
        for pos in campus.tills:
            await pos.cut_power()
            pos.switch_on(campus.nursery)
        await campus.settled()
        assert uploads(rig) == before

        # An operator opens another recovery: now all of it comes.
        rig.host.ledger.open_history(START_MS + 2)
        for pos in campus.tills:
            await pos.cut_power()
            pos.switch_on(campus.nursery)
        await campus.settled()
        campus.assert_books_are_the_tills()
        assert not any(pos.brain.view.host_rolled_back for pos in campus.tills)
        audit.check(rig.store)


async def test_a_host_put_back_without_a_word_is_noticed_and_mended_later(campus, autojump_clock):
    """Somebody copies an old file back and starts the host: nothing is uploaded, every till says so."""
    async with campus.host():
        backup = await morning(campus)
        again = copy_of(backup)
    async with open_host(store=SqliteStore(backup)) as rig:
        campus.rig = rig
        await campus.settled()
        assert uploads(rig) == {}
        assert all(pos.brain.view.host_rolled_back for pos in campus.tills)
    campus.rig = None
    async with campus.host(again):
        await campus.settled()
        campus.assert_books_are_the_tills()
        assert not any(pos.brain.view.host_rolled_back for pos in campus.tills)
