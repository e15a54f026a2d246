"""Every screen in both languages: four lines of at most 16 columns, everything translated, no amount ever cut."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import TerminalNumber
from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages.money import TransactionKind
from protocol.messages.parameters import Profile
from terminal_emulator.columns import columns
from terminal_emulator.i18n import LANGUAGES, translator
from terminal_emulator.lcd import BLANK, LCD_COLUMNS, LCD_LINES, LOCK_ADVICE, SCREENS, render
from terminal_emulator.record import Merchant
from terminal_emulator.texts import ADVICE, COUNTS_POINTS, KIND_TEXT, yuan
from terminal_emulator.view import Link, Lock, Screen, Shut, UploadProgress, View

BASE = View(
    screen=Screen.IDLE,
    link=Link.ONLINE,
    terminal=TerminalNumber(3, 58),
    merchant=Merchant(100001, "一食堂"),
    amount_text="12.5",
    amount_fen=1250,
    attempt=2,
    balance_fen=8750,
    stan=123,
    panel=("消费", "Amount", "12.5", "Enter / Clear"),
)


def view(screen: Screen, **changes) -> View:
    return msgspec.structs.replace(BASE, screen=screen, **changes)


def chinese(screen: Screen, **changes) -> tuple[str, ...]:
    return render(view(screen, **changes), translator("zh"))


VIEWS = st.builds(
    View,
    screen=st.sampled_from(Screen),
    link=st.sampled_from(Link),
    terminal=st.builds(TerminalNumber, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
    merchant=st.none() | st.builds(Merchant, st.integers(0, 2**32 - 1), st.text("第一食堂 canteen，", max_size=24)),
    amount_text=st.from_regex(r"[0-9]{1,7}(\.[0-9]{0,2})?", fullmatch=True),
    amount_fen=st.integers(0, MAX_AMOUNT_FEN),
    attempt=st.integers(1, 3),
    response_code=st.sampled_from(["", "ZZ", *ADVICE]),
    balance_fen=st.none() | st.integers(-(2**63), 2**63 - 1),
    stan=st.integers(1, 999_999),
    pending_reversals=st.integers(0, 100_000),
    host_rolled_back=st.booleans(),
    upload=st.none() | st.builds(UploadProgress, st.integers(0, 100_000), st.integers(1, 100_000)),
    records_differ=st.integers(0, 100_000),
    lock=st.none() | st.sampled_from(Lock),
    kind=st.sampled_from(TransactionKind),
    shut=st.none() | st.sampled_from(Shut),
    operator=st.integers(0, 99),
    profile=st.sampled_from(Profile),
    panel=st.just(("消费", "Amount", "12.5", "Enter / Clear")),
    is_armed=st.booleans(),
    fixed_fen=st.integers(0, MAX_AMOUNT_FEN),
    charged_fen=st.none() | st.integers(0, MAX_AMOUNT_FEN),
    points_balance=st.integers(-(2**63), 2**63 - 1),
    discount_fen=st.integers(0, MAX_AMOUNT_FEN),
)


@given(VIEWS, st.sampled_from(sorted(LANGUAGES)))
def test_whatever_is_shown_fits(shown, language):
    lines = render(shown, translator(language))
    assert len(lines) == LCD_LINES
    assert all(columns(line) <= LCD_COLUMNS and line == line.rstrip() for line in lines)
    assert "{" not in "".join(lines)


@given(VIEWS)
def test_an_amount_is_shown_whole_or_not_at_all(shown):
    """A balance whose end is cut off would be a wrong balance."""
    balance = shown.balance_fen
    lines = render(shown, translator("zh"))
    if shown.screen is Screen.APPROVED and balance is not None:
        in_points = shown.kind in COUNTS_POINTS
        text = str(abs(balance)) if in_points else yuan(balance)  # whether they are owed, the word in front says
        assert lines[2].endswith(text if columns(text) <= LCD_COLUMNS else "####")
        assert lines[1].endswith(str(shown.amount_fen) if in_points else yuan(shown.amount_fen))


@pytest.mark.parametrize("screen", [Screen.APPROVED, Screen.OFFLINE_APPROVED])
def test_what_the_cashier_took_off_is_below_the_amount(screen):
    lines = chinese(screen, discount_fen=250)
    assert (lines[1], lines[3]) == ("金额       12.50", "折扣       -2.50")
    assert "折扣" not in "".join(chinese(screen))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("screen", Screen)
@pytest.mark.parametrize("link", Link)
def test_every_screen_asks_only_for_texts_that_are_translated(language, screen, link):
    _ = translator(language)
    asked = []

    def note(text: str) -> str:
        asked.append(text)
        return _(text)

    for lock in (None, *Lock):
        for code in ("", *ADVICE):
            render(view(screen, link=link, lock=lock, response_code=code, merchant=None, pending_reversals=3), note)
        render(view(screen, link=link, lock=lock, host_rolled_back=True), note)
        for total in (340, 100_000):
            upload = UploadProgress(12_345, total)
            render(view(screen, link=link, lock=lock, records_differ=1, upload=upload), note)
    if screen not in (Screen.OFF, Screen.DIALOG):  # a dialog's texts are translated where it is written
        assert asked
    if language == "zh":
        assert [text for text in asked if _(text) == text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_cut_with_ordinary_amounts(language):
    """Rendering on a wider LCD would not show more: nothing was lost at the right edge."""
    _ = translator(language)
    for screen in Screen:
        for link in Link:
            for lock in Lock:
                for mark in (False, True):
                    marks = {"host_rolled_back": mark, "records_differ": int(not mark)}
                    for upload in (None, UploadProgress(12, 340), UploadProgress(0, 100_000)):
                        shown = view(screen, link=link, lock=lock, pending_reversals=2, upload=upload, **marks)
                        whole = SCREENS[screen](shown, _)
                        assert all(columns(line) <= LCD_COLUMNS for line in whole), (screen, whole)


def test_every_screen_and_every_lock_has_a_face():
    assert set(SCREENS) == set(Screen)
    assert set(LOCK_ADVICE) == set(Lock)


def test_off_is_dark():
    assert chinese(Screen.OFF) == BLANK


def test_idle():
    assert chinese(Screen.IDLE) == ("一食堂      3-58", "请输入金额", "        ０．００", "联机")


def test_idle_says_when_reversals_wait_and_why_the_line_is_down():
    lines = chinese(Screen.IDLE, link=Link.LOST, pending_reversals=2)
    assert lines == ("一食堂      3-58", "请输入金额", "待冲正2笔   0.00", "网络断开 查网线")


def test_a_busy_host_is_waited_for():
    assert chinese(Screen.IDLE, link=Link.BUSY)[3] == "主机忙 请稍候"
    assert chinese(Screen.NO_LINK, link=Link.BUSY, stan=0)[1:3] == ("主机忙", "请稍候")
    assert render(view(Screen.NO_LINK, link=Link.BUSY, stan=0), translator("en"))[1:3] == (
        "Host is busy",
        "Please wait",
    )


def test_idle_says_that_the_host_lost_sales():
    lines = chinese(Screen.IDLE, host_rolled_back=True)
    assert lines == ("一食堂      3-58", "主机数据回退", "        ０．００", "请联系管理员")
    lines = chinese(Screen.IDLE, host_rolled_back=True, link=Link.LOST, pending_reversals=2)
    assert lines == ("一食堂      3-58", "主机数据回退", "待冲正2笔   0.00", "网络断开 查网线")
    english = render(view(Screen.IDLE, host_rolled_back=True), translator("en"))
    assert english[1:] == ("Host lost sales", "        ０．００", "Call the manager")


@pytest.mark.parametrize(
    ("done", "total", "chinese_line", "english_line"),
    [
        (12, 340, "补传 12/340", "Restore 12/340"),
        (1_234, 5_678, "补传 1234/5678", "Restoring 4444"),
        (99_999, 100_000, "待补传 1", "Restoring 1"),
        (0, 100_000, "补传 0/100000", "Restore 0/100000"),
        (12_345, 100_000, "待补传 87655", "Restoring 87655"),
    ],
)
def test_idle_counts_what_the_host_gets_back(done, total, chinese_line, english_line):
    shown = view(Screen.IDLE, upload=UploadProgress(done, total))
    assert render(shown, translator("zh"))[1:] == ("请输入金额", "        ０．００", chinese_line)
    assert render(shown, translator("en"))[3] == english_line
    offline = chinese(Screen.IDLE, upload=UploadProgress(done, total), link=Link.LOST)
    assert offline[3] == "网络断开 查网线", "while the line is down nothing is counted"


def test_idle_says_that_records_differ():
    assert chinese(Screen.IDLE, records_differ=2)[1:] == ("账目与主机不符", "        ０．００", "请联系管理员")
    both = chinese(Screen.IDLE, records_differ=2, upload=UploadProgress(1, 3))
    assert both[1::2] == ("账目与主机不符", "补传 1/3")
    worse = chinese(Screen.IDLE, records_differ=2, host_rolled_back=True, pending_reversals=2)
    assert worse[1:] == ("主机数据回退", "待冲正2笔   0.00", "请联系管理员")
    assert render(view(Screen.IDLE, records_differ=1), translator("en"))[1] == "Records differ"


def test_fixed_amount_mode_hides_nothing():
    assert chinese(Screen.IDLE, is_settling=True)[2] == "结算未完    0.00"
    assert chinese(Screen.IDLE, fixed_fen=450)[1:] == ("定额 请刷卡", "        ４．５０", "联机")
    offline = chinese(Screen.IDLE, fixed_fen=450, sells_offline=True, offline_waiting=3)
    assert offline[1:3] == ("定额 脱机", "待上送 3    4.50")
    assert chinese(Screen.IDLE, fixed_fen=450, pending_reversals=2)[2] == "待冲正2笔   4.50"
    assert chinese(Screen.IDLE, fixed_fen=450, host_rolled_back=True)[1::2] == ("主机数据回退", "请联系管理员")
    assert chinese(Screen.IDLE, fixed_fen=450, upload=UploadProgress(1, 3))[3] == "补传 1/3"


def test_before_the_first_session_no_merchant_is_known():
    assert chinese(Screen.IDLE, merchant=None)[0] == "食堂        3-58"


def test_a_sale():
    assert chinese(Screen.AMOUNT) == ("一食堂      3-58", "金额(元)", "        １２．５", "按确认后请刷卡")
    assert chinese(Screen.CARD)[1:] == ("消费 请刷卡", "      １２．５０", "按清零取消")
    assert chinese(Screen.SENDING)[1:] == ("处理中...", "      １２．５０", "请稍候")
    assert chinese(Screen.APPROVED) == ("交易成功  000123", "金额       12.50", "余额       87.50", "请输入下一笔")


def test_a_large_amount_gives_up_its_big_digits():
    assert chinese(Screen.AMOUNT, amount_text="9999999.99")[2] == "      9999999.99"


def test_a_decline_says_what_to_do():
    assert chinese(Screen.DECLINED, response_code="51", balance_fen=320) == (
        "交易失败      51",
        "余额不足",
        "请充值",
        "余额        3.20",
    )
    assert chinese(Screen.DECLINED, response_code="54", balance_fen=None) == (
        "交易失败      54",
        "此卡已失效",
        "请到卡务中心",
        "金额       12.50",
    )


def test_an_unknown_outcome_says_what_to_do():
    assert chinese(Screen.UNCHARGED) == ("未扣款 将冲正", "金额       12.50", "请勿出餐", "请重新收款")
    assert chinese(Screen.RESENDING)[1:] == ("重发第2次", "      １２．５０", "请稍候勿重刷")


def test_after_a_power_cut():
    assert chinese(Screen.LAST_APPROVED) == (
        "上一笔     12.50",
        "交易成功  000123",
        "余额       87.50",
        "若未出餐请出餐",
    )
    assert chinese(Screen.LAST_REVERSED, kind=TransactionKind.VOID) == (
        "消费撤销   12.50",
        "凭证号    000123",
        "已冲正",
        "按确认继续",
    )
    assert chinese(Screen.LAST_UNCHARGED)[1:] == ("未扣款", "结果不明", "若未付请重收")
    assert chinese(Screen.LAST_UNCHARGED, response_code="51")[1:3] == ("未扣款", "余额不足")


def test_english_is_as_good():
    assert render(view(Screen.IDLE), translator("en"))[1:] == ("Key in amount", "        ０．００", "Online")
    assert render(view(Screen.APPROVED), translator("en")) == (
        "Approved  000123",
        "Amount     12.50",
        "Balance    87.50",
        "Key next amount",
    )


@pytest.mark.parametrize(
    ("kind", "charged_fen", "line"),
    [
        (TransactionKind.SALE, 1125, "实收       11.25"),
        (TransactionKind.VOID, 1125, "退还       11.25"),
        (TransactionKind.REFUND, 1125, "退还       11.25"),
        (TransactionKind.COMPLETION, 1125, "实收       11.25"),
        (TransactionKind.TOPUP, 1375, "到账       13.75"),
        (TransactionKind.TOPUP_VOID, 1375, "收回       13.75"),
        (TransactionKind.PREAUTH, 1125, "请输入下一笔"),
    ],
)
def test_a_sum_that_is_not_the_amount_says_which_way_it_went(kind, charged_fen, line):
    assert chinese(Screen.APPROVED, kind=kind, charged_fen=charged_fen)[3] == line


def test_points_are_never_shown_as_money():
    spent = {"kind": TransactionKind.POINTS_SALE, "amount_fen": 300, "balance_fen": 20}
    assert chinese(Screen.APPROVED, **spent)[:3] == ("积分消费  000123", "金额         300", "积分余额      20")
    assert chinese(Screen.SENDING, **spent)[2].strip() == "３００"
    assert "3.00" not in "".join(chinese(Screen.DECLINED, response_code="51", **spent))


def test_another_card_than_the_one_that_paid_is_not_a_wrong_amount():
    assert chinese(Screen.DECLINED, kind=TransactionKind.VOID, response_code="F6") == (
        "交易失败      F6",
        "不是原卡",
        "请用原卡或付款码",
        "金额       12.50",
    )


def test_of_what_did_not_happen_only_a_sale_is_collected_again():
    lines = {kind: chinese(Screen.UNCHARGED, kind=kind) for kind in TransactionKind if kind in KIND_TEXT}
    assert lines[TransactionKind.TOPUP][2:] == ("请退还现金", "或重新充值")
    assert lines[TransactionKind.VOID][2:] == ("原交易仍有效", "请重新操作")
    assert [kind for kind, shown in lines.items() if shown[3] == "请重新收款"] == [TransactionKind.SALE]
    assert chinese(Screen.LAST_UNCHARGED, kind=TransactionKind.TOPUP)[3] == "未退请退还现金"


def test_money_taken_back_is_not_called_credited():
    shown = {"charged_fen": 11_000, "amount_fen": 10_000}
    assert "到账" in chinese(Screen.APPROVED, kind=TransactionKind.TOPUP, **shown)[3]
    assert "到账" not in chinese(Screen.APPROVED, kind=TransactionKind.TOPUP_VOID, **shown)[3]
    assert "实收" not in chinese(Screen.APPROVED, kind=TransactionKind.VOID, charged_fen=1_125)[3]
    assert "0.00" not in chinese(Screen.APPROVED, kind=TransactionKind.POINTS_SALE, amount_fen=2, charged_fen=0)[3]


def test_points_that_are_still_owed_after_it_are_said():
    earned = {"amount_fen": 500, "balance_fen": 8250, "stan": 7}
    assert chinese(Screen.APPROVED, **earned, points_balance=-235)[3] == "欠积分       235"
    assert chinese(Screen.APPROVED, **earned, points_balance=2)[3] == "请输入下一笔"
    undone = {"kind": TransactionKind.POINTS_VOID, "amount_fen": 3, "balance_fen": -4}
    assert chinese(Screen.APPROVED, **undone)[2] == "欠积分         4"


def test_points_that_lack_are_no_money_that_lacks():
    shown = chinese(
        Screen.DECLINED, kind=TransactionKind.POINTS_SALE, amount_fen=100, response_code="51", balance_fen=4
    )
    assert shown[1] == "积分不足"
    assert shown[3] == "积分余额       4"


RESULTS = (
    Screen.APPROVED,
    Screen.OFFLINE_APPROVED,
    Screen.DECLINED,
    Screen.UNCHARGED,
    Screen.REPEATING,
    Screen.LAST_ASKING,
    Screen.LAST_APPROVED,
    Screen.LAST_UNCHARGED,
    Screen.LAST_REPEATING,
)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("screen", RESULTS)
def test_no_label_of_any_kind_loses_its_end(language, screen):
    _ = translator(language)
    for kind in TransactionKind:
        asked = []

        def note(text: str, asked: list[str] = asked) -> str:
            asked.append(_(text))
            return _(text)

        numbers = {"stan": 123_456, "amount_fen": 999_999, "balance_fen": 999_999, "charged_fen": None}
        lines = "\n".join(render(view(screen, kind=kind, response_code="51", **numbers), note))
        assert [text for text in asked if text not in lines and text not in TOLD_OTHERWISE] == [], (kind, lines)


TOLD_OTHERWISE = {"余额不足", "请充值", "Low balance", "Please top up"}
"""Of a decline with too few points: asked for as money first."""


def test_points_found_after_a_power_cut_are_not_yuan():
    lines = chinese(Screen.LAST_APPROVED, kind=TransactionKind.POINTS_SALE, amount_fen=50, balance_fen=20)
    assert (lines[0], lines[2]) == ("积分消费      50", "积分余额      20")


def test_offline_mode_with_a_line_says_how_to_end_it():
    assert chinese(Screen.IDLE, sells_offline=True)[1::2] == ("脱机：输入金额", "清零7 恢复联机")
    assert chinese(Screen.IDLE, sells_offline=True, profile=Profile.MEMBER)[3] == "脱机方式已开"
    assert chinese(Screen.IDLE, sells_offline=True, link=Link.LOST)[3] == "网络断开 查网线"


def test_what_is_repeated_is_not_said_to_be_reversed():
    assert chinese(Screen.IDLE, pending_repeats=1)[2] == "待确认1笔   0.00"
    assert chinese(Screen.IDLE, pending_repeats=1, pending_reversals=2)[2] == "待冲正2笔   0.00"


@pytest.mark.parametrize(
    ("kind", "code", "lines"),
    [
        (TransactionKind.SALE, "61", ("超出单笔限额", "请换卡或付现金")),
        (TransactionKind.TOPUP, "61", ("超出单笔限额", "请退还现金")),
        (TransactionKind.TOPUP, "41", ("此卡已挂失", "请退还现金")),
        (TransactionKind.TOPUP_VOID, "51", ("余额不足", "勿退现金")),
        (TransactionKind.TOPUP_VOID, "F6", ("不是原卡", "请用原卡或付款码")),
        (TransactionKind.REFUND, "14", ("无效卡", "请用原卡或付款码")),
        (TransactionKind.VOID, "19", ("交易未处理", "请重新操作")),
        (TransactionKind.COMPLETION, "51", ("余额不足", "请联系管理员")),
        (TransactionKind.VOID, "12", ("非本日交易", "请用退货")),
        (TransactionKind.TOPUP_VOID, "12", ("非本日交易", "请联系管理员")),
        (TransactionKind.REFUND, "61", ("超过剩余金额", "请重新操作")),
        (TransactionKind.COMPLETION, "61", ("超过冻结金额", "请重新操作")),
        (TransactionKind.TOPUP, "F7", ("密码未经验证", "请重新操作一次")),
        (TransactionKind.SALE, "38", ("本机暂停验密", "请联系管理员")),
    ],
)
def test_what_to_do_about_a_decline_depends_on_which_way_the_money_goes(kind, code, lines):
    assert chinese(Screen.DECLINED, kind=kind, response_code=code)[1:3] == lines


def test_a_member_shop_at_rest_names_its_keys_and_no_amount():
    assert chinese(Screen.IDLE, profile=Profile.MEMBER)[1:3] == ("按确认进菜单", "2充值3消费4积分")
    assert chinese(Screen.IDLE, profile=Profile.MEMBER, pending_reversals=2)[2] == "待冲正2笔"


def test_a_locked_keypad_says_that_a_key_comes_before_the_password():
    assert chinese(Screen.SHUT, shut=Shut.LOCKED, operator=1)[1:] == ("键盘已锁", "操作员        01", "按任意键")


def test_what_could_not_be_sent_is_called_by_its_name():
    assert chinese(Screen.NO_LINK, link=Link.LOST, stan=0)[::3] == ("未收款     12.50", "按确认重试")
    void = chinese(Screen.NO_LINK, link=Link.LOST, kind=TransactionKind.VOID)
    assert void == ("消费撤销   12.50", "交易未成功", "网络断开", "按确认继续")


def test_a_refund_declined_after_a_power_cut_has_the_reason_of_a_refund():
    assert chinese(Screen.LAST_UNCHARGED, kind=TransactionKind.REFUND, response_code="61")[2] == "超过剩余金额"
