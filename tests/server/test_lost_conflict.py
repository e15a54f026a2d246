"""A terminal whose memory was rolled back, over the whole way: its sale flow, memory streams, sessions, ledger.

Its next sale goes out under a number that an older sale has; the host refuses it with 94, and the answer gets lost.
When the terminal asks what became of it, the older sale's approval must not buy the new customer a meal.
"""

from __future__ import annotations

import pytest
from trio.testing import wait_all_tasks_blocked

from protocol.messages import QueryAnswer, QueryRequest, SaleRequest, TransactionState
from terminal_emulator.backoff import middle
from terminal_emulator.flows.transaction import TransactionFlow
from terminal_emulator.record import Record, RecordState
from tests.server.host import CARD, OTHER_CARD, START_FEN, open_host
from tests.wire import CLAIMED_AT_S, query_of

MEAL_FEN = 800


def rolled_back(sale, **differs):
    """The new sale as the terminal stores it: its counters are where they were before the older one."""
    fields = {"amount_fen": MEAL_FEN, "payer": OTHER_CARD, "claimed_at_s": CLAIMED_AT_S + 3600} | differs
    return Record(batch=sale.batch, stan=sale.stan, **fields)


async def ask_and_lose(rig, till, message):
    """A session in which the host decides and answers, and the line breaks before anybody hears it."""
    line = await rig.sign_on(till)
    await line.say(message)
    await wait_all_tasks_blocked()
    await line.stream.aclose()
    await wait_all_tasks_blocked()


@pytest.mark.parametrize(
    "differs",
    [{}, {"amount_fen": 1250}, {"payer": CARD}],
    ids=["another customer and meal", "another customer, same meal", "same customer, another meal"],
)
@pytest.mark.parametrize("power_cut", [False, True])
async def test_an_older_sales_approval_buys_nobody_a_meal(logs, differs, power_cut):
    async with open_host() as rig:
        till = rig.enrol()
        old = till.sale(CARD, 1250)
        assert (await (await rig.sign_on(till)).sell(old)).response_code == "00"
        journal = rig.transfers()

        record = rolled_back(old, **differs)
        flow = TransactionFlow(record, 0.0, middle)
        sent = 0
        while isinstance(request := flow.next_request(0.0), SaleRequest):
            await ask_and_lose(rig, till, request)
            flow.unanswered(0.0)
            sent += 1
            if power_cut:
                flow = TransactionFlow(record, 0.0, middle, recovered=True)
        assert (sent, rig.count("authorizations_total", type="sale", code="94")) == ((1, 1) if power_cut else (3, 3))

        assert isinstance(request, QueryRequest)
        line = await rig.sign_on(till)
        answer = await line.ask(request)
        assert flow.fits(answer)
        ended = flow.answered(answer, 0.0)
        assert ended is not None
        assert (ended.state, ended.response_code, ended.rrn) == (RecordState.DECLINED, "94", 0)
        assert ended.balance_fen == 0  # of the other customer's money nothing is told

        assert (rig.balance_fen(CARD), rig.balance_fen(OTHER_CARD)) == (START_FEN - 1250, START_FEN)
        assert rig.transfers() == journal
        assert rig.count("id_conflicts_total") == sent + 1
        assert [entry["log_level"] for entry in logs].count("error") == sent + 1
        answer = await line.ask(query_of(old))
        assert isinstance(answer, QueryAnswer)
        assert (answer.state, answer.response_code) == (TransactionState.APPROVED, "00")  # as ever for the older one
