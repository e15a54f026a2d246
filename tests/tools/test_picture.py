"""Pictures of character screens: every word at its column, no fonts from anywhere."""

import re
from xml.etree import ElementTree

from tools.picture import BASELINE, CELL_HEIGHT, CELL_WIDTH, FONT_SIZE, MARGIN, svg

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture):
    return {element.text: element.attrib for element in ElementTree.fromstring(picture).iter(f"{SVG}text")}  # noqa: S314


def test_words_stand_at_their_columns():
    found = texts(svg("食堂 3-58\n   \x1b[1;38;2;255;0;0mok\x1b[0m\n", "till"))
    slack = (2 * CELL_WIDTH - FONT_SIZE) / 2
    assert float(found["食"]["x"]) == MARGIN + slack
    assert float(found["堂"]["x"]) == MARGIN + 2 * CELL_WIDTH + slack
    assert float(found["3-58"]["x"]) == MARGIN + 5 * CELL_WIDTH
    assert float(found["ok"]["x"]) == MARGIN + 3 * CELL_WIDTH
    assert float(found["ok"]["y"]) == MARGIN + CELL_HEIGHT + BASELINE
    assert (found["ok"]["fill"], found["ok"]["font-weight"]) == ("#ff0000", "bold")


def test_half_blocks_are_rectangles():
    picture = svg("\x1b[38;2;1;2;3m▄▄▀▀", "till")
    boxes = [box.attrib for box in ElementTree.fromstring(picture).iter(f"{SVG}rect")][1:]  # noqa: S314
    assert texts(picture) == {}
    assert [(box["width"], box["height"], box["fill"]) for box in boxes] == [("18", "9.5", "#010203")] * 2
    assert float(boxes[0]["y"]) > float(boxes[1]["y"])


def test_backgrounds_and_reverse():
    picture = svg("\x1b[48;2;9;8;7m  \x1b[0m\x1b[7mx\x1b[0m", "till")
    assert 'width="18" height="19" fill="#090807"' in picture
    assert 'width="9" height="19" fill="#c8c8c8"' in picture


def test_markup_in_the_text_is_text():
    assert "&lt;b&gt;&amp;" in svg("<b>&", "a < b")


def test_nothing_is_loaded_from_anywhere():
    picture = svg("x", "till")
    assert re.findall(r"(?:https?:)?//[^\"' ]+", picture) == ["http://www.w3.org/2000/svg"]
    assert "@font-face" not in picture
