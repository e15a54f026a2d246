"""The load generator against the toy host, on a clock that jumps: what it counts is known beforehand."""

from functools import partial
from random import Random

import pytest
import trio
import trio.testing

from protocol import TerminalNumber
from protocol.messages import EchoRequest, SaleRequest, TransactionState
from terminal_emulator import load as load_module
from terminal_emulator.effects import Key
from terminal_emulator.load import LoadError, LoadPlan, keys_for, run_load
from terminal_emulator.load_result import LoadProgress
from tests.terminal_emulator.till import WALL_S, ToyHost, settings_of
from tests.terminal_emulator.toy_server import SlowToClose, ToyServer

CARDS = tuple(bytes([4, card]) for card in range(50))


def plan_of(count=10, **changes):
    numbers = [TerminalNumber(1, device) for device in range(1, count + 1)]
    return LoadPlan(**{"terminals": tuple(map(settings_of, numbers)), "cards": CARDS, "seconds": 20} | changes)


class SlowServer(ToyServer):
    """Answers after `delay_s`; between `stalls` (from, to) it answers nothing until the stall is over."""

    def __init__(self, plan, *, delay_s=0.01, stalls=(0, 0), host=None):
        super().__init__({settings.terminal: settings.root_key for settings in plan.terminals}, host)
        self.delay_s = delay_s
        self.stalls = stalls
        self.connecting = self.connecting_most = 0

    async def _session(self, stream, connection):
        send = stream.send_all

        async def send_late(data):
            if connection.state == "ready":
                await trio.sleep(self.delay_s)
                if self.stalls[0] <= trio.current_time() < self.stalls[1]:
                    await trio.sleep_until(self.stalls[1])
            await send(data)

        stream.send_all = send_late
        await super()._session(stream, connection)


async def run(plan, server, seed=1, **kwargs):
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        result = await run_load(
            plan, open_stream=server.open_stream, rng=Random(seed), wall_clock=lambda: WALL_S, **kwargs
        )
        server.nursery.cancel_scope.cancel()
    return result


def audit(result, host):
    """Terminals and host agree on every sale."""
    approved = {
        (sale.terminal, sale.record.batch, sale.record.stan): sale.record.amount_fen for sale in result.acknowledged
    }
    assert len(approved) == len(result.acknowledged)
    in_host = {key for key, state in host.states.items() if state is TransactionState.APPROVED}
    assert approved.keys() == in_host
    assert sum(host.balances.values()) == len(host.balances) * host.balance_fen - sum(approved.values())


@pytest.mark.parametrize(
    ("amount_fen", "keys"),
    [(1250, "12.5"), (1205, "12.05"), (1200, "12"), (5, "0.05"), (100, "1"), (1000, "10"), (20000, "200")],
)
def test_amounts_become_keys(amount_fen, keys):
    assert keys_for(amount_fen) == (*map(Key, keys), Key.ENTER)


async def test_open_loop_offers_what_it_should_and_counts_every_sale(autojump_clock):
    plan = plan_of(rate_per_s=50, warm_up_s=5)
    server = SlowServer(plan)
    result = await run(plan, server)
    figures = result.to_json()
    assert result.approved == pytest.approx(50 * 20, rel=0.1)
    assert (result.declined, result.failed, result.unresolved) == (0, 0, 0)
    assert figures["throughput_per_s"] == pytest.approx(50, rel=0.1)
    assert figures["offered_per_s"] == 50
    assert figures["terminals"] == 10
    assert figures["latency_ms"]["p50"] == pytest.approx(10, abs=0.1)
    assert list(figures["latency_ms"]) == ["p50", "p90", "p99", "p999", "max"]
    assert len(result.sales) > result.approved  # the warm-up is audited as well
    assert {sale.terminal.device for sale in result.sales} == set(range(1, 11))
    assert all(300 <= sale.record.amount_fen <= 2500 for sale in result.sales)
    audit(result, server.host)


async def test_a_stall_is_counted_for_everybody_who_came_during_it(autojump_clock):
    """Coordinated omission: with 20 customers a second, a stall of 2.5 s keeps 50 waiting, not one a terminal."""
    plan = plan_of(4, rate_per_s=20, seconds=25)
    server = SlowServer(plan, stalls=(10, 12.5))
    result = await run(plan, server)
    waited = [result.latency.get_value_at_percentile(percent) / 1000 for percent in range(80, 101)]
    assert result.latency_ms["max"] >= 2400
    assert sum(latency_ms > 500 for latency_ms in waited) >= 6  # some 40 of 500 waited longer than half a second
    assert result.failed == 0
    audit(result, server.host)


async def test_closed_loop_keeps_every_selling_terminal_busy(autojump_clock):
    plan = plan_of(5, selling=3, seconds=10)
    server = SlowServer(plan, delay_s=0.1)
    result = await run(plan, server)
    assert result.approved == pytest.approx(3 * 100, abs=4)
    assert result.throughput_per_s == pytest.approx(30, abs=0.5)
    assert result.to_json()["offered_per_s"] is None
    assert {sale.terminal.device for sale in result.sales} == {1, 2, 3}
    audit(result, server.host)


async def test_terminals_that_do_not_sell_stay_connected(autojump_clock):
    plan = plan_of(6, selling=2, seconds=70, rate_per_s=2)
    server = SlowServer(plan)
    await run(plan, server)
    assert sum(isinstance(request, EchoRequest) for request in server.requests) >= 8
    assert server.sessions == 6


async def test_declined_sales_are_told_apart(autojump_clock):
    plan = plan_of(rate_per_s=50)
    server = SlowServer(plan, host=ToyHost(balance_fen=5000))
    result = await run(plan, server)
    assert result.declined > 500
    assert result.approved > 50
    audit(result, server.host)


@pytest.mark.parametrize("outage_s", [3, 30])
@pytest.mark.parametrize("rate_per_s", [20, None], ids=["open", "closed"])
async def test_a_host_that_dies_and_comes_back(autojump_clock, outage_s, rate_per_s):
    plan = plan_of(rate_per_s=rate_per_s, seconds=60)
    server = SlowServer(plan, delay_s=0.05)

    async def kill_and_restart():
        await trio.sleep(10)
        await server.crash()
        await trio.sleep(outage_s)
        server.epoch += 1
        server.up = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill_and_restart)
        result = await run(plan, server)
    assert result.unresolved == 0
    assert result.approved > 500
    if outage_s > 10:  # sales under way when it died were told "not charged" after ten seconds
        assert (rate_per_s is None) <= result.failed <= 10
        assert sum(sale.record.state == "reversed" for sale in result.sales) == result.failed
    if rate_per_s:
        assert result.latency_ms["max"] >= outage_s * 900
        assert result.approved + result.failed == pytest.approx(20 * 60, rel=0.12)
    audit(result, server.host)


@pytest.mark.parametrize("rate_per_s", [50, None], ids=["open", "closed"])
async def test_a_host_that_is_restarted_in_good_order(autojump_clock, rate_per_s):
    """Closing takes a moment here, so that customers are sure to come while it lasts."""
    plan = plan_of(rate_per_s=rate_per_s, seconds=60)

    class SlowToLeave(SlowServer):
        async def open_stream(self, settings=None):
            return SlowToClose(await super().open_stream(settings), partial(trio.sleep, 0.2))

    server = SlowToLeave(plan, delay_s=0.05)

    async def restart():
        for _ in range(3):
            await trio.sleep(10)
            await server.stop()
            await trio.sleep(0.5)
            server.epoch += 1
            server.up = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(restart)
        result = await run(plan, server)
    assert (result.failed, result.unresolved) == (0, 0)
    assert server.sessions == 4 * 10
    if rate_per_s:
        assert result.approved == pytest.approx(50 * 60, rel=0.1)
    else:
        assert result.approved > 3000
    audit(result, server.host)


@pytest.mark.parametrize("rate_per_s", [50, None], ids=["open", "closed"])
async def test_ended_early_what_was_sold_is_counted(autojump_clock, rate_per_s):
    plan = plan_of(rate_per_s=rate_per_s, seconds=1000)
    server = SlowServer(plan, delay_s=0.1)
    result = await run(plan, server, stop=partial(trio.sleep, 20))
    assert result.stopped
    assert result.seconds == pytest.approx(20, abs=0.1)
    assert result.throughput_per_s == pytest.approx(rate_per_s or 100, rel=0.15)
    assert result.unresolved == 0
    audit(result, server.host)


async def test_the_same_seed_gives_the_same_customers(autojump_clock):
    plan = plan_of(rate_per_s=20)
    results = [await run(plan, SlowServer(plan), seed=seed) for seed in (5, 5, 6)]
    first, again, other = ([(s.terminal, s.record.amount_fen) for s in result.sales] for result in results)
    assert first == again != other


async def test_a_host_that_refuses_is_an_error_that_says_why(autojump_clock):
    plan = plan_of()
    server = SlowServer(plan)
    server.keys = {settings.terminal: settings.root_key for settings in plan.terminals[:4]}
    why = r"6 of 10 terminals have no session.*1-5.*refused"
    with pytest.RaisesGroup(pytest.RaisesExc(LoadError, match=why)):
        await run(plan, server)


async def test_customers_nobody_served_count_as_failed(autojump_clock):
    plan = plan_of(2, rate_per_s=10, seconds=30)
    server = SlowServer(plan)

    async def die():
        await trio.sleep(10)
        await server.crash()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(die)
        result = await run(plan, server)
    assert result.failed == pytest.approx(200, rel=0.2)
    assert result.approved + result.failed == pytest.approx(300, rel=0.15)
    assert result.latency_ms["max"] > 40_000


async def test_no_more_than_a_few_shake_hands_at_once(autojump_clock):
    plan = plan_of(100, rate_per_s=10, seconds=1)
    server = SlowServer(plan)
    connecting: list[int] = []

    async def open_slowly(settings):
        connecting.append(1)
        most.append(len(connecting))
        await trio.sleep(0.05)
        stream = await server.open_stream()
        connecting.pop()
        return stream

    most: list[int] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await run_load(plan, open_stream=open_slowly, rng=Random(1), wall_clock=lambda: WALL_S)
        server.nursery.cancel_scope.cancel()
    assert max(most) <= load_module.CONNECTING_MAX


async def test_progress_is_told_while_it_runs(autojump_clock):
    plan = plan_of(rate_per_s=50, warm_up_s=3, seconds=5)
    told: list[LoadProgress] = []
    await run(plan, SlowServer(plan), report=told.append)
    phases = [progress.phase for progress in told]
    assert sorted(set(phases), key=phases.index)[:2] == ["warming up", "selling"]
    assert [progress.approved for progress in told] == sorted(progress.approved for progress in told)
    assert all(progress.online == 10 for progress in told)
    assert {round(progress.latency_ms[0]) for progress in told if progress.latency_ms} == {10}


@pytest.mark.parametrize(
    "wrong",
    [
        {"terminals": ()},
        {"cards": ()},
        {"selling": 0},
        {"selling": 11},
        {"seconds": 0},
        {"warm_up_s": -1},
        {"rate_per_s": 0},
        {"amounts_fen": (0, 5)},
        {"amounts_fen": (6, 5)},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(LoadError):
        plan_of(**wrong)


async def test_every_request_is_a_keyed_and_tapped_sale(autojump_clock):
    plan = plan_of(rate_per_s=20, seconds=5)
    server = SlowServer(plan)
    await run(plan, server)
    assert {type(request) for request in server.requests} == {SaleRequest}
    assert {request.payer for request in server.requests} <= set(CARDS)
    assert {request.operator for request in server.requests} == {7}
