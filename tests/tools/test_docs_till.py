"""The menus in docs/till.md, and that the page leaves nothing out that the keys can do."""

import re

import pytest

from terminal_emulator.functions import FUNCTIONS
from terminal_emulator.i18n import DOMAIN, LOCALE_FOLDER
from terminal_emulator.keys import COMBINATIONS
from terminal_emulator.menus import MENUS
from tools.docs import ROOT
from tools.docs_till import menus

TILL_PAGE = (ROOT / "docs" / "till.md").read_text(encoding="utf-8")


def test_every_entry_of_every_menu_has_its_row():
    table = menus()
    assert "| `F1 5 4` | 撤销 > 退货 | Voids > Refund | the line |" in table
    assert "| `F1 5 1` | 撤销 > 消费撤销 | Voids > Void sale | the line, the supervisor's password |" in table
    assert "| `F1 8 1` | 订单处理 > 订单查询 | Orders > Order query | not in this version |" in table
    assert "| `00 1` | 增加柜员 | Add teller | the line |" in table
    entries = sum(row.target not in MENUS for menu in MENUS.values() for row in menu.rows)
    assert len(re.findall(r"^\| `", table, re.MULTILINE)) == entries


def test_the_page_names_every_combination():
    names = {"ENTER": "Enter", "DELETE": "Delete"}
    said = set(re.findall(r"^\| `(.+?)` \|", TILL_PAGE.split("## Combinations")[1].split("##")[0], re.MULTILINE))
    assert said == {f"Clear {names.get(key.name, key.value)}" for key in COMBINATIONS} | {"F2 1 7"}


def test_no_function_is_out_of_reach():
    """By a menu or a key; `unlock` by any key of a locked terminal."""
    reached = {row.target for menu in MENUS.values() for row in menu.rows} | {*COMBINATIONS.values(), "terminal_number"}
    assert FUNCTIONS.keys() - reached == {"unlock"}


@pytest.mark.parametrize(("page", "start"), [("till.md", "| "), ("operating.md", "| LCD: ")])
def test_what_the_lcd_is_said_to_show_it_can_show(page, start):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    if page == "till.md":
        text = text.split("| the LCD says |")[1].split("\n\n")[0]
    cells = [line.removeprefix(start).split(" | ")[0] for line in text.splitlines() if line.startswith(start)]
    words = [word for cell in cells for word in re.findall(r"[\u4e00-\u9fff]+", cell)]
    catalogue = (LOCALE_FOLDER / "zh_CN" / "LC_MESSAGES" / f"{DOMAIN}.po").read_text(encoding="utf-8")
    shown = "\n".join(re.findall(r'^msgstr "(.+)"$', catalogue, re.MULTILINE))
    assert len(words) > 5
    assert [word for word in words if word not in shown] == []
