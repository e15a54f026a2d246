"""The gate over a real ledger: group commit, shedding, and what each kind of failure costs whom."""

import threading

import msgspec
import pytest
import trio
from prometheus_client import CollectorRegistry
from trio.testing import wait_all_tasks_blocked

from server.gate import (
    BACKGROUND_PAUSE_MAX_S,
    BACKGROUND_PAUSE_SHARE,
    BACKGROUND_PER_COMMIT,
    BUSY,
    FAULT,
    FAULT_LINE_EVERY_S,
    LONG_CALL_PAUSE_SHARE,
    LONG_CALL_S,
    PROBE_EVERY_S,
    QUEUE_PATIENCE_S,
    Gate,
    InlineExecutor,
    LedgerThread,
)
from server.ledger.model import Decision, TransferState
from server.ledger.sqlite import SqliteStore
from server.ledger.store import StoreAway, StoreBroken, StoreFull
from server.metrics import Metrics
from tests.server.host import SlowLedger
from tests.server.ledger import audit
from tests.server.ledger.campus import ANN, BEN, NOW_MS, START_FEN, balance, open_campus, query, sale

APPROVED, DECLINED = Decision.APPROVED, Decision.INSUFFICIENT_FUNDS
POISON = msgspec.structs.replace(sale(99, 100), token=object())
"""No request can look like this: whoever tries to load it meets an exception, as with a bug of ours."""


class GateRig:
    """A gate that runs on a campus's ledger."""

    def __init__(self, executor, *, batch_max=256, queue_max=4096, store=None):
        self.store = store or SqliteStore(":memory:")
        self.ledger = open_campus(self.store)
        self.executor = executor
        self.metrics = Metrics(CollectorRegistry())
        self.gate = Gate(
            self.ledger, executor, self.metrics, now_ms=lambda: NOW_MS, batch_max=batch_max, queue_max=queue_max
        )

    def count(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"fanka_{name}", labels) or 0

    def batches(self):
        """(batches decided, commands in them)."""
        return self.count("ledger_batch_size_count"), self.count("ledger_batch_size_sum")


@pytest.fixture(params=["inline", "thread"])
async def rig(request, nursery):
    executor = LedgerThread() if request.param == "thread" else InlineExecutor()
    rig = GateRig(executor)
    nursery.start_soon(rig.gate.run)
    yield rig
    await wait_all_tasks_blocked()
    nursery.cancel_scope.cancel()
    if request.param == "thread":
        executor.stop()
    rig.store.close()


class Held:
    """The ledger's thread kept busy, so that everything submitted meanwhile has to wait."""

    def __init__(self, rig, nursery):
        self.rig = rig
        self._release = threading.Event()
        self._nursery = nursery

    async def __aenter__(self):
        entered = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def hold():
            token.run_sync_soon(entered.set)
            assert self._release.wait(60)

        self._nursery.start_soon(self.rig.gate.call, hold)
        await entered.wait()
        return self

    async def __aexit__(self, *_):
        self._release.set()


@pytest.fixture
async def threaded(nursery):
    """A rig with the real thread, and the means to hold it."""
    executor = LedgerThread()
    rig = GateRig(executor, batch_max=8, queue_max=20)
    nursery.start_soon(rig.gate.run)
    yield rig, Held(rig, nursery)
    await rig.gate.call(int)
    nursery.cancel_scope.cancel()
    executor.stop()
    rig.store.close()


def submit_all(gate, nursery, commands, *, in_background=False):
    """Submit each from a task of its own; the outcomes appear by STAN as they come."""
    outcomes = {}

    async def one(command):
        outcomes[command.identity.stan] = await gate.submit(command, in_background=in_background)

    for command in commands:
        nursery.start_soon(one, command)
    return outcomes


# --- Deciding


async def test_an_outcome_is_the_ledgers_and_durable(rig):
    outcome = await rig.gate.submit(sale(1, 300))
    assert (outcome.decision, outcome.balance_fen, outcome.state) == (APPROVED, START_FEN - 300, TransferState.APPROVED)
    assert balance(rig.ledger) == START_FEN - 300
    assert (await rig.gate.submit(sale(2, START_FEN))).decision == DECLINED
    assert (await rig.gate.submit(sale(1, 300))).replayed
    assert (await rig.gate.submit(query(7))).decision == Decision.NEVER_SEEN


async def test_many_at_once_are_each_decided_once(rig):
    async with trio.open_nursery() as nursery:
        outcomes = submit_all(rig.gate, nursery, [sale(stan, 10, (ANN, BEN)[stan % 2]) for stan in range(1, 601)])
    assert {outcome.decision for outcome in outcomes.values()} == {APPROVED}
    assert len({outcome.rrn for outcome in outcomes.values()}) == 600
    assert (balance(rig.ledger, ANN), balance(rig.ledger, BEN)) == (START_FEN - 3000, START_FEN - 3000)
    assert rig.batches()[1] == 600
    audit.check(rig.store)


async def test_copies_in_flight_share_one_answer(rig):
    async with trio.open_nursery() as nursery:
        answers = [submit_all(rig.gate, nursery, [sale(1, 10)]) for _ in range(5)]
    [first, *copies] = [answer[1] for answer in answers]
    assert [copy.rrn for copy in copies] == [first.rrn] * 4
    assert balance(rig.ledger) == START_FEN - 10


async def test_what_gathers_during_a_commit_goes_into_the_next(threaded):
    rig, held = threaded
    async with trio.open_nursery() as nursery, held:
        outcomes = submit_all(rig.gate, nursery, [sale(stan, 1) for stan in range(1, 19)])
        await wait_all_tasks_blocked()
        assert rig.count("ledger_queue_depth") == 18
        assert outcomes == {}
    assert sorted(outcomes) == list(range(1, 19))
    assert rig.batches() == (3, 18)  # 8, 8 and 2
    assert rig.count("ledger_batch_size_bucket", le="8.0") == 3
    assert rig.count("ledger_queue_depth") == 0


async def test_order_of_arrival_is_order_of_decision(threaded):
    rig, held = threaded
    async with trio.open_nursery() as nursery, held:
        outcomes = {}
        for stan in range(1, 12):
            outcomes |= {stan: submit_all(rig.gate, nursery, [sale(stan, 1)])}
            await wait_all_tasks_blocked()
    rrns = [outcomes[stan][stan].rrn for stan in range(1, 12)]
    assert rrns == list(range(rrns[0], rrns[0] + 11))


# --- Shedding


async def test_a_full_queue_answers_busy_at_once_and_decides_nothing(threaded):
    rig, held = threaded
    async with trio.open_nursery() as nursery, held:
        outcomes = submit_all(rig.gate, nursery, [sale(stan, 1) for stan in range(1, 21)])
        await wait_all_tasks_blocked()
        shed = submit_all(rig.gate, nursery, [sale(stan, 1) for stan in range(21, 26)])
        await wait_all_tasks_blocked()
        assert shed == dict.fromkeys(range(21, 26), BUSY)
        assert outcomes == {}
        assert rig.count("ledger_shed_total") == 5
    assert {outcome.decision for outcome in outcomes.values()} == {APPROVED}
    assert balance(rig.ledger) == START_FEN - 20
    # What was shed was not seen: sent again, it is decided like new.
    again = await rig.gate.submit(sale(21, 1))
    assert (again.decision, again.replayed) == (APPROVED, False)


async def test_what_can_wait_goes_last_and_never_much_of_it_at_once(nursery):
    executor = LedgerThread()
    rig = GateRig(executor)
    nursery.start_soon(rig.gate.run)
    count = 2 * BACKGROUND_PER_COMMIT + 1
    async with Held(rig, nursery):
        waiting = submit_all(rig.gate, nursery, [sale(n, 1) for n in range(1, count + 1)], in_background=True)
        await wait_all_tasks_blocked()
        sales = submit_all(rig.gate, nursery, [sale(n, 1) for n in range(900, 940)])
        await wait_all_tasks_blocked()
    while len(waiting) < count or len(sales) < 40:
        await rig.gate.call(int)
    assert rig.batches() == (3, count + 40)
    assert max(outcome.rrn for outcome in sales.values()) < min(outcome.rrn for outcome in waiting.values())
    nursery.cancel_scope.cancel()
    executor.stop()
    rig.store.close()


async def test_those_who_can_wait_do_not_take_the_places_of_those_who_cannot(threaded, nursery):
    rig, held = threaded
    async with held:
        waiting = submit_all(rig.gate, nursery, [sale(n, 1) for n in range(1, 25)], in_background=True)
        await wait_all_tasks_blocked()
        assert [outcome.decision for outcome in waiting.values()] == [Decision.BUSY] * 4
        sales = submit_all(rig.gate, nursery, [sale(900, 1)])
        await wait_all_tasks_blocked()
        assert sales == {}, "it waits for its commit, and is not turned away"
    while not sales:
        await rig.gate.call(int)
    assert sales[900].decision == APPROVED


async def test_shedding_yields_to_others(threaded):
    rig, held = threaded
    async with trio.open_nursery() as nursery, held:
        submit_all(rig.gate, nursery, [sale(stan, 1) for stan in range(1, 21)])
        await wait_all_tasks_blocked()
        with trio.testing.assert_checkpoints():
            await rig.gate.submit(sale(21, 1))


# --- Callers that go away


async def test_a_cancelled_caller_stops_waiting_and_its_command_is_decided(threaded):
    rig, held = threaded
    async with trio.open_nursery() as nursery, held:
        outcomes = submit_all(rig.gate, nursery, [sale(1, 1)])
        await wait_all_tasks_blocked()
        with trio.move_on_after(0) as scope:
            await rig.gate.submit(sale(2, 10))
        assert scope.cancelled_caught
    assert outcomes[1].decision == APPROVED
    assert balance(rig.ledger) == START_FEN - 11
    assert (await rig.gate.submit(sale(2, 10))).replayed


async def test_a_caller_cancelled_during_the_commit_itself_changes_nothing(threaded):
    """The commit is in the thread already; whoever waits may leave, the commit does not notice."""
    rig, _ = threaded
    in_commit, go_on = threading.Event(), threading.Event()

    def now_ms():
        in_commit.set()
        assert go_on.wait(60)
        return NOW_MS

    rig.gate._now_ms = now_ms
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when, in_commit, scope, go_on)
            await rig.gate.submit(sale(1, 10))
        assert scope.cancelled_caught
    rig.gate._now_ms = lambda: NOW_MS
    assert (await rig.gate.submit(query(1))).state == TransferState.APPROVED


async def cancel_when(in_commit, scope, go_on):
    await trio.to_thread.run_sync(in_commit.wait, 60)
    scope.cancel()
    await wait_all_tasks_blocked()
    go_on.set()


async def test_a_gate_that_is_cancelled_finishes_what_it_has(nursery):
    """Shutdown: what was taken from terminals before is decided and durable, whether or not anybody waits."""
    executor = LedgerThread()
    rig = GateRig(executor, batch_max=4)
    async with trio.open_nursery() as callers:
        async with trio.open_nursery() as gates:
            gates.start_soon(rig.gate.run)
            async with Held(rig, callers):
                outcomes = submit_all(rig.gate, callers, [sale(stan, 1) for stan in range(1, 11)])
                await wait_all_tasks_blocked()
                gates.cancel_scope.cancel()
        assert balance(rig.ledger) == START_FEN - 10
    assert len(outcomes) == 10
    executor.stop()
    rig.store.close()


# --- Failures


def fill(store):
    [(pages,)] = store.execute("PRAGMA page_count")
    store.execute(f"PRAGMA max_page_count = {pages}")


def free(store):
    store.execute("PRAGMA max_page_count = 1073741823")


async def test_a_full_disk_is_a_fault_until_there_is_space(rig):
    await rig.gate.call(fill, rig.store)
    outcomes = []
    while FAULT not in outcomes:
        assert len(outcomes) < 200
        outcomes.append(await rig.gate.submit(sale(len(outcomes) + 1, 1)))
    stan = len(outcomes)
    assert {outcome.decision for outcome in outcomes[:-1]} <= {APPROVED}
    assert not rig.gate.healthy
    assert rig.count("ledger_faults_total", kind="StoreFull") == 1
    assert balance(rig.ledger) == START_FEN - (stan - 1)
    # What needs no space is answered meanwhile, and says nothing about the disk.
    assert (await rig.gate.submit(query(stan))).state == TransferState.NEVER_SEEN
    assert (await rig.gate.submit(sale(1, 1))).replayed == (stan > 1)
    assert not rig.gate.healthy
    await rig.gate.call(free, rig.store)
    outcome = await rig.gate.submit(sale(stan, 1))
    assert (outcome.decision, outcome.replayed) == (APPROVED, False)
    assert rig.gate.healthy
    audit.check(rig.store)


async def test_a_full_disk_costs_the_whole_batch(threaded):
    rig, held = threaded
    rig.gate._batch_max = 20
    await rig.gate.call(fill, rig.store)
    async with trio.open_nursery() as nursery, held:
        # Far too much for the space left in the last page.
        outcomes = submit_all(rig.gate, nursery, [sale(stan, 1) for stan in range(1, 21)])
        await wait_all_tasks_blocked()
    assert {outcome.decision for outcome in outcomes.values()} == {Decision.FAULT}
    assert balance(rig.ledger) == START_FEN
    assert rig.count("ledger_faults_total", kind="StoreFull") == 1


async def test_a_broken_store_ends_the_gate_and_answers_nobody(tmp_path):
    """A second writer on the same file: whoever meets it cannot know what is durable."""
    store = SqliteStore(tmp_path / "ledger.db")
    rig = GateRig(InlineExecutor(), store=store)
    store.execute("PRAGMA busy_timeout = 0")
    other = SqliteStore(tmp_path / "ledger.db")
    outcomes = {}
    with other.transaction(), pytest.RaisesGroup(StoreBroken):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.gate.run)
            outcomes = submit_all(rig.gate, nursery, [sale(1, 10), sale(2, 10)])
    assert outcomes == {}
    assert not rig.gate.healthy
    assert rig.count("ledger_faults_total", kind="StoreBroken") == 1
    other.close()
    store.close()


async def test_a_poisoned_command_costs_only_itself(threaded):
    rig, held = threaded
    async with trio.open_nursery() as nursery, held:
        outcomes = submit_all(rig.gate, nursery, [sale(1, 10), sale(2, 10), POISON, sale(3, 10), query(50)])
        await wait_all_tasks_blocked()
    decisions = {stan: outcome.decision for stan, outcome in outcomes.items()}
    assert decisions == {1: APPROVED, 2: APPROVED, 3: APPROVED, 50: Decision.NEVER_SEEN, 99: Decision.FAULT}
    assert balance(rig.ledger) == START_FEN - 30
    assert rig.count("ledger_faults_total", kind="command") == 1
    assert rig.gate.healthy
    audit.check(rig.store)


async def test_a_poisoned_command_is_logged_with_its_identity(rig, logs):
    assert await rig.gate.submit(POISON) == FAULT
    assert [entry["event"] for entry in logs] == ["a batch failed; deciding its commands one by one", "command failed"]
    assert logs[1]["identity"] == POISON.identity
    assert logs[1]["command"] == "Sale"


async def test_a_disk_that_fills_while_deciding_one_by_one_leaves_nobody_in_doubt(threaded):
    """Some were durable when the disk was found full: 96 decides nothing, and the copy gets the true answer."""
    rig, held = threaded
    rig.gate._batch_max = 20
    await rig.gate.call(fill, rig.store)
    commands = [POISON, *(sale(stan, 1) for stan in range(1, 20))]
    async with trio.open_nursery() as nursery, held:
        outcomes = submit_all(rig.gate, nursery, commands)
        await wait_all_tasks_blocked()
    assert {outcome.decision for outcome in outcomes.values()} == {Decision.FAULT}
    await rig.gate.call(free, rig.store)
    for command in commands[1:]:
        assert (await rig.gate.submit(command)).decision == APPROVED
    assert balance(rig.ledger) == START_FEN - 19
    audit.check(rig.store)


# --- Calls


async def test_a_call_gives_back_its_result_or_its_exception(rig):
    assert await rig.gate.call(lambda a, b: a * b, 6, 7) == 42
    with pytest.raises(ZeroDivisionError):
        await rig.gate.call(divmod, 1, 0)
    assert rig.gate.healthy


async def test_calls_run_in_the_ledgers_thread_between_batches(threaded):
    rig, held = threaded
    thread = await rig.gate.call(threading.get_ident)
    assert thread != threading.get_ident()
    async with trio.open_nursery() as nursery, held:
        outcomes = submit_all(rig.gate, nursery, [sale(stan, 1) for stan in range(1, 11)])
        seen = []

        async def look():
            seen.append(await rig.gate.call(lambda: (threading.get_ident(), rig.store.head()[0])))

        nursery.start_soon(look)
        await wait_all_tasks_blocked()
    [(ident, head)] = seen
    assert ident == thread
    assert head == 2 + 8  # behind one batch, not behind the whole queue
    assert len(outcomes) == 10


async def test_between_two_long_calls_those_who_wait_are_served(threaded):
    """A canteen closes and all its terminals settle: the sales of another do not wait for all of that."""
    rig, held = threaded
    async with trio.open_nursery() as nursery, held:
        seen = []

        async def look():
            seen.append(await rig.gate.call_alone(lambda: rig.store.head()[0]))

        for _ in range(4):
            nursery.start_soon(look)
        await wait_all_tasks_blocked()
        submit_all(rig.gate, nursery, [sale(stan, 1) for stan in range(1, 11)])
        await wait_all_tasks_blocked()
    first, second, *_ = sorted(seen)
    assert (first, second >= 10) == (2, True), "a commit of the sales goes between two of them"


async def test_a_long_call_whose_caller_has_gone_is_not_made(threaded):
    rig, held = threaded
    made = threading.Event()
    async with held:
        with trio.move_on_after(0) as scope:
            await rig.gate.call_alone(made.set)
        assert scope.cancelled_caught
    assert await rig.gate.call_alone(lambda: 6 * 7) == 42
    assert not made.is_set()


async def test_a_call_whose_caller_has_gone_is_not_made(threaded):
    """A stranger who says HELLO and leaves must not leave work behind."""
    rig, held = threaded
    made = threading.Event()
    async with held:
        with trio.move_on_after(0) as scope:
            await rig.gate.call(made.set)
        assert scope.cancelled_caught
    await rig.gate.call(int)  # calls are made in their order
    assert not made.is_set()


async def test_a_full_disk_is_probed_so_that_nobody_has_to_sell_first(nursery, autojump_clock):
    rig = GateRig(InlineExecutor())
    nursery.start_soon(rig.gate.run)
    nursery.start_soon(rig.gate.probe)
    await rig.gate.call(fill, rig.store)
    stan = 0
    while rig.gate.healthy:
        stan += 1
        assert stan < 200
        await rig.gate.submit(sale(stan, 1))
    await trio.sleep(2 * PROBE_EVERY_S)
    assert not rig.gate.healthy
    await rig.gate.call(free, rig.store)
    await trio.sleep(2 * PROBE_EVERY_S)
    assert rig.gate.healthy
    nursery.cancel_scope.cancel()
    rig.store.close()


@pytest.mark.parametrize("idle", [True, False], ids=["nobody sells", "sales go on"])
async def test_a_database_that_goes_away_is_noticed_before_anybody_sells(nursery, monkeypatch, autojump_clock, idle):
    """/readyz must not say "ready" of a host that could not make the next sale; and a commit proves enough."""
    rig = GateRig(InlineExecutor())
    nursery.start_soon(rig.gate.run)
    nursery.start_soon(rig.gate.probe)
    await trio.sleep(2 * PROBE_EVERY_S)
    assert rig.gate.healthy

    def away():
        raise StoreAway("PostgreSQL: not reachable")

    with monkeypatch.context() as patched:
        patched.setattr(rig.store, "ping", away)
        for stan in range(1, 5):
            if not idle:
                await rig.gate.submit(sale(stan, 1))
            await trio.sleep(PROBE_EVERY_S / 2)
        patched.setattr(rig.ledger, "probe", away)
        await trio.sleep(0 if not idle else 2 * PROBE_EVERY_S)
        assert rig.gate.healthy is not idle
    await trio.sleep(2 * PROBE_EVERY_S)
    assert rig.gate.healthy
    nursery.cancel_scope.cancel()
    rig.store.close()


async def test_one_call_that_fails_costs_its_neighbours_nothing(threaded):
    rig, held = threaded
    results = {}

    async def one(name, function):
        try:
            results[name] = await rig.gate.call(function)
        except ArithmeticError as error:
            results[name] = type(error)

    async with trio.open_nursery() as nursery, held:
        for name, function in (("a", lambda: 1), ("b", lambda: 1 // 0), ("c", lambda: 3)):
            nursery.start_soon(one, name, function)
        await wait_all_tasks_blocked()
    assert results == {"a": 1, "b": ZeroDivisionError, "c": 3}


def raise_(error):
    raise error


async def test_a_call_that_meets_a_full_disk_hears_of_it_and_so_does_the_probe(rig):
    with pytest.raises(StoreFull):
        await rig.gate.call(raise_, StoreFull("no space"))
    assert not rig.gate.healthy
    assert rig.count("ledger_faults_total", kind="StoreFull") == 1
    await rig.gate.submit(sale(1, 1))
    assert rig.gate.healthy


async def test_a_database_that_is_away_is_a_fault_until_it_is_back(rig, logs, monkeypatch, autojump_clock):
    """The host lives on; what it logs about it does not grow with what terminals ask."""

    def away(*_: object):
        raise StoreAway("PostgreSQL: not reachable")

    with monkeypatch.context() as patched:
        patched.setattr(rig.store, "load_transfers", away)
        outcomes = [await rig.gate.submit(sale(stan, 1)) for stan in range(1, 101)]
        with pytest.raises(StoreAway):
            await rig.gate.call(away)
    assert set(outcomes) == {FAULT}
    assert rig.count("ledger_faults_total", kind="StoreAway") == 101
    said = [entry for entry in logs if entry["event"] == "ledger fault"]
    assert len(said) <= 1 + autojump_clock.current_time() / FAULT_LINE_EVERY_S
    assert not rig.gate.healthy
    assert (await rig.gate.submit(sale(1, 1))).decision == APPROVED
    assert rig.gate.healthy
    audit.check(rig.store)


async def test_a_call_that_breaks_the_store_ends_the_gate():
    rig = GateRig(InlineExecutor())
    with pytest.RaisesGroup(StoreBroken):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.gate.run)
            nursery.start_soon(rig.gate.call, raise_, StoreBroken("bad sector"))
    rig.store.close()


# --- Executors


@pytest.mark.parametrize("kind", [InlineExecutor, LedgerThread])
async def test_an_executor_gives_back_results_and_exceptions(kind):
    executor = kind()
    assert await executor.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await executor.run(divmod, 1, 0)
    if kind is LedgerThread:
        executor.stop()


async def test_the_thread_is_one_and_its_work_cannot_be_cancelled():
    executor = LedgerThread()
    first = await executor.run(threading.get_ident)
    with trio.move_on_after(0) as scope:
        assert await executor.run(threading.get_ident) == first
    assert not scope.cancelled_caught
    executor.stop()


def test_the_thread_ends_when_stopped():
    before = set(threading.enumerate())
    executor = LedgerThread()
    [thread] = set(threading.enumerate()) - before
    executor.stop()
    assert not thread.is_alive()


async def test_a_request_that_waited_too_long_is_told_so_and_nothing_is_posted(nursery, autojump_clock):
    """Behind a slow commit: its terminal is about to ask again, and must not be answered by a booking it gave up."""
    executor = SlowLedger(QUEUE_PATIENCE_S + 0.5)
    rig = GateRig(executor)
    nursery.start_soon(rig.gate.run)
    outcomes = {}

    async def sell(stan):
        outcomes[stan] = await rig.gate.submit(sale(stan, 1))

    async with trio.open_nursery() as sellers:
        sellers.start_soon(sell, 1)
        await wait_all_tasks_blocked()
        sellers.start_soon(sell, 2)
    assert outcomes[1].decision == APPROVED
    assert outcomes[2] == BUSY
    assert rig.count("ledger_shed_total") == 1
    executor.delay_s = 0
    assert (await rig.gate.submit(query(2))).state == TransferState.NEVER_SEEN
    nursery.cancel_scope.cancel()
    rig.store.close()


async def test_commits_begin_some_time_apart_unless_a_whole_batch_waits(nursery, autojump_clock):
    """A lone request after a pause does not wait; one right behind another is gathered; a full batch goes at once."""
    rig = GateRig(InlineExecutor(), batch_max=4)
    rig.gate._gather_s = 0.5
    nursery.start_soon(rig.gate.run)
    await trio.sleep(1)
    began_s = trio.current_time()
    await rig.gate.submit(sale(1, 1))
    assert trio.current_time() == began_s
    await rig.gate.submit(sale(2, 1))
    assert trio.current_time() - began_s == pytest.approx(0.5)
    async with trio.open_nursery() as sellers:
        for stan in range(3, 7):
            sellers.start_soon(rig.gate.submit, sale(stan, 1))
    assert trio.current_time() - began_s == pytest.approx(0.5)
    assert rig.batches() == (3, 6)
    nursery.cancel_scope.cancel()
    rig.store.close()


async def test_between_commits_with_what_can_wait_there_is_time_for_those_who_cannot(nursery, autojump_clock):
    """However slow the commits are, a fifth of the time at most goes to those who can wait; and they do get it."""
    executor = SlowLedger(0.1)
    rig = GateRig(executor)
    nursery.start_soon(rig.gate.run)
    done_s = []

    async def bring(stan):
        await rig.gate.submit(sale(stan, 1), in_background=True)
        done_s.append(trio.current_time() - began_s)

    began_s = trio.current_time()
    async with trio.open_nursery() as bringers:
        for stan in range(1, 2 * BACKGROUND_PER_COMMIT + 2):
            bringers.start_soon(bring, stan)
        await trio.sleep(0.2)  # in the first pause
        await rig.gate.submit(sale(900, 1))
        assert trio.current_time() - began_s == pytest.approx(0.3), "it finds the ledger free"
    turns = sorted({round(at_s, 3) for at_s in done_s})
    pause_s = BACKGROUND_PAUSE_SHARE * 0.1
    assert turns == [pytest.approx(0.1 + number * (0.1 + pause_s)) for number in range(3)]
    nursery.cancel_scope.cancel()
    rig.store.close()


async def test_between_two_long_calls_there_is_time_for_those_who_cannot_wait(nursery, autojump_clock):
    """Huge batches are settled: whoever still sells waits for one call now and then, not at each sale."""
    rig = GateRig(SlowLedger(0.1))
    nursery.start_soon(rig.gate.run)
    began_s, looked_s, sold_s = trio.current_time(), [], []

    async def look():
        await rig.gate.call_alone(int)
        looked_s.append(round(trio.current_time() - began_s, 3))

    async with trio.open_nursery() as lookers:
        for _ in range(3):
            lookers.start_soon(look)
        await trio.sleep(0.15)  # in the first pause
        for stan in range(1, 4):
            asked_s = trio.current_time()
            await rig.gate.submit(sale(stan, 1))
            sold_s.append(round(trio.current_time() - asked_s, 3))
        await rig.gate.call(int)
        assert trio.current_time() - began_s < 0.6, "a short call does not wait for the long ones"
    pause_s = LONG_CALL_PAUSE_SHARE * 0.1
    second_s = 0.15 + 4 * 0.1 + 0.1  # after what was asked for in the pause
    assert looked_s == [pytest.approx(at_s) for at_s in (0.1, second_s, second_s + pause_s + 0.1)]
    assert sold_s == [pytest.approx(0.1)] * 3, "each finds the ledger free"
    nursery.cancel_scope.cancel()
    rig.store.close()


async def test_calls_that_take_no_time_are_made_one_behind_the_other(nursery, autojump_clock):
    """A canteen closes: a hundred terminals settle at once, and each waits three seconds for its answer."""
    rig = GateRig(SlowLedger(LONG_CALL_S / 2))
    nursery.start_soon(rig.gate.run)
    began_s = trio.current_time()
    async with trio.open_nursery() as terminals:
        for _ in range(100):
            terminals.start_soon(rig.gate.call_alone, int)
    assert trio.current_time() - began_s == pytest.approx(50 * LONG_CALL_S)
    nursery.cancel_scope.cancel()
    rig.store.close()


async def test_a_slow_disk_keeps_nobody_waiting_for_ever(nursery, autojump_clock):
    executor = SlowLedger(1.0)
    rig = GateRig(executor)
    nursery.start_soon(rig.gate.run)
    await rig.gate.submit(sale(1, 1), in_background=True)
    began_s = trio.current_time()
    await rig.gate.submit(sale(2, 1), in_background=True)
    assert trio.current_time() - began_s == pytest.approx(BACKGROUND_PAUSE_MAX_S + 1.0)
    nursery.cancel_scope.cancel()
    rig.store.close()
