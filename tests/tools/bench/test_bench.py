"""The benchmark's parts do what their figures claim; how fast is no test's business."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from server.folder import DataFolder
from tools.admin_client import open_admin
from tools.bench import echo, grow, idle, pgbench, report
from tools.host_process import serving
from tools.provision import provision
from tools.verify import check_ledger

PORTS: dict[tuple[str, str], Any] = {("listen", "port"): 0, ("http", "port"): 0}


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A data folder whose ports the system chooses."""
    return DataFolder.create(tmp_path / "D", secrets.token_bytes, PORTS)


def test_frames_of_the_yardstick_are_those_of_a_sale() -> None:
    assert (echo.REQUEST_SIZE, echo.ANSWER_SIZE) == (95, 89)


def test_echo_between_two_processes() -> None:
    assert echo.measure(connections=20, warm_up_s=0.05, seconds=0.2) > 0


def test_a_grown_ledger_is_a_real_one(folder: DataFolder) -> None:
    with open_admin(folder) as channel:
        provisioned = provision(channel, terminals=3, cards=10)
    grow.grow(folder, provisioned, 2_500)
    checks = check_ledger(folder.ledger_path, quiet=True)
    assert [check.name for check in checks if not check.ok] == []
    assert any("2510 transfers" in check.detail for check in checks), [check.detail for check in checks]


def test_provisioning_twice_adds_nothing_but_new_keys(folder: DataFolder) -> None:
    with open_admin(folder) as channel:
        first = provision(channel, terminals=3, cards=10)
        again = provision(channel, terminals=3, cards=10)
        assert len(channel.call("card.listing")) == 10
    assert [number for number, _, _ in again.terminals] == [number for number, _, _ in first.terminals]
    assert {version for _, version, _ in again.terminals} == {2}
    assert again.cards == first.cards


def test_idle_terminals_are_held_by_the_host(folder: DataFolder) -> None:
    with open_admin(folder) as channel:
        provisioned = provision(channel, terminals=40, cards=1)
    with serving(folder) as host:
        # Memory comes in pages and may be reused, so a small number may even shrink it; all connect is what counts.
        assert isinstance(idle.measure(host, provisioned.terminals), float)


def test_pgbench_missing_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgbench, "_installed", lambda: None)
    monkeypatch.setattr(pgbench.shutil, "which", lambda _: None)
    with pytest.raises(pgbench.Unavailable, match="install Debian's package postgresql"):
        pgbench.find_binaries()


FOUND: dict[str, Any] = {
    "machine": report.machine(),
    "connections": 1000,
    "rounds": {
        "echo_per_s": [20_000.0, 21_000.0, 22_000.0],
        "authorizations_per_s": [8000.0, 8100.0, 8200.0],
        "pgbench_tps": [],
    },
    "echo_per_s": 21_000.0,
    "authorizations_per_s": 8100.0,
    "ratio_to_echo": 0.386,
    "pgbench_tps": None,
    "ratio_to_pgbench": None,
    "pgbench_skipped": "no PostgreSQL server here",
    "latency_ms": {
        "at_60_percent": {"offered_per_s": 4860.0, "p50": 5.0, "p90": 9.0, "p99": 20.0, "p999": 40.0, "max": 55.5}
    },
    "many_connected": {
        "connected": 5000,
        "selling": 1000,
        "offered_per_s": 4860.0,
        "failed": 0,
        "latency_ms": {"p50": 6.0, "p90": 9.0, "p99": 20.0, "p999": 41.0, "max": 60.0},
    },
    "idle_kib_per_terminal": 27.5,
    "mixed": {"sales_per_s": [7_000.0, 8_000.0], "mixed_per_s": [6_300.0, 7_200.0], "ratio": 0.9},
    "offline_upload": {
        "terminals": 1000,
        "records": 200,
        "rate_per_s": 800.0,
        "seconds": 250.0,
        "offered_per_s": 2400.0,
        "p99_alone_ms": 20.0,
        "p99_beside_ms": 23.0,
        "p99_ratio": 1.15,
    },
    "growth": {"sales": 1_000_000, "size_mb": 200.0, "empty_per_s": 8000.0, "large_per_s": 7200.0, "ratio": 0.9},
}


def test_the_page_says_what_was_measured() -> None:
    page = report.page(FOUND)
    for said in ("**8,100**", "**0.39** of the echo", "pgbench was skipped: no PostgreSQL", "27.5 KiB", "**0.90**"):
        assert said in page
    assert "800 uploads/s,\nall in 250 s." in page
    assert "a ratio of **1.15**" in page
    assert "| all functions | 6,300 / 7,200 | 6,750 |" in page
    assert "| 60 % of saturation | 4,860 | 5.0 | 9.0 | 20.0 | 40.0 | 55.5 |" in page


def test_the_page_with_pgbench() -> None:
    rounds = FOUND["rounds"] | {"pgbench_tps": [2000.0, 2100.0, 2200.0]}
    page = report.page(FOUND | {"rounds": rounds, "pgbench_tps": 2100.0, "ratio_to_pgbench": 3.86})
    assert "and **3.9 times** pgbench" in page
    assert "2,000 / 2,100 / 2,200" in page
