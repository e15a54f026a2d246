"""Waits grow, stay within their limits, and differ."""

from random import Random

import pytest

from terminal_emulator.backoff import Backoff


@pytest.mark.parametrize(
    ("jitter", "waits"), [(0.0, [1, 1, 1, 1, 1]), (0.5, [1.5, 2.5, 4.5, 5.5, 5.5]), (1.0, [2, 4, 8, 10, 10])]
)
def test_the_range_doubles_up_to_its_limit(jitter, waits):
    backoff = Backoff(1, 10, lambda: jitter)
    assert [backoff.next_s() for _ in waits] == waits
    backoff.reset()
    assert backoff.next_s() == waits[0]


def test_after_a_long_outage_a_thousand_terminals_come_back_spread_out():
    rng = Random(1)
    backoffs = [Backoff(0.5, 20, rng.random) for _ in range(1000)]
    last = [[backoff.next_s() for backoff in backoffs] for _ in range(10)][-1]
    per_second = [sum(second <= wait < second + 1 for wait in last) for second in range(21)]
    assert max(per_second) < 100
    assert min(last) >= 0.5
    assert max(last) <= 20
