"""Terminals that come back from an outage in the middle of a load: every record is judged once, and customers go on."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from protocol import TerminalNumber
from protocol.messages import OfflineSaleRequest, StopListAnswer, StopListRequest
from protocol.security import saf_key
from terminal_emulator.load import LoadPlan
from terminal_emulator.record import RecordState
from tests.terminal_emulator.offline_host import ChainHost
from tests.terminal_emulator.test_load import CARDS, SlowServer, run
from tests.terminal_emulator.till import ToyHost, settings_of

SELLERS = tuple(settings_of(TerminalNumber(1, device)) for device in range(1, 6))
UPLOADERS = tuple(settings_of(TerminalNumber(2, device)) for device in range(1, 5))


class Host(ToyHost):
    """With a chain for every terminal."""

    def __init__(self):
        super().__init__()
        self.chains = {one.terminal: ChainHost(saf_key(one.root_key, one.terminal)) for one in UPLOADERS}

    def answer(self, number, request):
        if isinstance(request, OfflineSaleRequest):
            return self.chains[number].answer(request)
        if isinstance(request, StopListRequest):
            return StopListAnswer(version=0, newest=0, changes=())
        return super().answer(number, request)


def plan_of(**changes):
    plan = LoadPlan(terminals=SELLERS, cards=CARDS, seconds=10, rate_per_s=20, uploaders=UPLOADERS, records=25)
    return replace(plan, **changes)


def server_of(plan):
    """The toy server knows all of them by key."""
    return SlowServer(replace(plan, terminals=(*SELLERS, *UPLOADERS)), host=Host())


async def test_every_record_goes_up_once_while_customers_keep_coming(autojump_clock):
    plan = plan_of()
    server = server_of(plan)
    result = await run(plan, server)
    figures = result.outage
    assert (figures.terminals, figures.records, figures.accepted) == (4, 25, 100)
    assert (figures.refused, figures.left, result.unresolved, result.failed) == (0, 0, 0, 0)
    for chain in server.host.chains.values():
        assert (len(chain.booked), len(chain.verdicts), chain.sequence) == (25, 25, 25)
    offline = [sale for sale in result.sales if sale.record.saf is not None]
    assert {sale.record.state for sale in offline} == {RecordState.APPROVED}
    assert result.approved == len(result.sales) - len(offline)
    assert figures.p50_alone_ms == pytest.approx(10, abs=0.5)
    assert figures.p50_beside_ms == pytest.approx(10, abs=0.5), "other terminals' records are none of theirs"
    assert figures.p99_alone_ms >= figures.p50_alone_ms
    assert figures.seconds > 25 * 0.01 * 4, "each makes room after every answer"
    assert figures.seconds < 25 * 0.01 * 5 + 1, "and none waits for its next heartbeat to begin"
    assert figures.rate_per_s == pytest.approx(100 / figures.seconds)
    assert result.to_json()["offline_upload"]["p99_ratio"] == pytest.approx(figures.p99_ratio, abs=0.01)
    assert server.sessions == 9


async def test_what_the_host_refuses_is_counted_apart(autojump_clock):
    plan = plan_of(cards=CARDS[:2])
    server = server_of(plan)
    for chain in server.host.chains.values():
        chain.stopped.add(CARDS[0])
    result = await run(plan, server)
    assert result.outage.refused > 0
    assert result.outage.accepted + result.outage.refused == 100


async def test_a_load_without_an_outage_says_nothing_of_one(autojump_clock):
    plan = plan_of(uploaders=(), records=0)
    result = await run(plan, server_of(plan))
    assert result.outage is None
    assert "offline_upload" not in result.to_json()
