"""The face of the machine: every line full, every key where a click finds it."""

import pytest

from terminal_emulator.columns import columns
from terminal_emulator.effects import BeepKind, Key
from terminal_emulator.face import CABLE, FACE_COLUMNS, KEYPAD, MAX_CARDS, draw_face
from terminal_emulator.i18n import LANGUAGES, translator

LCD = ("一食堂      3-58", "请输入金额", "        ０．００", "联机")
CARDS = ["张三", "李四 很长很长很长的名字", "c", "d", "e"]
LINES = 20  # one for the name, six for the LCD, one for the beeper, twelve for the keys: fits 24 with bars and air


def face(cards=CARDS, language="zh", **options):
    return draw_face(LCD, cards, translator(language), **{"online": True, "plugged": True} | options)


def text(face) -> list[str]:
    return ["".join(part for _, part in line) for line in face.lines]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("cards", [[], CARDS[:1], CARDS])
@pytest.mark.parametrize("beep", [None, *BeepKind])
@pytest.mark.parametrize("up", [True, False])
def test_every_line_is_full(language, cards, beep, up):
    drawn = face(cards, language, online=up, plugged=up, beep=beep, pressed=Key.ENTER)
    assert [columns(line) for line in text(drawn)] == [FACE_COLUMNS] * LINES


def test_the_lcd_is_on_it():
    lines = text(face())
    assert "一食堂      3-58" in lines[2]
    assert "请输入金额" in lines[3]


def test_every_key_and_card_and_the_cable_can_be_clicked_anywhere_on_it():
    drawn = face()
    assert {spot.target for spot in drawn.spots} == {*Key, *range(MAX_CARDS), CABLE}
    for spot in drawn.spots:
        corners = [(spot.line, spot.column), (spot.line + spot.height - 1, spot.column + spot.width - 1)]
        assert [drawn.target_at(*corner) for corner in corners] == [spot.target] * 2
    assert drawn.target_at(0, 0) is None
    assert sum(len(row) for row in KEYPAD) == len(Key) + 1


def test_labels_stand_on_their_keys():
    drawn = face(language="en")
    for label, target in [("Clear", Key.CLEAR), ("Enter", Key.ENTER), ("Cable", CABLE), ("F2", Key.F2)]:
        [(number, line)] = [(n, line) for n, line in enumerate(text(drawn)) if label in line]
        assert drawn.target_at(number, columns(line[: line.index(label)])) is target


def test_what_is_pressed_is_lit():
    lit = [part for line in face(pressed=Key.D5).lines for attribute, part in line if attribute == "pressed"]
    assert [part.strip() for part in lit] == ["5"]
    lit = [part for line in face(pressed=0).lines for attribute, part in line if attribute == "pressed"]
    assert [part.strip() for part in lit] == ["a", "张三"]


def test_line_and_cable_are_shown():
    assert "联机" in text(face())[0]
    down = text(face(online=False, plugged=False))
    assert "脱机" in down[0]
    assert "网线已拔出" in down[7]


def test_without_cards_it_says_how_to_get_some():
    assert "--card" in "".join(text(face([])))
