"""Any text as a terminal's script: steps that can be carried out, or ScriptSyntaxError that names the line."""

from __future__ import annotations

import math
import re

from protocol import TerminalNumber
from terminal_emulator.script import Pause, Press, ScanCode, ScriptSyntaxError, TapCards, Within, parse_script
from tests.fuzz.target import Target


def number(text: str) -> str:
    """A terminal's number, as people write it."""
    try:
        found = TerminalNumber.parse(text)
    except ValueError:
        return ""
    assert TerminalNumber.parse(str(found)) == found == TerminalNumber.from_int(found.to_int())
    return "number"


def run(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "no text"
    if read := number(text):
        return read
    try:
        steps = parse_script(text, "x")
    except ScriptSyntaxError as error:
        assert re.match(r"x:\d+: ", str(error))
        return "refused " + re.sub(r"[^a-zA-Z ].*", "", str(error).split(": ", 1)[1])[:24]
    for step in steps:
        action = step.action
        if isinstance(action, Within | Pause):
            assert math.isfinite(action.seconds), step
        elif isinstance(action, TapCards):
            assert all(1 <= len(tap.uid) <= 24 for tap in action.taps)
        elif isinstance(action, ScanCode):
            assert action.code()
        elif isinstance(action, Press):
            assert action.keys
    return " ".join(sorted({type(step.action).__name__ for step in steps})[:3])


SCRIPT = """# a sale
card Ann 04A1B2C3
wait-for online
key 1 2 . 5 ENTER
tap Ann, 04FF
code phone 9112345
scan phone
printer out
restart
within 20
expect lcd 12.50 / APPROVED
expect lcd line 2 12.50
expect slip customer 12.50
expect beep ok
expect slip 一食堂
expect no slip
cut
pause 0.2
plug
"""


def seeds() -> list[bytes]:
    return [SCRIPT.encode(), *(line.encode() for line in SCRIPT.splitlines()), b"3-58", b"65535-65535", b"tap zz"]


WORDS = tuple(
    f"{word} ".encode()
    for word in [
        "card",
        "key",
        "tap",
        "code",
        "scan",
        "printer",
        "restart",
        "line",
        "cut",
        "plug",
        "wait-for",
        "expect",
        "within",
        "pause",
        "lcd",
        "slip",
        "beep",
        "no",
    ]
)
MORE = (
    b"\n",
    b"#",
    b" / ",
    b"ENTER",
    b"9" * 400,
    b"1.5",
    "确认".encode(),
    "\u2028".encode(),
    b"\x1c",
    "３".encode(),
    b"-",
)
TARGET = Target(run, seeds, words=(*WORDS, *MORE), share=0.3)
