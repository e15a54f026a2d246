"""The interactive screen without a window: rendered to text, operated by its keyboard and mouse handlers."""

import contextlib
import fcntl
import io
import os
import pty
import struct
import termios
import threading
from typing import Any

import pytest
import trio
import urwid

from terminal_emulator.columns import columns
from terminal_emulator.effects import BeepKind, Key, Scan, Tap
from terminal_emulator.face import draw_face
from terminal_emulator.i18n import translator
from terminal_emulator.printer import PrinterState
from terminal_emulator.screen import KEYBOARD, MAX_SLIP_LINES_SHOWN, PALETTE, Screen, run_screen
from tests.terminal_emulator.line_host import LineHost, machine_at, until
from tests.terminal_emulator.slips import plain_slip
from tests.terminal_emulator.till import ToyHost, settings_of

CARDS = [("张三", b"\x04\x01"), ("李四", b"\x04\x02")]
SIZES = [(100, 30), (80, 24), (200, 60)]


class Desk:
    """A screen, what was put into its machine, and what is to happen later."""

    def __init__(self, nursery, cards=CARDS, language="zh"):
        host = LineHost(nursery, ToyHost(), settings_of().root_key)
        self.machine = machine_at(host, settings_of(language=language))
        self.machine.after(self.machine.brain.power_on(self.machine.now()))
        self.inputs: list[Any] = []
        self.alarms: list[Any] = []
        self.bells = 0
        self.screen = Screen(
            self.machine,
            cards,
            self.inputs.append,
            later=lambda seconds, call: self.alarms.append((seconds, call)),
            bell=self.ring,
        )

    def ring(self):
        self.bells += 1

    def draw(self, size=(100, 30)) -> list[str]:
        return [line.decode() for line in self.screen.top.render(size, focus=True).text]

    def attributes(self) -> set[Any]:
        canvas = self.screen.top.render((100, 30), focus=True)
        found = {attribute for row in canvas.content() for attribute, _charset, _text in row}
        return {name for attribute in found for name in getattr(attribute, "layers", (attribute,))} - {None}

    def wait(self):
        alarms, self.alarms = self.alarms, []
        for _seconds, call in alarms:
            call()


@pytest.fixture
def desk(nursery):
    return Desk(nursery)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_it_fits_and_shows_the_lcd(nursery, size, language):
    lines = Desk(nursery, language=language).draw(size)
    assert [columns(line) for line in lines] == [size[0]] * size[1]
    text = "\n".join(lines)
    for part in (
        "3-58",
        "张三",
        "FANKA",
        *(("请输入金额", "清零") if language == "zh" else ("Key in amount", "Clear")),
    ):
        assert part in text
    assert text.count("▄▄▄▄▄▄▄") >= 4  # the keypad is whole


@pytest.mark.parametrize("size", [(79, 30), (100, 21), (20, 5), (1, 1)])
async def test_a_window_that_is_too_small_does_no_harm(desk, size):
    assert len(desk.draw(size)) == size[1]
    desk.screen.top.mouse_event(size, "mouse press", 1, 0, 0, True)
    assert desk.inputs == []


async def test_every_colour_that_is_used_is_in_the_palette(desk):
    for beep in BeepKind:
        desk.screen.beeped(beep)
        desk.screen.changed()
        assert f"beep {beep}" in desk.attributes()
    desk.screen.printed(plain_slip("消费"))
    desk.screen.click(Key.D1)
    await desk.machine.cut()
    desk.screen.changed()
    names = [entry[0] for entry in PALETTE]
    assert len(set(names)) == len(names)
    assert desk.attributes() <= set(names)


async def test_keyboard(desk):
    for key in KEYBOARD:
        desk.screen.press(key)
    assert desk.inputs == list(KEYBOARD.values())
    assert set(KEYBOARD.values()) == set(Key)


async def test_esc_and_a_key_right_behind_it_are_both_pressed(desk):
    """Found by typing fast: the menu was not opened, and the supervisor's password became an amount."""
    for key in ("meta f1", "meta 5"):
        desk.screen.press(key)
    assert desk.inputs == [Key.CLEAR, Key.F1, Key.CLEAR, Key.D5]


async def test_cards_and_cable_on_the_keyboard(desk):
    for key in ("a", "b", "c", "x", "?"):
        desk.screen.press(key)
    assert desk.inputs == [Tap(b"\x04\x01"), Tap(b"\x04\x02"), None]


async def test_a_code_is_typed_or_pasted(desk):
    for key in ("s", "9", "1"):
        desk.screen.press(key)
    assert "91" in desk.draw()[-1]
    desk.screen.press("enter")
    for key in ("begin paste", "q", "5", "end paste", "s", *"@a.png", "enter"):
        desk.screen.press(key)
    assert desk.inputs == [Scan("91"), Scan("q5")]
    assert "nothing scanned: pictures of codes cannot be read here" in "".join(desk.draw()).replace("  ", "")


async def test_the_paper_ends_and_is_put_back(desk):
    states = []
    for _ in range(3):
        desk.screen.press("p")
        states.append(desk.machine.printer.state)
    assert states == [PrinterState.OUT_OF_PAPER, PrinterState.COVER_OPEN, PrinterState.READY]
    desk.screen.press("p")
    assert "缺纸 请装纸" in "\n".join(desk.draw())


@pytest.mark.parametrize("key", ["q", "ctrl c"])
async def test_quit(desk, key):
    with pytest.raises(urwid.ExitMainLoop):
        desk.screen.press(key)


async def test_mouse(desk):
    """A click is aimed at what is drawn, through all the widgets around the face."""
    lines = desk.draw()
    [row] = [number for number, line in enumerate(lines[:-1]) if "清零" in line]
    column = columns(lines[row][: lines[row].index("清零")])
    assert desk.screen.filter([("mouse press", 1, column, row)], []) == [("mouse press", 1, column, row)]
    desk.screen.top.mouse_event((100, 30), "mouse press", 1, column, row, True)
    desk.screen.top.mouse_event((100, 30), "mouse press", 3, column, row, True)
    desk.screen.top.mouse_event((100, 30), "mouse press", 1, 0, 5, True)
    assert desk.inputs == [Key.CLEAR]


async def test_keys_never_reach_the_widgets_but_a_new_size_does(desk):
    passed = ["window resize", ("mouse release", 0, 1, 1)]
    assert desk.screen.filter(["left", "1", *passed], []) == passed
    assert desk.inputs == [Key.D1]


async def test_a_key_lights_up_and_goes_out(desk):
    desk.screen.press("5")
    assert "pressed" in desk.attributes()
    desk.wait()
    assert "pressed" not in desk.attributes()


async def test_the_light_of_an_earlier_key_does_not_put_out_a_later_one(desk):
    desk.screen.press("5")
    early, desk.alarms = desk.alarms, []
    desk.screen.press("6")
    for _seconds, call in early:
        call()
    assert "pressed" in desk.attributes()


async def test_beeps_are_seen_and_heard_and_end(desk):
    desk.screen.beeped(BeepKind.KEY)
    assert desk.bells == 0
    desk.screen.beeped(BeepKind.ERROR)
    desk.screen.changed()
    assert desk.bells == 1
    assert "♪ ♪ ♪" in "\n".join(desk.draw())
    desk.wait()
    assert "♪" not in "\n".join(desk.draw())


async def test_slips_scroll(desk):
    for number in range(40):
        desk.screen.printed(plain_slip("消费", f"number {number}"))
    assert "number 39" in "\n".join(desk.draw())
    for _ in range(100):
        desk.screen.press("page up")
    assert "number 0" in "\n".join(desk.draw())
    desk.screen.filter([("mouse press", 5, 80, 10)] * 100, [])
    assert "number 39" in "\n".join(desk.draw())


async def test_the_roll_of_slips_is_bounded(desk):
    for _number in range(MAX_SLIP_LINES_SHOWN):
        desk.screen.printed(plain_slip("消费"))
    assert len(desk.screen._roll) == MAX_SLIP_LINES_SHOWN
    assert columns(desk.draw()[0]) == 100


async def test_scrolling_without_slips_does_nothing(desk):
    desk.screen.press("page down")
    assert desk.inputs == []


async def test_events_are_listed_with_their_time(desk):
    for number in range(9):
        desk.screen.noted(f"event {number}")
    text = "\n".join(desk.draw())
    assert "event 8" in text
    assert "event 0" not in text
    assert ":" in text.partition("event 8")[0][-4:]


async def test_the_lcd_follows_the_machine(desk):
    await desk.machine.feed(Key.D7)
    assert "７" in "\n".join(desk.draw())
    drawn = draw_face(desk.machine.lcd, ["张三", "李四"], translator("zh"), online=False, plugged=True)
    assert "".join(text for _, text in drawn.lines[4]) in desk.draw()[8] + desk.draw()[9]


async def test_a_run_of_the_machine_is_shown(nursery, autojump_clock):
    desk = Desk(nursery)
    nursery.start_soon(desk.machine.run)
    await until(desk.machine, lambda machine: machine.online)
    assert "联机" in "\n".join(desk.draw())
    assert "一食堂" in "\n".join(desk.draw())


async def test_the_whole_of_it_in_a_real_window(nursery):
    """A pseudo terminal: keys go in at one end, the picture comes out there; `q` gives the window back as it was."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    before = termios.tcgetattr(far)
    host = LineHost(nursery, ToyHost(10_000), settings_of().root_key)
    machine = machine_at(host)
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while data := os.read(near, 65536):
                shown.extend(data)

    async def use() -> None:
        await until(machine, lambda machine: machine.online)
        os.write(near, b"12.5\ra")
        await until(machine, lambda machine: machine.lcd[0].startswith("交易成功"))
        os.write(near, b"x")
        await until(machine, lambda machine: not machine.online)
        os.write(near, b"x")
        await until(machine, lambda machine: machine.online)
        os.write(near, b"q")

    # A thread of its own: urwid's writes block when nobody reads, and would wait for ever for a task beside them.
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with open(far, "r+b", buffering=0, closefd=False) as window, trio.fail_after(60):  # noqa: ASYNC230 - no disk
        text_window = io.TextIOWrapper(window, encoding="utf-8", write_through=True)
        nursery.start_soon(use)
        await run_screen(machine, CARDS, bell=True, window=text_window)
        text_window.detach()
    assert termios.tcgetattr(far) == before
    os.close(far)
    reader.join()
    os.close(near)
    text = shown.decode(errors="replace")
    assert "交易成功" in text
    assert "持卡人存根" in text
    assert "\a" in text
