"""State machines (R4) run for long: one execution is a whole sequence of steps, compared with the model after each.

The short runs of the same machines are part of the tests; here seeds go on for as long as one likes.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import time
from typing import Any, Final

from hypothesis import Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.fuzz.runner import Report, Violation, place_of

MACHINES: Final = {
    "ledger_machine": ("tests.server.ledger.test_ledger", "LedgerMachine"),
    "postgres_machine": ("tests.server.ledger.test_postgres_machine", "PostgresMachine"),
    "wire_machine": ("tests.server.test_wire_machine", "WireMachine"),
}
BLOCK: Final = 50
"""Sequences of one seed."""
STEPS: Final = 200
SEEDS_APART: Final = 1_000_000
"""So that runs with neighbouring seeds do not repeat each other."""


def load_machine(name: str) -> type[RuleBasedStateMachine]:
    module, kind = MACHINES[name]
    found: type[RuleBasedStateMachine] = getattr(importlib.import_module(module), kind)
    return found


def run_machine(name: str, first_seed: int, executions: int, seconds: float) -> Report:
    """Blocks of sequences until the budget is used up or one of them breaks the model's word."""
    report = Report(name, "hypothesis")
    machine = counted(load_machine(name), report)
    started_s, end_s = time.process_time(), time.monotonic() + seconds
    number = first_seed * SEEDS_APART
    while not report.violations:
        wanted = min(BLOCK, executions - report.executions) if executions else BLOCK
        if wanted <= 0 or (seconds and time.monotonic() >= end_s):
            break
        told = io.StringIO()
        try:
            with contextlib.redirect_stdout(told):
                run_state_machine_as_test(seed(number)(machine), settings=of_block(wanted))
        except Exception as error:
            story = "\n".join([*getattr(error, "__notes__", []), told.getvalue()])
            report.violations.append(Violation(name, f"seed {number}: {error!r}\n{story}", place_of(error), ""))
        number += 1
    report.cpu_s = time.process_time() - started_s
    return report


def of_block(examples: int) -> settings:
    """Fresh sequences, and a failure made small."""
    phases = (Phase.generate, Phase.shrink)
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=phases,
        derandomize=False,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[],
    )


def counted(machine: type[RuleBasedStateMachine], report: Report) -> Any:
    """The machine, each of its sequences counted at its end."""

    class Counted(machine):  # type: ignore[misc, valid-type]
        def teardown(self) -> None:
            report.executions += 1
            super().teardown()

    Counted.__name__ = Counted.__qualname__ = machine.__name__
    return Counted
