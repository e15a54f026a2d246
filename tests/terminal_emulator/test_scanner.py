"""What is typed or pasted is one code; a picture's name stands for the code in it."""

import pytest

from terminal_emulator.scanner import MAX_SCAN_CHARS, Scanner


def typed(scanner, *keys):
    """What came of the last key."""
    said = ""
    for key in keys:
        said = scanner.press(key)
    return said


def test_typed_and_ended_with_enter():
    scanner = Scanner()
    assert not scanner.begin("5")
    assert scanner.begin("s")
    assert typed(scanner, "9", "1", "x", "backspace", "left") == ""
    assert scanner.text == "91"
    assert scanner.press("enter") == "91"
    assert not scanner.is_reading
    assert scanner.begin("s")
    assert scanner.text == ""


def test_pasted_with_the_line_feed_that_came_along():
    scanner = Scanner()
    assert scanner.begin("begin paste")
    assert typed(scanner, "9", "1", "enter") == ""
    assert scanner.press("end paste") == "91"


def test_pasted_after_the_scanners_key():
    scanner = Scanner()
    scanner.begin("s")
    assert typed(scanner, "begin paste", "7", "end paste") == "7"


def test_given_up():
    scanner = Scanner()
    scanner.begin("s")
    assert typed(scanner, "1", "esc") == ""
    assert not scanner.is_reading


def test_a_picture():
    scanner = Scanner(str.upper)
    scanner.begin("s")
    assert typed(scanner, *"@a.png", "enter") == "A.PNG"
    scanner = Scanner()
    scanner.begin("s")
    with pytest.raises(ValueError, match="cannot be read"):
        typed(scanner, *"@a.png", "enter")
    assert not scanner.is_reading


def test_its_length_is_bounded():
    scanner = Scanner()
    scanner.begin("s")
    assert len(typed(scanner, *["1"] * (MAX_SCAN_CHARS + 1), "enter")) == MAX_SCAN_CHARS
