"""The interactive terminal: the machine drawn in a character terminal, operated with keyboard and mouse.

urwid draws; its event loop runs as one task in our nursery beside the machine. Keys and taps go through a short queue
to one task that feeds the machine, so they are taken in their order, and a slow line never blocks the drawing.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from datetime import tzinfo
from functools import partial
from typing import Any, Final, TextIO

import trio
import urwid

from terminal_emulator.columns import cut, fit
from terminal_emulator.effects import BeepKind, Input, Key, Scan, Tap
from terminal_emulator.face import (
    CABLE,
    CARD_KEYS,
    FACE_COLUMNS,
    MAX_CARDS,
    Face,
    Target,
    draw_face,
)
from terminal_emulator.lcd import LINK_STATE
from terminal_emulator.machine import Machine, Watcher, run_machine
from terminal_emulator.printer import PrinterState
from terminal_emulator.scanner import ReadPicture, Scanner
from terminal_emulator.slip import SLIP_COLUMNS, Slip
from terminal_emulator.texts import CHINA_TIME, date_time

MAX_INPUTS_WAITING: Final = 32
"""Keys and taps not yet taken by the machine. More than anybody presses while a line is slow; the rest is dropped."""

MAX_SLIP_LINES_SHOWN: Final = 1000
"""How far one can scroll back: some fifty slips."""

COLUMNS_MIN: Final = FACE_COLUMNS + SLIP_COLUMNS + 4
LINES_MIN: Final = 22
"""The face and the two bars."""

TEAR: Final = "▔" * (SLIP_COLUMNS + 2)
SCROLL_LINES: Final = 6
SCROLL_KEYS: Final = {"page up": -SCROLL_LINES, "page down": SCROLL_LINES}
SCROLL_BUTTONS: Final = {4: -SCROLL_LINES, 5: SCROLL_LINES}

MAX_EVENTS_SHOWN: Final = 4
MAX_EVENT_COLUMNS: Final = 105
"""Three lines of the narrowest screen: the reason for a lost session, but not a lecture."""

PRESS_SHOWN_S: Final = 0.12
BEEP_SHOWN_S: Final = {BeepKind.KEY: 0.15, BeepKind.OK: 1.2, BeepKind.ERROR: 1.2}

KEYBOARD: Final = {
    **{key.value: key for key in Key if len(key.value) == 1},
    "enter": Key.ENTER,
    "esc": Key.CLEAR,
    "*": Key.CLEAR,
    "backspace": Key.DELETE,
    "delete": Key.DELETE,
    "f1": Key.F1,
    "f2": Key.F2,
    "up": Key.UP,
    "down": Key.DOWN,
}
ESC_BEFORE: Final = "meta "
CABLE_KEY: Final = "x"
PRINTER_KEY: Final = "p"
NEXT_PRINTER_STATE: Final = {
    PrinterState.READY: PrinterState.OUT_OF_PAPER,
    PrinterState.OUT_OF_PAPER: PrinterState.COVER_OPEN,
    PrinterState.COVER_OPEN: PrinterState.READY,
}
"""The paper ends, somebody opens the cover to put in more, and closes it."""

RESIZED: Final = "window resize"
"""Looks like a key to urwid, and it wants it back."""

QUIT_KEYS: Final = frozenset({"q", "Q", "ctrl c"})

# name, 16 colours, mono, 256 colours. The LCD is the yellow-green of the real thing.
PALETTE: Final[list[tuple[str, str, str, str, str, str]]] = [
    ("desk", "light gray", "black", "", "#aaa", "g7"),
    ("title", "white", "black", "bold", "#fff,bold", "g7"),
    ("bar", "white", "dark blue", "standout", "#fff,bold", "#035"),
    ("hint", "light gray", "dark blue", "standout", "#bbb", "#035"),
    ("dim", "dark gray", "black", "", "g50", "g7"),
    ("body", "light gray", "dark gray", "", "#ddd", "g23"),
    ("brand", "white", "dark gray", "bold", "#fff,bold", "g23"),
    ("led on", "light green", "dark gray", "", "#6f6", "g23"),
    ("led off", "light red", "dark gray", "", "#f66", "g23"),
    ("lcd", "black", "light green", "standout", "#020,bold", "#ad6"),
    ("reader", "light gray", "dark gray", "", "#aaa", "g23"),
    ("card key", "black", "light cyan", "standout", "#024,bold", "#6cf"),
    ("card", "white", "dark blue", "standout", "#fff", "#06a"),
    ("beep key", "light gray", "dark gray", "", "#ddd", "g23"),
    ("beep ok", "light green", "dark gray", "bold", "#6f6,bold", "g23"),
    ("beep error", "light red", "dark gray", "bold", "#f66,bold", "g23"),
    ("tear", "white", "black", "", "#ffe", "g7"),
    ("paper", "black", "white", "", "#222", "#ffe"),
]
KEY_COLOURS: Final = {
    "digit": ("black", "light gray", "#000,bold", "g82"),
    "function": ("white", "dark blue", "#fff", "#068"),
    "clear": ("black", "yellow", "#000,bold", "#fc3"),
    "delete": ("white", "dark red", "#fff,bold", "#d60"),
    "enter": ("white", "dark green", "#fff,bold", "#083"),
    "cable": ("white", "black", "#ddd", "g42"),
    "cable out": ("white", "light red", "#fff,bold", "#a00"),
    "pressed": ("black", "white", "#000,bold", "#fff"),
}
for _kind, (_front, _back, _front256, _back256) in KEY_COLOURS.items():
    PALETTE.append((_kind, _front, _back, "standout", _front256, _back256))
    PALETTE.append((f"{_kind} edge", _back, "dark gray", "", _back256, "g23"))


class FaceWidget(urwid.Text):
    """Shows a face; a click on one of its spots calls `click`."""

    def __init__(self, click: Callable[[Target], None]) -> None:
        self._click = click
        self._face = Face([], [])
        super().__init__("", wrap="clip")

    def show(self, face: Face) -> None:
        """Draw it."""
        self._face = face
        markup: list[Any] = []
        for line in face.lines:
            markup += [*line, "\n"]
        self.set_text(markup[:-1])

    def mouse_event(self, _size: Any, event: str, button: float, col: int, row: int, focus: bool) -> bool:
        """A click with the left button."""
        if event != "mouse press" or button != 1 or (target := self._face.target_at(row, col)) is None:
            return False
        self._click(target)
        return True


class Guard(urwid.WidgetWrap[urwid.Widget]):
    """The whole screen, or a request for a larger window where it would not fit: nobody sells on half a keypad."""

    def __init__(self, whole: urwid.Widget, request: str) -> None:
        self._request = urwid.Filler(urwid.Text(request, "center"))
        super().__init__(whole)

    def render(self, size: Any, focus: bool = False) -> urwid.Canvas:
        """The one or the other."""
        return super().render(size, focus) if fits(size) else self._request.render(size, focus)

    def mouse_event(self, size: Any, event: str, button: int, col: int, row: int, focus: bool) -> bool | None:
        """What cannot be seen cannot be clicked."""
        return super().mouse_event(size, event, button, col, row, focus) if fits(size) else False


def fits(size: tuple[int, int]) -> bool:
    """Whether the screen has room in a window of this many columns and lines."""
    return size[0] >= COLUMNS_MIN and size[1] >= LINES_MIN


class Screen(Watcher):
    """What is on the screen. `click` and `press` are what a person does to it; `put` gets what that means."""

    def __init__(
        self,
        machine: Machine,
        cards: Sequence[tuple[str, bytes]],
        put: Callable[[Input | None], None],
        *,
        later: Callable[[float, Callable[[], None]], object],
        bell: Callable[[], None] | None = None,
        read_picture: ReadPicture | None = None,
        zone: tzinfo = CHINA_TIME,
    ) -> None:
        """`put(None)` moves the cable; `later(seconds, f)` calls f then; `bell` sounds for all but keys."""
        assert len(cards) <= MAX_CARDS
        self._machine = machine
        self._cards = cards
        self._put = put
        self._later = later
        self._bell = bell
        self._zone = zone
        self._scanner = Scanner(read_picture)
        self._beep: BeepKind | None = None
        self._beeps = 0
        self._pressed: Target | None = None
        self._presses = 0
        self._events: deque[str] = deque(maxlen=MAX_EVENTS_SHOWN)
        self._face = FaceWidget(self.click)
        self._title = urwid.Text("", wrap="clip")
        self._roll: urwid.SimpleFocusListWalker[urwid.AttrMap[urwid.Text]] = urwid.SimpleFocusListWalker([])
        self._log = urwid.Text("")
        self._status = urwid.Text("", wrap="clip")
        self.top = self._arrange()
        machine.watch(self)
        self.changed()

    def _arrange(self) -> urwid.Widget:
        _ = self._machine.translate
        face = urwid.Filler(urwid.Padding(self._face, "center", FACE_COLUMNS), "middle")
        paper = urwid.Padding(urwid.ListBox(self._roll), "center", SLIP_COLUMNS + 2)
        side = urwid.Pile(
            [
                ("pack", urwid.AttrMap(urwid.Text(f" {_('Slips')}"), "title")),
                paper,
                ("pack", urwid.AttrMap(urwid.Text(f" {_('Events')}"), "title")),
                ("pack", urwid.AttrMap(urwid.Padding(self._log, left=1), "dim")),
            ]
        )
        middle = urwid.Columns([("weight", FACE_COLUMNS, face), ("weight", SLIP_COLUMNS + 4, side)])
        whole = urwid.AttrMap(
            urwid.Frame(middle, urwid.AttrMap(self._title, "bar"), urwid.AttrMap(self._status, "hint")), "desk"
        )
        return Guard(whole, _("Please make this window larger: 80x24"))

    # --- What a person does

    def press(self, key: str) -> None:
        """A key of the computer's keyboard."""
        if key.startswith(ESC_BEFORE):  # two keys pressed so fast that the terminal library takes them for one
            self.press("esc")
            self.press(key.removeprefix(ESC_BEFORE))
        elif self._scanner.is_reading:
            self._scan(key)
        elif self._scanner.begin(key):
            self.changed()
        elif key in QUIT_KEYS:
            raise urwid.ExitMainLoop
        elif key in KEYBOARD:
            self.click(KEYBOARD[key])
        elif key in CARD_KEYS[: len(self._cards)]:
            self.click(CARD_KEYS.index(key))
        elif key == CABLE_KEY:
            self.click(CABLE)
        elif key == PRINTER_KEY:
            self._machine.set_printer(NEXT_PRINTER_STATE[self._machine.printer.state])
        elif key in SCROLL_KEYS:
            self.scroll(SCROLL_KEYS[key])

    def _scan(self, key: str) -> None:
        try:
            text = self._scanner.press(key)
        except (ValueError, OSError) as error:
            self.noted(f"nothing scanned: {error}")
        else:
            if text:
                self._put(Scan(text))
        self.changed()

    def click(self, target: Target) -> None:
        """A key or card of the machine, or its cable."""
        if isinstance(target, Key):
            self._put(target)
        elif isinstance(target, int):
            self._put(Tap(self._cards[target][1]))
        else:
            self._put(None)
        self._pressed = target
        self._presses += 1
        self._later(PRESS_SHOWN_S, partial(self._release, self._presses))
        self.changed()

    def _release(self, number: int) -> None:
        if number == self._presses:
            self._pressed = None
            self.changed()

    # --- What the machine does

    def changed(self) -> None:
        """Draw the machine anew."""
        machine, _ = self._machine, self._machine.translate
        self._face.show(
            draw_face(
                machine.lcd,
                [label for label, _uid in self._cards],
                _,
                online=machine.online,
                plugged=machine.cable.is_plugged,
                beep=self._beep,
                pressed=self._pressed,
            )
        )
        settings = machine.brain.settings
        self._title.set_text(f" Fanka  {_('POS terminal')} {settings.terminal}  {settings.host}:{settings.port}")
        keys = _("0-9 . Enter Esc Backspace  a-e card  s scan  x cable  p paper  q quit")
        if self._scanner.is_reading:
            keys = _("Code, then Enter: {text}").format(text=self._scanner.text)
        unresolved = _("open: {count}").format(count=machine.unresolved)
        self._status.set_text(f" {_(LINK_STATE[machine.brain.link])}  {unresolved}  │  {keys}")

    def beeped(self, kind: BeepKind) -> None:
        """Show the sound for a moment."""
        self._beep = kind
        self._beeps += 1
        if self._bell is not None and kind is not BeepKind.KEY:
            self._bell()
        self._later(BEEP_SHOWN_S[kind], partial(self._fall_silent, self._beeps))

    def _fall_silent(self, number: int) -> None:
        if number == self._beeps:
            self._beep = None
            self.changed()

    def printed(self, slip: Slip) -> None:
        """The slip comes out at the end of the roll, and the roll is scrolled to it."""
        for line in slip.lines:
            self._roll.append(urwid.AttrMap(urwid.Text(f" {fit(line, SLIP_COLUMNS)} ", wrap="clip"), "paper"))
        self._roll.append(urwid.AttrMap(urwid.Text(TEAR, wrap="clip"), "tear"))
        del self._roll[:-MAX_SLIP_LINES_SHOWN]
        self._roll.set_focus(len(self._roll) - 1)

    def scroll(self, lines: int) -> None:
        """Move in the roll of slips, down for positive `lines`."""
        if self._roll:
            self._roll.set_focus(max(0, min(len(self._roll) - 1, (self._roll.focus or 0) + lines)))

    def noted(self, text: str) -> None:
        """A line in the list of events."""
        time = date_time(self._machine.now().wall_s, self._zone)[-8:]
        self._events.append(f"{time} {text}")
        self._log.set_text("\n".join(cut(event, MAX_EVENT_COLUMNS) for event in self._events))

    def filter(self, events: list[Any], _raw: list[int]) -> list[Any]:
        """What urwid calls before any widget: keys and the wheel are ours, clicks are for the widgets."""
        clicks = []
        for event in events:
            if event == RESIZED:
                clicks.append(event)
            elif isinstance(event, str):
                self.press(event)
            elif event[0] == "mouse press" and event[1] in SCROLL_BUTTONS:
                self.scroll(SCROLL_BUTTONS[event[1]])
            else:
                clicks.append(event)
        return clicks


async def run_screen(
    machine: Machine,
    cards: Sequence[tuple[str, bytes]],
    *,
    bell: bool = False,
    read_picture: ReadPicture | None = None,
    window: TextIO | None = None,
) -> None:
    """Run the machine on `window`, default this one, until somebody quits. At most `MAX_CARDS` cards: (label, UID).

    Raises what `run_machine` raises, after the screen has been given back.
    """
    put, inputs = trio.open_memory_channel[Input | None](MAX_INPUTS_WAITING)

    async def feed() -> None:
        async for what in inputs:
            if what is not None:
                await machine.feed(what)
            elif machine.cable.is_plugged:
                await machine.cut()
            else:
                await machine.plug()
            screen.changed()

    def put_if_room(what: Input | None) -> None:
        try:
            put.send_nowait(what)
        except trio.WouldBlock:
            screen.noted("too many keys at once; the last one was dropped")

    event_loop = urwid.TrioEventLoop()
    keyboard, paper = (sys.stdin, sys.stdout) if window is None else (window, window)
    display = urwid.display.raw.Screen(keyboard, paper, bracketed_paste_mode=True)
    display.set_terminal_properties(colors=256)
    ring = partial(display.write, "\a") if bell else None
    screen = Screen(machine, cards, put_if_room, later=event_loop.alarm, bell=ring, read_picture=read_picture)
    loop = urwid.MainLoop(screen.top, PALETTE, display, input_filter=screen.filter, event_loop=event_loop)
    async with trio.open_nursery() as nursery:
        await nursery.start(run_machine, machine)
        nursery.start_soon(feed)
        with loop.start():
            display.tty_signal_keys(intr="undefined", fileno=keyboard.fileno())  # Ctrl-C is a key like q
            await event_loop.run_async()
        nursery.cancel_scope.cancel()
