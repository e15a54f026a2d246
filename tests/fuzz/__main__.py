"""python -m tests.fuzz: fuzz the parsers. Exits 0 only if every promise held.

Each target runs in a process of its own, `--jobs` of them at a time, with Atheris (coverage-guided) where it is
installed and with the seeded engine of this package elsewhere. An input that breaks a promise is written to
build/fuzz/, and `--replay FILE` runs it again.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz import corpus
from tests.fuzz.engine import run_target, write
from tests.fuzz.machines import MACHINES, load_machine, run_machine
from tests.fuzz.runner import Report, Violation
from tests.fuzz.target import NAMES, SECONDS_PER_4_KIB, execute, load, promise_of
from tests.rigs import counters
from tests.rigs.command import at_least, run

DEFAULT_SECONDS: Final = 60.0
CRASHES: Final = counters.ROOT / "build" / "fuzz"
"""Outside git."""
WORKER_GRACE_S: Final = 120.0
"""How much longer than its budget a worker may take, start and a last slow input included."""


def arguments_of(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument("--target", action="append", choices=[*NAMES, *MACHINES], help="only this one; may be repeated")
    parser.add_argument("--seconds", type=at_least(1, float), default=0.0, help="for the whole run (default 60)")
    parser.add_argument("--executions", type=at_least(1), default=0, help="for the whole run, in place of --seconds")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="targets at a time")
    parser.add_argument("--seed", type=int, default=1, help="the same seed and engine make the same inputs")
    parser.add_argument("--engine", choices=["atheris", "seeded"], help="default: atheris if it is installed")
    parser.add_argument("--crashes", type=Path, default=CRASHES, help="where inputs go that break a promise")
    parser.add_argument(
        "--replay", type=Path, help="run one stored input of the one --target, and say what comes of it"
    )
    parser.add_argument("--keep", action="store_true", help="add what was found to the corpus (small inputs only)")
    parser.add_argument("--record", action="store_true", help="add the counts to docs/reliability.json")
    parser.add_argument("--list", action="store_true", help="name the targets and what they promise")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)  # the file for its report
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    options = arguments_of(argv)
    names = options.target or list(NAMES)
    if options.list:
        print("\n".join(f"{name:16} {promise}" for name, promise in promises()))
        return 0
    if options.replay is not None:
        return replay(names, options.replay)
    if not options.seconds and not options.executions:
        options.seconds = DEFAULT_SECONDS
    options.engine = options.engine or ("atheris" if importlib.util.find_spec("atheris") else "seeded")
    if options.worker is not None:
        work(names[0], options)
        return 0
    reports = run_workers(names, options)
    print(summary(reports))
    if options.keep:
        added = sum(corpus.keep(name, load(name), found) for name, found in newest(reports).items())
        print(f"corpus: {added} inputs added to {corpus.FOLDER}")
    if options.record:
        record(reports)
    return 1 if any(report.violations for report in reports) else 0


def promises() -> list[tuple[str, str]]:
    """Every target and what it promises."""
    machines = [(name, (load_machine(name).__doc__ or "").split("\n", 1)[0]) for name in MACHINES]
    return [*((name, promise_of(name)) for name in NAMES), *machines]


def work(name: str, options: argparse.Namespace) -> None:
    """In a worker: run the target and write the report."""
    if name in MACHINES:
        write(options.worker, run_machine(name, options.seed, options.executions, options.seconds))
    else:
        run_target(name, options)


def replay(names: list[str], path: Path) -> int:
    """One stored input again: the exception with its traceback, or what came of it."""
    if len(names) != 1:
        raise SystemExit("--replay: expected one --target")
    print(execute(load(names[0]), bytes.fromhex(path.read_text(encoding="ascii"))))
    return 0


# ------------------------------------------------------------------------------------------------------- workers


def run_workers(names: list[str], options: argparse.Namespace) -> list[Report]:
    """Every target in a process of its own; a target that stands alone is searched from `jobs` seeds at once."""
    tasks = [(name, 0) for name in names]
    if len(names) == 1:
        tasks = [(names[0], job) for job in range(options.jobs)]
    weights = sum(share_of(name) for name, _ in tasks)
    waiting, running, reports = list(tasks), [], []
    with tempfile.TemporaryDirectory(prefix="fanka-fuzz-") as folder:
        while waiting or running:
            while waiting and len(running) < options.jobs:
                name, job = waiting.pop(0)
                part = share_of(name) / weights
                path = Path(folder) / f"{name}-{job}.json"
                running.append((name, path, start_worker(name, job, part, path, options)))
            name, path, (process, deadline_s) = running.pop(0)
            reports.append(report_of(name, path, process, deadline_s, options))
            print(line_of(reports[-1]), flush=True)
    return reports


def share_of(name: str) -> float:
    return 1.0 if name in MACHINES else load(name).share


def start_worker(
    name: str, job: int, part: float, path: Path, options: argparse.Namespace
) -> tuple[subprocess.Popen[bytes], float]:
    """A process for one target with its part of the budget."""
    seconds = options.seconds * part * options.jobs
    command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--worker", str(path), "--engine", options.engine]
    command += ["--seed", str(options.seed + job), "--crashes", str(options.crashes)]
    if options.executions:
        command += ["--executions", str(max(1, round(options.executions * part)))]
    else:
        command += ["--seconds", str(seconds)]
    process = subprocess.Popen(command, cwd=counters.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    limit_s = seconds + WORKER_GRACE_S if seconds else 24 * 3600
    return process, time.monotonic() + limit_s


def report_of(
    name: str, path: Path, process: subprocess.Popen[bytes], deadline_s: float, options: argparse.Namespace
) -> Report:
    """What a worker has written; a worker that ended without a report broke its promise in the worst way."""
    try:
        output, _ = process.communicate(timeout=max(1.0, deadline_s - time.monotonic()))
        error = f"the process ended with code {process.returncode} and no report"
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        error = "an input that takes for ever: the process had to be ended"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Report)
    last = output[-2000:].decode("utf-8", "replace")
    return Report(name, options.engine, violations=[Violation(name, error, last, "")])


# ------------------------------------------------------------------------------------------------------- results


def newest(reports: list[Report]) -> dict[str, dict[str, str]]:
    """What was found, by target."""
    found: dict[str, dict[str, str]] = {}
    for report in reports:
        found.setdefault(report.target, {}).update(report.found)
    return found


def line_of(report: Report) -> str:
    """One target in one line."""
    rate = report.executions / report.cpu_s if report.cpu_s else 0.0
    broken = f"  {len(report.violations)} BROKEN" if report.violations else ""
    return (
        f"{report.target:16} {report.executions:>10,} executions {rate:>8,.0f}/s  {report.new_entries:>4} new"
        f"  slowest {report.slowest_ms:6.2f} ms{broken}"
    )


def summary(reports: list[Report]) -> str:
    """Totals, and every broken promise with the command that shows it again."""
    executions = sum(report.executions for report in reports)
    cpu_s = sum(report.cpu_s for report in reports)
    slowest = max(reports, key=lambda report: report.slowest_ms)
    rate = executions / cpu_s if cpu_s else 0.0
    lines = [f"{executions:,} executions, {rate:,.0f} a second and core ({reports[0].engine})"]
    goal = f"goal: {1000 * SECONDS_PER_4_KIB:g} ms for 4 KiB"
    lines.append(f"slowest: {slowest.slowest_ms:.2f} ms of processor time ({slowest.target}); {goal}")
    for report in reports:
        for violation in report.violations:
            lines += [
                f"BROKEN {violation.target}: {violation.error}",
                f"  {violation.where}",
                f"  input: {violation.hex[:2000]}",
                f"  replay: python -m tests.fuzz --target {violation.target} --replay {violation.file}",
            ]
    count = sum(len(report.violations) for report in reports)
    lines.append(f"{count} promises broken" if count else "every promise held")
    return "\n".join(lines)


def record(reports: list[Report]) -> None:
    """Into docs/reliability.json."""
    parsers = [report for report in reports if report.target not in MACHINES]
    machines = [report for report in reports if report.target in MACHINES]
    counts = {"executions": sum(report.executions for report in parsers)}
    counts["tampered_frames"] = sum(report.executions for report in parsers if report.target == "sealed")
    counts["sequences"] = sum(report.executions for report in machines)
    slowest_ms = max((report.slowest_ms for report in parsers), default=0.0)
    counters.add(
        "fuzz",
        {name: count for name, count in counts.items() if count},
        violations=sum(len(report.violations) for report in reports),
        cpu_s=sum(report.cpu_s for report in reports),
        note=f"slowest input {slowest_ms:.2f} ms" if parsers else "",
    )


if __name__ == "__main__":
    run(main)
