"""A connection cut at every point where its task gives up control: nothing is left over, nothing is booked twice.

A cut is one of: the task is cancelled; the terminal is revoked; the terminal vanishes; the host drains. Whatever was
under way, the other terminals go on, and this one finds out the final word by sending the same request again.
"""

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from protocol import RemoteProtocolError
from protocol.messages import Reject, SignOffRequest
from tests.protocol.pair import forge
from tests.server.host import CARD, OTHER_CARD, START_FEN, Line, open_host
from tests.server.ledger import audit
from tests.wire import ECHO, query_of

STEPS_MAX = 50
"""More steps than the whole conversation takes: `test_the_conversation_is_covered` proves it."""


class AfterStep(trio.abc.Instrument):
    """Does something the moment the watched task has given up control for the n-th time."""

    def __init__(self, number, action):
        self.number, self.action = number, action
        self.task: trio.lowlevel.Task | None = None
        self.steps = 0

    def after_task_step(self, task):
        if task is self.task:
            self.steps += 1
            if self.steps == self.number:
                self.action()


class Cut:
    """One connection to a host, and the ways to cut it."""

    def __init__(self, rig, step, how):
        self.rig, self.how = rig, how
        self.till = rig.enrol()
        near, self.far = memory_stream_pair()
        self.line = Line(self.till, near)
        self.scope = trio.CancelScope()
        self.sales = [self.till.sale(CARD, 100), self.till.sale(CARD, 250)]
        self.answers = []
        self.instrument = AfterStep(step, getattr(self, how))

    async def connection(self):
        """The connection's task."""
        self.instrument.task = trio.lowlevel.current_task()
        trio.lowlevel.add_instrument(self.instrument)
        try:
            with self.scope:
                await self.rig.link.serve(self.far, "10.0.0.1")
        finally:
            trio.lowlevel.remove_instrument(self.instrument)

    async def terminal(self):
        """A whole conversation, as far as it gets."""
        line = self.line
        try:
            await line.shake_hands()
            for sale in self.sales:
                self.answers.append(await line.sell(sale))
            await line.ask(ECHO)
            unknown = forge(line.connection, 0x0999, b"\0", flags=1)
            line.connection.send(ECHO)
            await line.stream.send_all(unknown)
            if isinstance(await line.hear(), Reject):
                await line.ask(SignOffRequest())
        except (AssertionError, trio.BrokenResourceError, trio.ClosedResourceError):
            # The line was cut; never in the middle of a frame, or this raises.
            if self.how != "vanish":
                assert await line.is_over()
        except RemoteProtocolError:
            if self.how != "revoke":  # before it had said hello, so that it met an unknown key
                raise
        finally:
            await line.stream.aclose()

    # --- The ways

    def cancel(self):
        self.scope.cancel()

    def revoke(self):
        self.rig.host.admin.terminals.revoke(str(self.till.number))

    def vanish(self):
        self.far.receive_stream.close()
        self.line.stream.receive_stream.close()

    def drain(self):
        trio.lowlevel.spawn_system_task(self.rig.link.drain)

    def nothing(self):
        pass


async def run(rig, cut):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cut.connection)
        nursery.start_soon(cut.terminal)
    await wait_all_tasks_blocked()


def spent(cut):
    return sum(sale.amount_fen for sale in cut.sales)


async def test_the_conversation_is_covered(autojump_clock):
    async with open_host() as rig:
        cut = Cut(rig, 0, "nothing")
        await run(rig, cut)
        assert 10 < cut.instrument.steps < STEPS_MAX
        assert [answer.response_code for answer in cut.answers] == ["00", "00"]
        assert rig.count("sessions_ended_total", reason="signed_off") == 1


@pytest.mark.parametrize("step", range(1, STEPS_MAX))
@pytest.mark.parametrize("how", ["cancel", "vanish"])
async def test_a_cut_leaves_nothing_over_and_books_nothing_twice(how, step, autojump_clock, logs):
    async with open_host() as rig:
        witness = rig.enrol()
        witness_line = await rig.sign_on(witness)
        cut = Cut(rig, step, how)
        await run(rig, cut)
        rig.assert_at_rest(sessions=1)
        assert rig.count("handshakes_total", result="ready") == 1 + sessions_ended(rig)
        assert (await witness_line.sell(witness.sale(OTHER_CARD))).response_code == "00"
        # The terminal connects again and sends the same once more.
        line = await rig.sign_on(cut.till)
        answers = [await line.sell(sale) for sale in cut.sales]
        assert answers[: len(cut.answers)] == cut.answers
        assert [answer.response_code for answer in answers] == ["00", "00"]
        assert rig.balance_fen() == START_FEN - spent(cut)
        rig.assert_at_rest(sessions=2)
        assert {entry["log_level"] for entry in logs} <= {"info", "warning"}  # no cut is a fault of ours
        audit.check(rig.store)


def sessions_ended(rig):
    """How many sessions have ended, for whatever reason."""
    [metric] = rig.host.metrics.sessions_ended.collect()
    return sum(sample.value for sample in metric.samples)


@pytest.mark.parametrize("step", range(1, STEPS_MAX))
async def test_a_revocation_at_any_moment_is_final(step, autojump_clock):
    async with open_host() as rig:
        witness = rig.enrol()
        witness_line = await rig.sign_on(witness)
        cut = Cut(rig, step, "revoke")
        await run(rig, cut)
        if cut.instrument.steps < step:
            cut.revoke()
        rig.assert_at_rest(sessions=1)
        for sale in cut.sales:
            await rig.host.service.handle(cut.till.number, sale)
        # What was approved before stays so; nothing else moved a fen.
        assert rig.balance_fen() == START_FEN - sum(answer.amount_fen for answer in await approved(rig, cut))
        assert (await rig.host.service.handle(cut.till.number, cut.till.sale(CARD))).response_code == "58"
        with pytest.raises(RemoteProtocolError, match="proof of the host's key"):
            await rig.sign_on(cut.till)
        assert (await witness_line.sell(witness.sale(OTHER_CARD))).response_code == "00"
        audit.check(rig.store)


async def approved(rig, cut):
    """What the ledger says of the sales, from those it has approved."""
    answers = [await rig.host.service.handle(cut.till.number, query_of(sale)) for sale in cut.sales]
    assert all(answer.response_code in ("00", "58") for answer in answers)
    told = [answer.rrn for answer in cut.answers if answer.response_code == "00"]
    kept = [answer for answer in answers if answer.response_code == "00"]
    assert {answer.rrn for answer in kept} >= set(told)
    return kept


@pytest.mark.parametrize("step", range(1, STEPS_MAX))
async def test_a_drain_at_any_moment_ends_and_answers_what_it_has(step, autojump_clock):
    async with open_host() as rig:
        cut = Cut(rig, step, "drain")
        await run(rig, cut)
        rig.assert_at_rest()
        assert trio.current_time() == 0
        answers = [await rig.host.service.handle(cut.till.number, query_of(sale)) for sale in cut.sales]
        for answer, sale in zip(cut.answers, cut.sales, strict=False):
            assert (answer.response_code, answer.stan) == ("00", sale.stan)
        decided = sum(answer.response_code == "00" for answer in answers)
        assert rig.balance_fen() == START_FEN - sum(sale.amount_fen for sale in cut.sales[:decided])
        audit.check(rig.store)
