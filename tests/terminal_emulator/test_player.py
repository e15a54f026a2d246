"""What a script makes a terminal do, what it has to show, and what is said where it does not."""

from contextlib import nullcontext

import pytest
import trio

from protocol.messages import EntryMode
from terminal_emulator.outlet import Outlet
from terminal_emulator.player import EXPECT_TIMEOUT_S, ScriptFailure, run_script
from terminal_emulator.script import parse_script
from terminal_emulator.storage import MemoryStorage
from tests.terminal_emulator.line_host import LineHost, machine_at
from tests.terminal_emulator.till import ToyHost, settings_of

ALICE = "04A1B2C3"

# Every test asks for the clock itself: pytest-trio does not see one that only a fixture asks for.


class Bench:
    """A terminal in its outlet and its host, running; `play` plays a script and keeps what it showed."""

    def __init__(self, nursery, language="zh"):
        self.toy = ToyHost(balance_fen=10_000)
        self.host = LineHost(nursery, self.toy, settings_of().root_key)
        self.storage = MemoryStorage()
        self.outlet = Outlet(lambda: nullcontext(machine_at(self.host, settings_of(language=language), self.storage)))
        self.shown = []
        self.nursery = nursery

    async def play(self, text, show=True):
        if not hasattr(self.outlet, "machine"):
            await self.nursery.start(self.outlet.run)
        await run_script(self.outlet, parse_script(text, "lunch.txt"), self.shown.append if show else None)


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
        expect slip merchant 冲正通知 / 金额 RMB 9.90 / 未扣款
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
        f"wait-for online\nkey 12.5 ENTER\nexpect lcd Sale: tap card\ntap {ALICE}\nexpect lcd Approved\n"
        "expect slip Balance RMB 87.50"
    )


async def test_a_printer_without_paper_changes_nothing_and_prints_later(bench, autojump_clock):
    await bench.play(
        f"""
        wait-for online
        printer out
        expect lcd line 4 请装纸
        key 12.50 ENTER
        tap {ALICE}
        expect beep ok
        expect lcd 交易成功 / 余额 87.50 / 请装纸
        expect no slip
        printer in
        expect slip merchant 余额 RMB 87.50
        expect slip customer 余额 RMB 87.50
        """
    )
    assert bench.toy.sales_posted == 1


async def test_a_killed_terminal_starts_from_what_it_stored(bench, autojump_clock):
    """Killed while it waits for the answer: after the start it asks, and shows that the sale did happen."""
    bench.host.delay_s = 0.5
    await bench.play(
        f"""
        wait-for online
        printer open
        key 9.90 ENTER
        tap {ALICE}
        expect lcd 处理中
        restart
        expect lcd 上一笔 9.90 / 断电前未完成
        expect lcd 上一笔 9.90 / 交易成功 000001 / 余额 90.10 / 打印机盖未合
        wait-for settled
        cut
        restart
        wait-for offline
        plug
        wait-for online
        """
    )
    assert bench.toy.sales_posted == 1


async def test_a_memory_that_loses_a_record(bench, autojump_clock):
    await bench.play(f"{SALE}forget 1")
    assert bench.storage.records == {}
    with pytest.raises(ScriptFailure) as caught:
        await bench.play("forget 1")
    assert caught.value.expected == "a record with this voucher number"


async def test_several_cards_and_a_code_held_to_the_machine(bench, autojump_clock):
    await bench.play(
        f"""
        code phone 9112345678901122334455
        wait-for online
        key 5 ENTER
        tap {ALICE}, {ALICE}
        expect lcd 余额 95.00
        wait-for idle
        key 6 ENTER
        scan phone
        expect lcd line 1 交易成功
        expect slip 付款码 ****7890
        wait-for idle
        key 7 ENTER
        scan no-number
        expect beep error
        expect lcd 请刷卡
        """
    )
    assert bench.toy.sales_posted == 2


async def test_the_code_on_the_newest_slip_is_scanned(bench, autojump_clock):
    """Held where a payment code is wanted, it is taken for one: so one sees what was scanned."""
    with pytest.raises(ScriptFailure, match="a slip with a code on it"):
        await bench.play("wait-for online\nscan slip")
    await bench.play(f"{SALE}key CLEAR 1 ENTER\nscan slip\nexpect slip 付款码")
    [sale] = [record for record in bench.storage.records.values() if record.entry_mode is EntryMode.CODE]
    assert sale.payer == b"%012d" % bench.storage.records[1, 1].rrn


async def test_a_line_and_a_copy_can_be_asked_for(bench, autojump_clock):
    await bench.play(SALE)
    for step, expected in (
        ("expect lcd line 2 交易成功", "'交易成功' on line 2 of the LCD within 1 s"),
        ("expect slip customer 商户存根", "'商户存根' on a customer's slip within 1 s"),
    ):
        with pytest.raises(ScriptFailure) as caught:
            await bench.play(f"within 1\nkey 1\n{step}")
        assert caught.value.expected == expected
