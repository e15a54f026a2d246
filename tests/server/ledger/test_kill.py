"""kill -9 in the middle of selling, again and again on one ledger: every answer that got out is true ever after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from server.ledger.ledger import Ledger
from server.ledger.sqlite import SqliteStore
from tests.server.ledger import audit
from tests.server.ledger.campus import NO_LIMITS, NOW_MS, open_campus
from tests.server.ledger.till import BATCH_SIZE, batch, line

ROOT = Path(__file__).resolve().parents[3]
BATCHES_BEFORE_THE_KILL = (1, 7, 40, 3)


def sell_until_killed(path: Path, first: int, batches: int) -> list[bytes]:
    """What the process had written down when it was killed, at an instant that it does not choose."""
    command = [sys.executable, "-m", "tests.server.ledger.till", str(path), str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as till:
        assert till.stdout is not None
        seen = [till.stdout.readline() for _ in range(batches)]
        till.kill()
        seen += till.stdout.readlines()
    assert till.returncode == -9, "the till ended by itself"
    return [text.removesuffix(b"\n") for text in seen if text.endswith(b"\n")]


@pytest.mark.slow
def test_no_answer_is_lost_and_none_given_twice(tmp_path):
    path = tmp_path / "ledger.db"
    store = SqliteStore(path)
    open_campus(store)
    store.close()
    first = 4 * BATCH_SIZE
    written: list[bytes] = []
    for batches in BATCHES_BEFORE_THE_KILL:
        written += sell_until_killed(path, first, batches)
        store = SqliteStore(path)
        ledger = Ledger(store, NO_LIMITS)
        audit.check(store)
        assert store.execute("PRAGMA integrity_check") == [("ok",)]
        for text in written:
            number = msgspec.json.decode(text)[0]
            again = ledger.apply(batch(number), NOW_MS + 10**9)
            assert all(outcome.replayed for outcome in again)
            assert line(number, again) == text
        # The batch under way at the kill may have been committed or not; as a whole, either way.
        last = msgspec.json.decode(written[-1])[0]
        under_way = ledger.apply(batch(last + BATCH_SIZE), NOW_MS)
        assert len({outcome.replayed for outcome in under_way}) == 1
        first = last + 2 * BATCH_SIZE
        store.close()
    assert len(written) >= sum(BATCHES_BEFORE_THE_KILL)
