"""A worker: one target in this process, under Atheris or under our own engine, and its report in a file."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from tests.fuzz import corpus
from tests.fuzz.runner import Report, Runner, run_seeded
from tests.fuzz.target import WATCHED, load


def run_target(name: str, options: argparse.Namespace) -> None:
    """Search one target within its budget and write the report. Under Atheris the process ends here."""
    if options.engine == "atheris":
        _run_atheris(name, options)
        return
    target = load(name)
    runner = Runner(name, target, options.engine, options.crashes)
    entries = corpus.whole(name, target)
    write(options.worker, run_seeded(runner, entries, options.seed, options.executions, options.seconds))


def write(path: Path, report: Report) -> None:
    path.write_bytes(msgspec.json.encode(report))


def _run_atheris(name: str, options: argparse.Namespace) -> None:
    """libFuzzer never gives control back: the budget is watched from inside, and the report written before the end."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=WATCHED[name]):
        target = load(name)
    runner = Runner(name, target, options.engine, options.crashes)
    started_s, end_s = time.process_time(), time.monotonic() + options.seconds
    runner.start(corpus.whole(name, target))
    report, one = runner.report, runner.one

    def test_one_input(data: bytes) -> None:
        one(data)
        done = options.executions and report.executions >= options.executions
        if not report.executions & 0xFF:
            done = done or (options.seconds and time.monotonic() >= end_s)
        if done or runner.given_up:
            write(options.worker, runner.finish(time.process_time() - started_s))
            os._exit(0)

    options.crashes.mkdir(parents=True, exist_ok=True)  # libFuzzer writes there too, and insists
    with tempfile.TemporaryDirectory(prefix="fanka-fuzz-") as folder:
        for number, data in enumerate(runner.pool):
            (Path(folder) / f"{number:04}").write_bytes(data)
        atheris.Setup([sys.argv[0], *_arguments(folder, target.size_max, options)], test_one_input)
        atheris.Fuzz()


def _arguments(folder: str, size_max: int, options: argparse.Namespace) -> list[str]:
    """For libFuzzer. Exceptions never reach it; what it reports are crashes of C code and inputs without an end."""
    return [
        folder,
        f"-seed={options.seed}",
        f"-max_len={size_max}",
        "-timeout=30",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={options.crashes}/",
        "-verbosity=0",
    ]
