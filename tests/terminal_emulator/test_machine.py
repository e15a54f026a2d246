"""A terminal one can see and hear: watchers, the printer that fails, the cable that is pulled."""

import pytest
import trio
import trio.testing

from terminal_emulator.effects import BeepKind, Key, Tap
from terminal_emulator.keepsakes import StopListHeld
from terminal_emulator.machine import Cable, Watcher, run_machine
from terminal_emulator.slip import Copy, Slip
from terminal_emulator.storage import MemoryStorage
from tests.terminal_emulator.functions.test_setup import LIMITS
from tests.terminal_emulator.line_host import LineHost, machine_at, until
from tests.terminal_emulator.till import CARD, ToyHost, settings_of


class Diary(Watcher):
    """Writes down what happens."""

    def __init__(self):
        self.beeps = []
        self.slips = []
        self.notes = []

    def beeped(self, kind):
        self.beeps.append(kind)

    def printed(self, slip):
        self.slips.append(slip)

    def noted(self, text):
        self.notes.append(text)


def at(nursery, printer=None):
    host = LineHost(nursery, ToyHost(10_000), settings_of().root_key)
    machine = machine_at(host, paper=printer)
    diary = Diary()
    machine.watch(Watcher())  # one who wants nothing
    machine.watch(diary)
    nursery.start_soon(run_machine, machine)
    return machine, diary


async def sell(machine):
    await until(machine, lambda machine: machine.online)
    for key in (Key.D5, Key.ENTER):
        await machine.feed(key)
    await machine.feed(Tap(CARD))
    await until(machine, lambda machine: machine.unresolved == 0)


async def test_what_a_watcher_is_told(nursery, autojump_clock):
    printed: list[Slip] = []
    machine, diary = at(nursery, printed.append)
    assert machine.lcd[1] in ("", "请输入金额")
    await sell(machine)
    assert diary.beeps == [BeepKind.KEY, BeepKind.KEY, BeepKind.KEY, BeepKind.OK]
    assert [slip.copy for slip in diary.slips] == list(Copy)
    assert printed == diary.slips
    assert diary.notes == ["online", "000001 5.00 approved"]
    assert machine.lcd[0] == "交易成功  000001"


async def test_a_printer_that_fails_changes_nothing_about_the_sale(nursery, autojump_clock):
    def jam(_slip):
        raise OSError("paper jam")

    machine, diary = at(nursery, jam)
    await sell(machine)
    assert diary.slips == []
    assert diary.notes.count("printer failed, the transaction stands: paper jam") == len(Copy)
    assert diary.notes[-1] == "000001 5.00 approved"
    assert machine.lcd[0] == "交易成功  000001"


async def test_a_printer_that_fails_changes_nothing_about_a_reversal(nursery, autojump_clock):
    def jam(_slip):
        raise OSError("paper jam")

    host = LineHost(nursery, ToyHost(10_000), settings_of().root_key)
    machine = machine_at(host, paper=jam)
    diary = Diary()
    machine.watch(diary)
    nursery.start_soon(run_machine, machine)
    await until(machine, lambda machine: machine.online)
    host.mute = True
    for key in (Key.D5, Key.ENTER):
        await machine.feed(key)
    await machine.feed(Tap(CARD))
    await until(machine, lambda machine: not machine.busy)
    assert diary.notes.count("printer failed, the transaction stands: paper jam") == 1
    assert machine.lcd[0] == "未扣款 将冲正"
    host.mute = False
    await until(machine, lambda machine: machine.unresolved == 0)
    assert diary.notes[-1] == "000001 5.00 reversed"
    assert diary.slips == []


async def test_the_line_is_noted(nursery, autojump_clock):
    machine, diary = at(nursery)
    await sell(machine)
    await machine.cut()
    await trio.sleep(3)
    assert not machine.online
    assert any("lost" in note for note in diary.notes)
    assert any("pulled out" in note for note in diary.notes)
    await machine.plug()
    await trio.sleep(60)
    assert machine.online
    assert diary.notes[-1] == "online"


async def test_a_cable_pulled_while_a_stream_is_being_opened():
    opening, go_on = trio.Event(), trio.Event()
    near, _far = trio.testing.memory_stream_pair()

    async def slow():
        opening.set()
        await go_on.wait()
        return near

    cable = Cable(slow)
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="pulled out")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cable.open)
            await opening.wait()
            await cable.cut()
            go_on.set()
    with pytest.raises(trio.ClosedResourceError):
        await near.send_all(b"x")


async def test_what_a_log_should_know_is_noted(nursery, autojump_clock):
    storage = MemoryStorage()
    storage.save_epoch(9)
    machine = machine_at(LineHost(nursery, ToyHost(), settings_of().root_key), storage=storage)
    diary = Diary()
    machine.watch(diary)
    await nursery.start(run_machine, machine)
    await until(machine, lambda machine: machine.online)
    assert diary.notes == ["host_rolled_back: host epoch 1, seen before 9", "online"]


async def test_it_is_equipped_to_sell_without_a_line_with_limits_and_a_stop_list(nursery):
    machine = machine_at(LineHost(nursery, ToyHost(), settings_of().root_key))
    till = machine.brain.till
    till.keep(StopListHeld(is_held=True))
    assert not machine.is_equipped
    till.keep(LIMITS)
    assert machine.is_equipped
    till.keep(StopListHeld())
    assert not machine.is_equipped
