"""Runs one target input after input: counts, measures, keeps what is new, and writes down what breaks a promise."""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.mutate import Mutator, shrunk
from tests.fuzz.target import Target, execute

LABELS_MAX: Final = 4_000
"""Inputs kept for a search: past it, words that are new are counted but lead nowhere."""
VIOLATIONS_MAX: Final = 20
"""Different breaches after which a target is not run any further."""
ERROR_LABEL: Final = "broken"


class Violation(msgspec.Struct):
    """A broken promise: where, and an input that shows it."""

    target: str
    error: str
    where: str
    hex: str
    file: str = ""


class Report(msgspec.Struct):
    """What a run of one target came to. `cpu_s` is all of it, mutation included."""

    target: str
    engine: str
    executions: int = 0
    cpu_s: float = 0.0
    new_entries: int = 0
    slowest_ms: float = 0.0
    slowest_hex: str = ""
    labels: dict[str, int] = {}
    violations: list[Violation] = []
    found: dict[str, str] = {}
    """For every new label the smallest input seen, as hex."""


class Runner:
    """One target under test. `one` never raises."""

    def __init__(self, name: str, target: Target, engine: str, crashes: Path | None = None) -> None:
        self.name = name
        self.target = target
        self.report = Report(name, engine)
        self.pool: list[bytes] = []
        self._crashes = crashes
        self._labels: Counter[str] = Counter()
        self._smallest: dict[str, bytes] = {}
        self._old: set[str] = set()
        self._broken: set[str] = set()
        self._slowest_s = 0.0

    @property
    def given_up(self) -> bool:
        """Whether so much is broken that more of it teaches nothing."""
        return len(self._broken) >= VIOLATIONS_MAX

    def start(self, corpus: list[bytes]) -> None:
        """What is known already: seeds and corpus. They count as executions, but not as new."""
        for data in corpus:
            self.one(data)
            self.pool.append(data)
        self._old = set(self._labels)
        self.pool = self.pool or [b"\0"]

    def one(self, data: bytes) -> None:
        """Feed one input."""
        started_s = time.thread_time()
        label = self._run(data)
        took_s = time.thread_time() - started_s
        self.report.executions += 1
        self._labels[label] += 1
        smallest = self._smallest.get(label)
        if smallest is None:
            if len(self._smallest) < LABELS_MAX:
                self._smallest[label] = data
                self.pool.append(data)
        elif len(data) < len(smallest):
            self._smallest[label] = data
        if took_s > self._slowest_s * max(1, len(data) / 4096):
            self._look_at_slow(data)
        if self.target.settle is not None:
            self._settle(data)

    def finish(self, cpu_s: float) -> Report:
        """The report; what was new in it is as small as it was seen."""
        report = self.report
        report.cpu_s = cpu_s
        report.labels = dict(self._labels)
        report.slowest_ms = 1000 * self._slowest_s
        old = self._old | {ERROR_LABEL}
        report.found = {label: data.hex() for label, data in self._smallest.items() if label not in old}
        report.new_entries = len(report.found)
        return report

    def _run(self, data: bytes) -> str:
        try:
            return self.target.run(data)
        except Exception as error:
            self._note(data, error)
            return ERROR_LABEL

    def _settle(self, data: bytes) -> None:
        assert self.target.settle is not None
        try:
            self.target.settle()
        except Exception as error:
            self._note(data, error)

    def _note(self, data: bytes, error: Exception) -> None:
        where = place_of(error)
        if where in self._broken or self.given_up:
            return
        self._broken.add(where)
        data = shrunk(data, lambda candidate: self._breaks_at(candidate, where))
        violation = Violation(self.name, f"{type(error).__name__}: {error}", where, data.hex())
        if self._crashes is not None:
            self._crashes.mkdir(parents=True, exist_ok=True)
            path = self._crashes / f"{self.name}-{sha256(data).hexdigest()[:12]}.hex"
            path.write_text(data.hex() + "\n", encoding="ascii")
            violation.file = str(path)
        self.report.violations.append(violation)

    def _breaks_at(self, data: bytes, where: str) -> bool:
        try:
            execute(self.target, data)
        except Exception as error:
            return place_of(error) == where
        return False

    def _look_at_slow(self, data: bytes) -> None:
        """Measure again: the machine has other things to do, and memory is tidied up now and then."""
        best_s = min(self._measured_s(data) for _ in range(5)) / max(1, len(data) / 4096)
        if best_s > self._slowest_s:
            self._slowest_s = best_s
            self.report.slowest_hex = data.hex()

    def _measured_s(self, data: bytes) -> float:
        started_s = time.thread_time()
        self._run(data)
        return time.thread_time() - started_s


def place_of(error: BaseException) -> str:
    """Kind of an exception and the innermost line of ours: two of the same place are one fault."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename and "<" not in frame.filename]
    if not ours:
        return type(error).__name__
    return f"{type(error).__name__} at {'/'.join(Path(ours[-1].filename).parts[-2:])}:{ours[-1].lineno}"


def run_seeded(runner: Runner, corpus: list[bytes], seed: int, executions: int, seconds: float) -> Report:
    """Our own engine: seeded mutation, steered by the labels alone. 0 executions or seconds: no such limit."""
    rng = random.Random(seed)
    target = runner.target
    mutator = Mutator(rng, target.words, target.size_max)
    started_s, end_s = time.process_time(), time.monotonic() + seconds
    runner.start(corpus)
    pool, uniform, one, mutate = runner.pool, rng.random, runner.one, mutator.mutate
    while not runner.given_up:
        for _ in range(100):
            if executions and runner.report.executions >= executions:
                return runner.finish(time.process_time() - started_s)
            # Half of the time something found lately: behind it there is more that is new.
            start = 0 if uniform() < 0.5 else max(0, len(pool) - 32)
            data = pool[start + int(uniform() * (len(pool) - start))]
            one(mutate(data, pool[int(uniform() * len(pool))]))
        if seconds and time.monotonic() >= end_s:
            break
    return runner.finish(time.process_time() - started_s)
