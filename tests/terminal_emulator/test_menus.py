"""The tree of the member-card manual, under its own numbers, in both languages; every row leads somewhere."""

import pytest

from protocol.messages.parameters import Profile
from terminal_emulator.columns import columns, is_ambiguous
from terminal_emulator.effects import Key
from terminal_emulator.functions import FUNCTIONS
from terminal_emulator.i18n import LANGUAGES, translator
from terminal_emulator.keys import AT_REST, COMBINATIONS, FIRST_KEYS, SEQUENCES
from terminal_emulator.menus import MENUS

OF_THE_MANUAL = {
    "menu": "1 开卡 2 充值 3 消费 4 积分消费 5 撤销 6 卡片查询 7 会员卡 8 订单处理 9 操作员 0 管理菜单",
    "voids": "1 消费撤销 2 积分撤销 3 充值撤销",
    "card_query": "1 余额 2 卡信息",
    "member_cards": ("1 开卡 2 销户 3 挂失 4 解挂 5 补卡 6 改密 7 绑定商户 8 解锁商户 9 开户撤销 0 重置密码"),
    "orders": "1 订单查询 2 订单确认 3 发货通知 4 订单打印 5 查询评价 6 会员意见 7 订单评价 8 订单统计",
    "operators": "1 签到 2 锁机 3 主管改密 4 柜员改密 5 充值改密 6 柜员管理 7 员工考勤",
    "attendance": "1 员工开卡 2 打卡",
    "management": "1 结算 2 订单统计 3 交易查询 4 交易打印 5 终端设置",
}
LATER = {
    *("open_card", "close_card", "report_loss", "cancel_loss", "replace_card", "change_pin", "reset_pin"),
    *("bind_merchant", "unbind_merchant", "open_card_void", "open_staff_card", "clock_in", "upgrade"),
    *("order_query", "order_accept", "order_ship", "order_print", "order_reviews", "order_messages", "order_rate"),
    "order_statistics",
}
"""What says that this version does not have it."""


@pytest.mark.parametrize("name", OF_THE_MANUAL)
def test_the_tree_is_that_of_the_manual(name):
    _ = translator("zh")
    shown = " ".join(f"{row.key} {_(row.label)}" for row in MENUS[name].rows)
    assert shown.startswith(OF_THE_MANUAL[name])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", MENUS)
def test_every_row_fits_the_lcd(language, name):
    _ = translator(language)
    menu = MENUS[name]
    assert 0 < columns(_(menu.title)) <= 12  # and the number of the page
    for row in menu.rows:
        assert 0 < columns(f"{row.key}.{_(row.label)}") <= 16, row
        assert not is_ambiguous(_(row.label))
    assert len({row.key for row in menu.rows}) == len(menu.rows)


def test_every_row_and_every_key_leads_somewhere():
    targets = {row.target for menu in MENUS.values() for row in menu.rows}
    targets |= {name for keys in AT_REST.values() for name in keys.values()}
    targets |= {*COMBINATIONS.values(), *SEQUENCES.values()}
    assert {name for name in targets if name not in MENUS and name not in FUNCTIONS} == LATER
    assert set(FUNCTIONS) - targets == {"unlock"}  # any key of a locked terminal


def test_the_keys_of_the_table():
    assert {key.value for key in COMBINATIONS} == {*"123567890", "enter", "delete"}
    assert list(SEQUENCES) == [(Key.F2, Key.D1, Key.D7)]
    assert {Key.F2} == FIRST_KEYS
    assert {key.value for key in AT_REST[Profile.MEMBER]} == {*"12347", "enter", "f1"}
    assert not any(key.value.isdigit() for key in AT_REST[Profile.CANTEEN])
