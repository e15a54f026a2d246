"""The only place where trio meets the ledger: a bounded queue, group commit, one dedicated thread.

While one commit runs, requests gather; the next commit takes them all, and begins a little after the one before if few
have come. So a lone request waits for one commit, and under load a commit's cost is shared by many. Nothing here can
cancel a commit: a caller that goes away only stops waiting.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

import outcome
import structlog
import trio

from server.ledger.ledger import Ledger
from server.ledger.model import Command, Decision, Outcome
from server.ledger.store import StoreError, StorePaused
from server.metrics import Metrics

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = structlog.get_logger("gate")

QUEUE_PATIENCE_S: Final = 2.0
"""Longest a request waits for its commit to begin: a terminal gives up after ANSWER_TIMEOUT_S, three seconds, and a
sale booked after that is one to be looked up or reversed."""
BACKGROUND_PER_COMMIT: Final = 8
"""How many commands that nobody at a till waits for go along with one commit, when others want it too. A thousand
terminals that come back from an outage bring a day's sales at once: all of them in a commit would make it ten times as
long, and every sale of the moment would wait for it. Sixteen brought no more of them up, and cost those sales more."""
BACKGROUND_PAUSE_SHARE: Final = 2
"""After a commit that carried some of it, none is taken for so many times as long as that took: a third of the time at
most, on any machine."""
LONG_CALL_PAUSE_SHARE: Final = 4
"""The same after a call that was long: a fifth of the time, for nothing goes along with it."""
LONG_CALL_S: Final = 0.02
"""A call that reads much and took longer than this is followed by such a pause. A settlement of some thousand records
takes less: a canteen's hundred terminals that close at the same minute are done within a second or two, and a sale in
between waits for one of them. One of a hundred times as many, asked for again and again, would keep the ledger busy."""
BACKGROUND_PAUSE_MAX_S: Final = 0.5
"""So that it goes on, however slow the disk is: whoever waits gives up after three seconds."""
PROBE_EVERY_S: Final = 5.0
"""How often an unhealthy ledger is tried, and how long nothing may have been committed before a healthy one is asked
whether its database is there."""
FAULT_LINE_EVERY_S: Final = 1.0
"""Least time between two log lines about a ledger that cannot be written; the counter has them all."""
BUSY: Final = Outcome(Decision.BUSY)
FAULT: Final = Outcome(Decision.FAULT)


class Executor(Protocol):
    """Runs a synchronous function for a trio task, to its end whatever happens to the task."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The function's result, or its exception."""


class LedgerThread:
    """One thread of its own, so that the ledger's connection has one owner and never waits for other thread work."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], trio.lowlevel.TrioToken, trio.lowlevel.Task] | None]
        self._jobs = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, token, task = job
            result = outcome.capture(function)
            token.run_sync_soon(trio.lowlevel.reschedule, task, result)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """See `Executor`. Not cancellable: a commit under way is always waited for."""
        self._jobs.put((lambda: function(*args), trio.lowlevel.current_trio_token(), trio.lowlevel.current_task()))
        result: T = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return result

    def stop(self) -> None:
        """End the thread after what it is doing."""
        self._jobs.put(None)
        self._thread.join()


class InlineExecutor:
    """Runs the function in the calling task: for simulation, where a thread would make a virtual clock jump."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """See `Executor`."""
        await trio.lowlevel.checkpoint()
        return function(*args)


class _Waiting:
    """A command or a call in the queue, and the task that waits for it (None once it has gone away)."""

    __slots__ = ("since_s", "task", "work")

    def __init__(self, work: Any) -> None:
        self.work = work
        self.since_s = trio.current_time()
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

    async def wait(self) -> Any:
        return await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def finish(self, result: outcome.Outcome[Any]) -> None:
        if self.task is not None:
            task, self.task = self.task, None
            trio.lowlevel.reschedule(task, result)


class Gate:
    """See the module's docstring. `run` must be running for anything to be answered."""

    def __init__(
        self,
        ledger: Ledger,
        executor: Executor,
        metrics: Metrics,
        *,
        now_ms: Callable[[], int],
        batch_max: int,
        queue_max: int,
        gather_s: float = 0.0,
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._metrics = metrics
        self._now_ms = now_ms
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._gather_s = gather_s
        self._next_commit_s = self._next_fault_line_s = self._committed_s = 0.0
        self._background_from_s = self._long_calls_from_s = 0.0
        self._commands: deque[_Waiting] = deque()
        self._background: deque[_Waiting] = deque()
        self._has_background = False  # whether the batch in hand carries some
        self._calls: deque[_Waiting] = deque()
        self._long_calls: deque[_Waiting] = deque()
        self._wanted = trio.Event()
        self.healthy = True
        """Whether the newest batch could be committed: what /readyz shows."""
        metrics.queue_depth.set_function(lambda: len(self._commands) + len(self._background))

    async def submit(self, command: Command, *, in_background: bool = False) -> Outcome:
        """The outcome of one command, after it is durable. BUSY at once when the queue is full: nothing is decided
        then. `in_background`: nobody stands at a till for it, so those who do go first."""
        queue = self._background if in_background else self._commands
        if len(queue) >= self._queue_max:
            self._metrics.shed.inc()
            await trio.lowlevel.checkpoint()
            return BUSY
        waiting = _Waiting(command)
        queue.append(waiting)
        self._wanted.set()
        result: Outcome = await waiting.wait()
        return result

    async def call(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a function that touches the store in the ledger's thread, between batches; its exceptions come back."""
        return await self._call(self._calls, lambda: function(*args))

    async def call_alone(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The same for a function that reads much. Terminals settle all at once when a canteen closes, while another
        still sells: there is one of these at most between two commits, and after one that took long none for a while.
        """
        return await self._call(self._long_calls, lambda: function(*args))

    async def _call(self, calls: deque[_Waiting], function: Callable[[], T]) -> T:
        waiting = _Waiting(function)
        calls.append(waiting)
        self._wanted.set()
        result: T = await waiting.wait()
        return result

    async def run(self) -> None:
        """Work for ever. StoreBroken ends it, and with it the process: durability is unknown, only a restart
        recovers."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            while self._commands or self._background or self._calls or self._long_calls:
                if self._calls or self._is_long_call_due():
                    await self._run_calls()
                    await self._run_long_call()
                elif not self._commands:
                    await self._wait_for_a_turn()
                if self._commands or self._background:
                    await self._gather()
                    await self._run_batch()

    async def _wait_for_a_turn(self) -> None:
        """Only what can wait is there: wait for its turn, or for something else."""
        turns = ((self._background, self._background_from_s), (self._long_calls, self._long_calls_from_s))
        with trio.move_on_at(min(from_s for waiting, from_s in turns if waiting)):
            await self._wanted.wait()
            self._wanted = trio.Event()

    def _is_long_call_due(self) -> bool:
        return bool(self._long_calls) and trio.current_time() >= self._long_calls_from_s

    async def probe(self) -> None:
        """Perhaps nobody sells: while unhealthy, try now and then whether the ledger can be written again; otherwise
        ask whether its database is still there."""
        while True:
            await trio.sleep(PROBE_EVERY_S)
            with suppress(StorePaused):
                if not self.healthy:
                    await self.call(self._ledger.probe)
                    self.healthy = True
                elif trio.current_time() - self._committed_s >= PROBE_EVERY_S:
                    await self.call(self._ledger.store.ping)

    async def _run_calls(self) -> None:
        taken = [self._calls.popleft() for _ in range(min(len(self._calls), self._batch_max))]
        # Who has gone away needs no look-up any more: strangers must not be able to leave work behind.
        calls = [call for call in taken if call.task is not None]
        if calls:
            await self._make(calls)

    async def _run_long_call(self) -> None:
        """One of them, if it is their turn and somebody still waits for it."""
        while self._is_long_call_due():
            call = self._long_calls.popleft()
            if call.task is None:
                continue
            started_s = trio.current_time()
            await self._make([call])
            if trio.current_time() - started_s > LONG_CALL_S:
                self._long_calls_from_s = _pause_after(started_s, LONG_CALL_PAUSE_SHARE)
            return

    async def _make(self, calls: list[_Waiting]) -> None:
        results = await self._executor.run(_capture_all, [call.work for call in calls])
        for call, result in zip(calls, results, strict=True):
            if isinstance(result, outcome.Error) and isinstance(result.error, StoreError):
                self._note_fault(result.error)
            call.finish(result)

    async def _run_batch(self) -> None:
        started_s = trio.current_time()
        batch = self._next_batch(started_s)
        if not batch:
            return
        commands = [waiting.work for waiting in batch]
        head_seq = self._ledger.head_seq
        try:
            outcomes: Sequence[Outcome] = await self._executor.run(self._commit, commands)
            if self._ledger.head_seq != head_seq:
                self.healthy = True  # queries and repeats succeed on a full disk too, and prove nothing
                self._committed_s = trio.current_time()
        except StoreError as error:
            self._note_fault(error)
            outcomes = [FAULT] * len(batch)
        if self._has_background:
            self._background_from_s = _pause_after(started_s, BACKGROUND_PAUSE_SHARE)
        self._metrics.batch_size.observe(len(batch))
        self._metrics.commit_seconds.observe(trio.current_time() - started_s)
        for waiting, result in zip(batch, outcomes, strict=True):
            waiting.finish(outcome.Value(result))

    async def _gather(self) -> None:
        """Commits begin `gather_s` apart unless a whole batch waits: a few requests cost nearly as much as many. A
        request that comes when nothing was committed for a while does not wait.
        """
        if trio.current_time() < self._next_commit_s and len(self._commands) < self._batch_max:
            await trio.sleep_until(self._next_commit_s)
        self._next_commit_s = trio.current_time() + self._gather_s

    def _next_batch(self, now_s: float) -> list[_Waiting]:
        """What waits, oldest first, with some of what can wait. What has waited too long is answered BUSY: its terminal
        is about to ask again."""
        batch: list[_Waiting] = []
        self._take(self._commands, batch, self._batch_max, now_s)
        live = len(batch)
        if now_s >= self._background_from_s:
            self._take(self._background, batch, min(live + BACKGROUND_PER_COMMIT, self._batch_max), now_s)
        self._has_background = len(batch) > live
        return batch

    def _take(self, queue: deque[_Waiting], batch: list[_Waiting], size_max: int, now_s: float) -> None:
        while queue and len(batch) < size_max:
            waiting = queue.popleft()
            if now_s - waiting.since_s <= QUEUE_PATIENCE_S:
                batch.append(waiting)
            else:
                self._metrics.shed.inc()
                waiting.finish(outcome.Value(BUSY))

    def _note_fault(self, error: StoreError) -> None:
        """Count and log; a store that may have lost a commit takes the process down."""
        self._metrics.ledger_faults.labels(kind=type(error).__name__).inc()
        self.healthy = False
        if trio.current_time() >= self._next_fault_line_s or not isinstance(error, StorePaused):
            # Every request meets the same fault, those of strangers too: they must not fill the disk with log lines.
            self._next_fault_line_s = trio.current_time() + FAULT_LINE_EVERY_S
            log.error("ledger fault", error=str(error))
        if not isinstance(error, StorePaused):
            raise error

    def _commit(self, commands: list[Command]) -> list[Outcome]:
        """In the ledger's thread. A command that trips a bug costs only itself: the others are decided without it."""
        self._ledger.store.maintain()
        now_ms = self._now_ms()
        try:
            return self._ledger.apply(commands, now_ms)
        except StoreError:
            raise
        except Exception:
            log.exception("a batch failed; deciding its commands one by one", size=len(commands))
        return [self._commit_alone(command, now_ms) for command in commands]

    def _commit_alone(self, command: Command, now_ms: int) -> Outcome:
        try:
            return self._ledger.apply([command], now_ms)[0]
        except StoreError:
            raise
        except Exception:
            self._metrics.ledger_faults.labels(kind="command").inc()
            log.exception("command failed", identity=command.identity, command=type(command).__name__)
            return FAULT


def _pause_after(started_s: float, share: float) -> float:
    """Until when those who cannot wait have the ledger for themselves, after work that began then and ends now: `share`
    times as long as that took."""
    now_s = trio.current_time()
    return now_s + min(share * (now_s - started_s), BACKGROUND_PAUSE_MAX_S)


def _capture_all(functions: list[Callable[[], Any]]) -> list[outcome.Outcome[Any]]:
    return [outcome.capture(function) for function in functions]
