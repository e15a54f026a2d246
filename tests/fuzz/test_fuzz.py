"""A5: the corpus replayed, a short search of every target; and the rig itself: it finds what is planted."""

from __future__ import annotations

import random
import re
from pathlib import Path

import msgspec
import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import corpus
from tests.fuzz.mutate import Mutator, shrunk
from tests.fuzz.runner import Runner, place_of, run_seeded
from tests.fuzz.target import NAMES, Target, execute, load, pieces, promise_of

SHORT = 400
"""Mutations of a target in this test; `make fuzz` runs millions."""
every_target = pytest.mark.parametrize("name", NAMES)


@every_target
def test_the_corpus_keeps_its_promise(name):
    """A5: every seed and every stored input, each for itself, so that a failure shows its bytes."""
    target = load(name)
    entries = corpus.whole(name, target)
    assert len(entries) >= 5
    for data in entries:
        try:
            execute(target, data)
        except Exception as error:
            pytest.fail(f"{promise_of(name)}\ninput {data.hex()}\n{place_of(error)}: {error!r}")


@every_target
def test_a_short_search(name, tmp_path):
    """A5: the same mutations every time; whatever they break is named."""
    target = load(name)
    runner = Runner(name, target, "seeded", tmp_path)
    known = corpus.whole(name, target)
    report = run_seeded(runner, known, 7, len(known) + SHORT, 0)
    assert report.violations == []
    assert report.executions == len(known) + SHORT
    assert len(report.labels) > 1


@every_target
def test_a_target_says_what_may_come_out(name):
    promise = promise_of(name)
    assert promise.startswith("Any ") or name == "sealed"
    assert len(corpus.read(name)) <= corpus.ENTRIES_MAX


# ------------------------------------------------------------------------------------------------- the rig itself


def fragile(data: bytes) -> str:
    """Breaks on one input in a million."""
    if b"FK" in data and data[:1] == b"\x07":
        raise ZeroDivisionError("planted")
    return f"{len(data) % 3}"


FRAGILE = Target(fragile, lambda: [b"\0hello", b"world"], words=(b"FK",), size_max=40)


def test_what_is_planted_is_found_made_small_and_written_down(tmp_path):
    runner = Runner("fragile", FRAGILE, "seeded", tmp_path)
    [violation] = run_seeded(runner, FRAGILE.seeds(), 1, 50_000, 0).violations
    assert violation.error == "ZeroDivisionError: planted"
    assert re.fullmatch(r"ZeroDivisionError at fuzz/test_fuzz.py:\d+", violation.where)
    assert bytes.fromhex(violation.hex) == b"\x07FK"
    assert Path(violation.file).read_text(encoding="ascii") == "07464b\n"


def test_the_same_seed_makes_the_same_inputs():
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def run(data: bytes) -> str:
            seen.append(data)
            return ""

        target = FRAGILE._replace(run=run)
        run_seeded(Runner("x", target, "seeded"), FRAGILE.seeds(), seed, 300, 0)
        return list(dict.fromkeys(seen))  # what takes long is measured again

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)


def test_an_input_that_brings_something_new_is_kept_and_smaller_ones_replace_it():
    target = FRAGILE._replace(run=lambda data: "long" if len(data) > 3 else "short")
    runner = Runner("x", target, "seeded")
    runner.start([b"abcdef"])
    for data in (b"ab", b"a", b"abcd"):
        runner.one(data)
    report = runner.finish(1.0)
    assert report.found == {"short": b"a".hex()}
    assert (report.new_entries, report.labels) == (1, {"long": 2, "short": 2})
    assert b"ab" in runner.pool


def test_a_target_with_too_many_faults_is_given_up():
    def run(data: bytes) -> str:
        raise type(f"Fault{data[0]}", (Exception,), {})

    runner = Runner("many", FRAGILE._replace(run=run), "seeded")
    report = run_seeded(runner, [bytes([n]) for n in range(255)], 1, 100_000, 0)
    assert len(report.violations) == 20
    assert report.executions < 100_000


def test_mutations_stay_within_the_size():
    mutator = Mutator(random.Random(3), [b"word"], 20)
    data = b"0123456789"
    for _ in range(2000):
        data = mutator.mutate(data, b"other")
        assert len(data) <= 20


@pytest.mark.parametrize("data", [b"", b"\x07", bytes(range(100))])
def test_shrinking_keeps_what_matters(data):
    def has(candidate: bytes) -> bool:
        return set(data[:2]) <= set(candidate)

    small = shrunk(data, has)
    assert has(small)
    assert len(small) <= 2


def test_pieces():
    assert list(pieces(b"\x02ab\x00\x05c")) == [b"ab", b"", b"c"]


class TestCorpus:
    def test_small_inputs_of_new_kinds_are_kept(self, tmp_path):
        target = FRAGILE._replace(run=lambda data: f"size {len(data)}")
        found = {"size 1": "41", "size 600": "00" * 600, "size 5": "3131313131"}
        assert corpus.keep("t", target, found, tmp_path) == 1  # size 5 is a seed's, 600 too large for a corpus
        assert corpus.read("t", tmp_path) == [b"A"]
        assert (tmp_path / "t.txt").read_text(encoding="utf-8") == "41  # size 1\n"
        assert corpus.keep("t", target, found, tmp_path) == 0
        assert corpus.whole("t", target, tmp_path) == [*target.seeds(), b"A"]

    def test_no_more_than_the_limit(self, tmp_path):
        target = FRAGILE._replace(run=lambda data: data.hex())
        corpus.keep("t", target, {bytes([n]).hex(): bytes([n]).hex() for n in range(200)}, tmp_path)
        assert len(corpus.read("t", tmp_path)) == corpus.ENTRIES_MAX


class TestCommand:
    def test_list(self, capsys):
        assert command.main(["--list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("framer           Any bytes: exactly the frames")

    def test_replay(self, tmp_path, capsys):
        path = tmp_path / "x.hex"
        path.write_text("00\n", encoding="ascii")
        assert command.main(["--target", "http", "--replay", str(path)]) == 0
        assert capsys.readouterr().out == "400 Bad Request\n"

    def test_replay_wants_one_target(self, tmp_path):
        with pytest.raises(SystemExit, match="expected one --target"):
            command.main(["--replay", str(tmp_path / "x")])

    @pytest.mark.slow
    def test_workers_and_the_summary(self, tmp_path, capsys):
        arguments = ["--target", "http", "--target", "script", "--executions", "600", "--jobs", "2"]
        assert command.main([*arguments, "--engine", "seeded", "--crashes", str(tmp_path)]) == 0
        shown = capsys.readouterr().out
        assert re.search(r"^http +\d{3} executions", shown, re.MULTILINE)
        assert shown.endswith("every promise held\n")

    def test_a_broken_promise_is_shown_with_the_way_to_see_it_again(self):
        violation = {"target": "t", "error": "ValueError: x", "where": "w", "hex": "0a", "file": "build/fuzz/t.hex"}
        report = msgspec.convert({"target": "t", "engine": "e", "violations": [violation]}, command.Report)
        shown = command.summary([report])
        assert "BROKEN t: ValueError: x" in shown
        assert "python -m tests.fuzz --target t --replay build/fuzz/t.hex" in shown
        assert shown.endswith("1 promises broken")

    @pytest.mark.slow
    def test_a_worker_that_dies_is_a_broken_promise(self, tmp_path, monkeypatch):
        monkeypatch.setattr(command.sys, "executable", "/bin/false")
        options = command.arguments_of(["--target", "http", "--executions", "5", "--engine", "seeded"])
        [report] = command.run_workers(["http"], options)
        assert "ended with code 1 and no report" in report.violations[0].error


def test_proofs_made_from_the_page_alone_open_a_session():
    """What the target of the handshake computes by the page is what both ends want: else it would see refusals only."""
    target = load("handshake")
    labels = [target.run(data) for data in target.seeds()]
    assert labels[2] == "host: open"
    assert labels[5] == "terminal: open"
