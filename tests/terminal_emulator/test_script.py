"""Scripts: what can be written, what is refused with its line, and what a terminal has to show."""

import pytest
import trio

from terminal_emulator.effects import Key
from terminal_emulator.machine import run_machine
from terminal_emulator.script import (
    EXPECT_TIMEOUT_S,
    Expect,
    MoveCable,
    Pause,
    Press,
    ScriptFailure,
    ScriptSyntaxError,
    TapCard,
    WaitFor,
    Within,
    parse_script,
    parse_uid,
    plain,
    run_script,
)
from tests.terminal_emulator.line_host import LineHost, machine_at
from tests.terminal_emulator.till import ToyHost, settings_of

ALICE = "04A1B2C3"


def actions(text, **options):
    return [step.action for step in parse_script(text, **options)]


def test_every_step_of_the_language():
    assert actions(
        """
        # a comment
        card 张三 04A1B2C3   # and another
        key 12.5 ENTER f1 清零
        tap 张三
        tap 04 ff
        cut
        plug
        wait-for online
        expect lcd 余额 １２．５ / 请充值
        expect beep ok
        expect slip RMB  12.50
        expect no slip
        within 20
        pause 0.25
        """
    ) == [
        Press((Key.D1, Key.D2, Key.DOT, Key.D5, Key.ENTER, Key.F1, Key.CLEAR)),
        TapCard("张三", bytes.fromhex(ALICE)),
        TapCard("04 ff", b"\x04\xff"),
        MoveCable(plug=False),
        MoveCable(plug=True),
        WaitFor("online"),
        Expect("lcd", ("余额 12.5", "请充值")),
        Expect("beep", ("ok",)),
        Expect("slip", ("RMB 12.50",)),
        Expect("no slip", ()),
        Within(20.0),
        Pause(0.25),
    ]


def test_cards_may_be_known_from_outside():
    assert actions("tap staff", cards={"staff": b"\x01"}) == [TapCard("staff", b"\x01")]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("press 1", "expected one of card, key, tap, cut, plug, wait-for, expect, within, pause, got 'press'"),
        ("key", "expected at least one key after `key`, got none"),
        ("key 1 RETURN", "expected keys such as .* got 'RETURN'"),
        ("tap 张三", r"expected a UID in hex digits or the name of a card \(none yet\), got '张三'"),
        ("card 04A1", "expected card NAME UID, got 'card 04A1'"),
        ("card x 04A", "expected a card's UID of 1..24 bytes in hex digits, got '04A'"),
        ("cut it", "expected nothing more on the line, got 'it'"),
        ("wait-for lunch", "expected one of online, offline, idle, settled, uploaded after wait-for, got 'lunch'"),
        ("expect", "expected lcd TEXT, slip TEXT, no slip, or beep key|ok|error after expect, got ''"),
        ("expect beep loud", "got 'beep loud'"),
        ("expect lcd", "got 'lcd'"),
        ("pause a while", "expected seconds such as 0.5, got 'a while'"),
        ("pause 86401", "expected at most 86400 seconds, got '86401'"),
        ("within " + "9" * 400, "expected at most 86400 seconds, got '999"),
    ],
)
def test_a_bad_line_is_refused_before_anything_runs(line, complaint):
    with pytest.raises(ScriptSyntaxError, match=f"^lunch.txt:2: .*{complaint.replace('|', '.')}"):
        parse_script(f"key 1\n{line}\n", "lunch.txt")


def test_plain_makes_full_width_forms_comparable():
    assert plain("  金额   １２．５０ ") == "金额 12.50"


def test_uid():
    assert parse_uid("04 a1") == b"\x04\xa1"
    with pytest.raises(ValueError, match=r"1\.\.24 bytes"):
        parse_uid("00" * 25)


# ------------------------------------------------------------------------------------------------ running
# Every test asks for the clock itself: pytest-trio does not see one that only a fixture asks for.


class Bench:
    """A machine and its host, running; `play` plays a script and keeps what it showed."""

    def __init__(self, nursery, language="zh"):
        self.toy = ToyHost(balance_fen=10_000)
        self.host = LineHost(nursery, self.toy, settings_of().root_key)
        self.machine = machine_at(self.host, settings_of(language=language))
        self.shown = []
        nursery.start_soon(run_machine, self.machine)

    async def play(self, text, show=True):
        await run_script(self.machine, parse_script(text, "lunch.txt"), self.shown.append if show else None)


@pytest.fixture
def bench(nursery):
    return Bench(nursery)


SALE = f"""
wait-for online
key 12.50 ENTER
expect lcd 请刷卡
tap {ALICE}
expect lcd 处理中
expect lcd 交易成功 / 余额 87.50
expect beep ok
expect slip 余额 RMB 87.50 / 商户存根
expect slip 持卡人存根
wait-for idle
"""


async def test_a_sale(bench, autojump_clock):
    await bench.play(SALE)
    assert bench.toy.sales_posted == 1


async def test_the_film_shows_every_key_and_every_change(bench, autojump_clock):
    await bench.play(SALE)
    text = "\n".join(bench.shown)
    assert "> key 12.50 ENTER" in text
    assert "[1]                 [2]                 [.]                 [5]" in text
    assert "│交易成功  000001│" in text
    assert "┆ 余额                   RMB 87.50 ┆" in text
    frames_of_the_sale = text.partition(f"> tap {ALICE}")[2]
    assert frames_of_the_sale.index("处理中...") < frames_of_the_sale.index("交易成功")


async def test_without_show_nothing_is_shown(bench, autojump_clock):
    await bench.play(SALE, show=False)
    assert bench.shown == []


async def test_a_failed_expectation_says_everything(bench, autojump_clock):
    before_s = trio.current_time()
    with pytest.raises(ScriptFailure) as caught:
        await bench.play(f"wait-for online\nkey 200 ENTER\ntap {ALICE}\nexpect lcd 交易成功")
    assert trio.current_time() - before_s >= EXPECT_TIMEOUT_S
    assert str(caught.value).splitlines()[:3] == [
        "lunch.txt:4: expect lcd 交易成功",
        "  expected: '交易成功' on the LCD within 15 s",
        "  got:      交易失败 51 / 余额不足 / 请充值 / 余额 100.00",
    ]
    assert "  │请充值          │" in str(caught.value)


async def test_within_sets_how_long_to_wait(bench, autojump_clock):
    before_s = trio.current_time()
    with pytest.raises(ScriptFailure, match="within 2 s"):
        await bench.play("wait-for online\nwithin 2\nexpect beep ok")
    assert trio.current_time() - before_s < 3


@pytest.mark.parametrize(
    ("step", "got"),
    [
        ("expect slip 消费", "no slip"),
        ("expect beep error", "beep key"),
        ("wait-for offline", "online, idle, 0 sales without a final state"),
        ("expect lcd nothing like it", "一食堂 3-58 / 金额(元) / 1 / 按确认后请刷卡"),
    ],
)
async def test_what_came_instead_is_said(bench, autojump_clock, step, got):
    with pytest.raises(ScriptFailure) as caught:
        await bench.play(f"wait-for online\nkey 1\n{step}")
    assert caught.value.got == got


async def test_an_old_screen_is_not_mistaken_for_a_new_one(bench, autojump_clock):
    """The result of the first sale is no result of the second, whose answer is lost."""
    await bench.play(SALE)
    bench.host.mute = True
    with pytest.raises(ScriptFailure):
        await bench.play(f"within 5\nkey 12.50 ENTER\ntap {ALICE}\nexpect lcd 交易成功")


async def test_expectations_keep_their_order(bench, autojump_clock):
    with pytest.raises(ScriptFailure):
        await bench.play(f"wait-for online\nkey 1 ENTER\ntap {ALICE}\nexpect lcd 交易成功\nwithin 1\nexpect lcd 处理中")


async def test_no_slip_where_none_may_come_out(bench, autojump_clock):
    await bench.play(f"wait-for online\nkey 200 ENTER\ntap {ALICE}\nexpect beep error\nexpect no slip")
    with pytest.raises(ScriptFailure) as caught:
        await bench.play(f"key 1 ENTER\ntap {ALICE}\nexpect beep ok\nexpect no slip")
    assert caught.value.expected == "no slip"
    assert "凭证号 000002" in caught.value.got


async def test_a_sale_whose_answer_is_lost_with_the_cable(bench, autojump_clock):
    """The payer was charged, the terminal never heard of it: it says "not charged", and makes that true."""
    bench.host.delay_s = 0.5
    await bench.play(
        f"""
        wait-for online
        key 9.90 ENTER
        tap {ALICE}
        pause 0.1
        cut
        wait-for offline
        expect lcd 未扣款 将冲正 / 请勿出餐
        expect no slip
        key CLEAR
        expect lcd 待冲正1笔 / 网络不通
        plug
        wait-for online
        wait-for settled
        """
    )
    assert bench.toy.sales_posted == 1
    assert bench.toy.balances[bytes.fromhex(ALICE)] == 10_000


async def test_in_english(nursery, autojump_clock):
    bench = Bench(nursery, "en")
    await bench.play(
        f"wait-for online\nkey 12.5 ENTER\nexpect lcd Tap the card\ntap {ALICE}\nexpect lcd Approved\n"
        "expect slip Balance RMB 87.50"
    )
