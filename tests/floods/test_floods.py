"""The rig of the floods: its arithmetic, its command line, and one short flood with everything real."""

import json

import msgspec
import pytest

from tests.floods import report
from tests.floods.__main__ import main, options_of
from tests.floods.attackers import FLOODS
from tests.floods.honest import Trade
from tests.floods.lines import source_of
from tests.floods.schedule import GUARD_S, Schedule, Window, interval, percentile, ratios
from tests.floods.storm import Return

SCHEDULE = Schedule(start_s=100.0, pairs=2, seconds=3.0)


def test_windows_take_turns_and_begin_and_end_calm():
    windows = SCHEDULE.windows
    assert [window.attack for window in windows] == [False, True, False, True, False]
    assert [window.start_s for window in windows] == [100.0, 103.0, 106.0, 109.0, 112.0]
    assert windows[-1].end_s == SCHEDULE.end_s == 115.0
    assert windows == [Window(at_s, at_s + 3.0, attack) for at_s, attack in zip(range(100, 113, 3), [0, 1, 0, 1, 0])]  # noqa: B905


def test_the_start_of_a_window_does_not_count():
    window = SCHEDULE.windows[1]
    assert [window.counts(at_s) for at_s in (102.9, 103.0, 103.0 + GUARD_S, 105.9, 106.0)] == [0, 0, 1, 1, 0]


def test_percentiles():
    assert percentile(range(100), 99) == 99
    assert percentile(range(1000), 50) == 500
    assert percentile([], 99) == 0.0
    assert percentile([7.0], 1) == 7.0


def test_an_attacked_window_is_held_against_the_calm_ones_around_it():
    assert ratios([10.0, 20.0, 30.0], [30.0, 50.0]) == [2.0, 2.0]
    assert ratios([0.0, 0.0], [5.0]) == []


def test_the_interval_of_a_median_holds_it():
    low, high = interval([1.0, 1.1, 0.9, 1.0, 1.2])
    assert 0.9 <= low <= 1.0 <= high <= 1.2
    assert interval([1.0, 2.0, 3.0]) == interval([1.0, 2.0, 3.0])


def trade_of(calm_ms, attacked_ms):
    """Customers every 10 ms, each waiting so long."""
    trade = Trade()
    for window in SCHEDULE.windows:
        took_s = (attacked_ms if window.attack else calm_ms) / 1000
        trade.customers += [(window.start_s + number / 100, took_s, True) for number in range(300)]
        trade.sign_ons += [(window.start_s + number / 10, took_s, True) for number in range(30)]
    return trade


def test_what_honest_terminals_noticed():
    found = report.compare(trade_of(10.0, 25.0), SCHEDULE)
    assert found["ratio"] == pytest.approx(2.5)
    assert (found["p99_calm_ms"], found["p99_attacked_ms"]) == pytest.approx((10.0, 25.0))
    assert found["sign_on_attacked_ms"] == pytest.approx((25.0, 25.0))
    assert (found["customers"], found["failed"], found["sign_ons_failed"]) == (1500, 0, 0)


def test_a_sign_on_that_is_held_off_from_the_first_moment_on_counts():
    trade = trade_of(10.0, 10.0)
    trade.sign_ons.append((103.01, 9.0, False))
    found = report.compare(trade, SCHEDULE)
    assert found["sign_on_attacked_ms"][1] == 9000.0
    assert found["sign_ons_failed"] == 1


def test_a_storm_counts_from_when_the_host_was_back():
    result = report.storm_result("storm", 4, 3, Return(ready_s=[11.0, 12.5, 11.5], tries=9, missing=1), 10.0)
    assert (result.terminals, result.p50_s, result.last_s) == (4, 1.5, 2.5)
    assert result.violations == ["1 terminals never came back"]
    assert "the last 2.50 s; 9 tries" in report.storm_line(result)


def test_addresses_are_of_this_machine_and_differ():
    addresses = {source_of(20, number) for number in range(10_000)}
    assert len(addresses) == 10_000
    assert all(address.startswith("127.20.") for address in addresses)
    assert not any(address.endswith((".0", ".255")) for address in addresses)


@pytest.mark.parametrize("words", [["--flood", "rain"], ["--seconds", "0.5"], ["--pairs", "0"]])
def test_what_the_command_does_not_take(words, capsys):
    with pytest.raises(SystemExit) as caught:
        options_of(words)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_without_a_name_all_floods_are_meant():
    assert options_of([]).flood == [*FLOODS, "storm", "storm-backoff"]


@pytest.mark.slow
def test_a_short_flood_and_a_small_storm_break_nothing(tmp_path, capsys):
    """A3, N5: half handshakes from 500 addresses; then kill -9, and everybody comes back at once."""
    out = tmp_path / "floods.json"
    words = "--flood handshakes --flood storm --pairs 1 --seconds 4 --rate 50 --storm-terminals 200"
    code = main([*words.split(), "--json", str(out)])
    assert code == 0, capsys.readouterr()
    found = json.loads(out.read_bytes())
    [flood] = msgspec.convert(found["floods"], list[report.Flood])
    assert flood.name == "handshakes"
    assert flood.did["half handshakes"] > 0
    assert flood.customers > 0
    assert found["storms"][0]["terminals"] == 200
    assert found["violations"] == []
    assert "0 violations" in capsys.readouterr().out
