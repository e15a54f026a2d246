"""`fanka load` against a real host: the figures and the audit, also when the host is killed in the middle."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.control import short_address
from server.folder import DataFolder, Running
from terminal_emulator.load_result import LoadProgress
from tools.demo import demo
from tools.host_process import HostProcess, serving
from tools.load import load
from tools.verify import check_ledger

PORTS: dict[tuple[str, str], Any] = {("listen", "port"): 0, ("http", "port"): 0}


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A data folder whose ports the system chooses."""
    return DataFolder.create(tmp_path / "D", secrets.token_bytes, PORTS)


def test_no_host_running(folder: DataFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        load(folder.path, terminals=1, seconds=1)
    assert left.value.code == 2
    assert "expected a running host, found none" in capsys.readouterr().err


def test_a_killed_hosts_note_is_no_host(folder: DataFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.running_path.write_bytes(msgspec.json.encode(Running(1, ("127.0.0.1", 4105), ("127.0.0.1", 4106))))
    with socket.socket(socket.AF_UNIX) as control, short_address(folder.control_path) as address:
        control.bind(address)
    with pytest.raises(SystemExit) as left:
        load(folder.path, terminals=1, seconds=1)
    assert left.value.code == 2
    assert "expected a running host, found none" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"terminals": -1}, {"seconds": 0.0}])
def test_a_demo_of_nothing(options: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        demo(**options)
    assert left.value.code == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"error: --{next(iter(options))}: expected" in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"terminals": 0}, "--terminals"),
        ({"terminals": 10, "connected": 30_000}, "--connected: expected 10..20000"),
        ({"terminals": 10, "connected": 9}, "--connected: expected 10..20000"),
        ({"cards": 0}, "--cards"),
        ({"json": Path("/no/such/folder/x")}, "/no/such/folder/x: expected something by this name"),
        ({"html": Path("/")}, "/: expected a file"),
        ({"seconds": 0}, "--seconds"),
        ({"warm_up": -1}, "--warm-up"),
        ({"rate": 0.0}, "--rate"),
        ({"offline_upload": "10"}, "--offline-upload: expected T,N"),
        ({"offline_upload": "0,5"}, "--offline-upload: expected T,N"),
        ({"offline_upload": "5,10001"}, "--offline-upload: expected T,N"),
        ({"offline_upload": "5,5", "saturate": True}, "--offline-upload: expected customers at a rate"),
    ],
)
def test_options_out_of_range(
    folder: DataFolder, options: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        load(folder.path, **options)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_a_rush_and_its_report(folder: DataFolder, tmp_path: Path) -> None:
    result, page = tmp_path / "load.json", tmp_path / "load.html"
    with serving(folder):
        code = load(folder.path, terminals=20, seconds=1, rate=100, cards=50, json=result, html=page, quiet=True)
    report = msgspec.json.decode(result.read_bytes())
    assert code == 0
    assert {"terminals", "seconds", "offered_per_s", "approved", "declined", "failed", "throughput_per_s"} <= set(
        report
    )
    assert list(report["latency_ms"]) == ["p50", "p90", "p99", "p999", "max"]
    audit = report["audit"]
    assert report["approved"] == audit["acknowledged"] == audit["in_ledger"] > 0
    assert (audit["missing"], audit["duplicated"], audit["balanced"]) == (0, 0, True)
    assert "<svg" in page.read_text("utf-8")


def test_terminals_back_from_an_outage(folder: DataFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real records under real keys into a real ledger, beside customers; the audit counts both."""
    result = tmp_path / "load.json"
    with serving(folder):
        code = load(
            folder.path, terminals=3, seconds=1, rate=30, cards=50, offline_upload="4,6", json=result, quiet=True
        )
    report = msgspec.json.decode(result.read_bytes())
    upload, audit = report["offline_upload"], report["audit"]
    assert code == 0
    assert (upload["terminals"], upload["accepted"], upload["refused"], upload["left"]) == (4, 24, 0, 0)
    assert audit["in_ledger"] == audit["acknowledged"] == report["approved"] + 24
    assert upload["rate_per_s"] > 0
    assert "4 terminals uploaded 24 sales" in capsys.readouterr().out
    assert all(check.ok for check in check_ledger(folder.ledger_path, quiet=True))


def test_interrupted_and_audited_all_the_same(
    folder: DataFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C as soon as something has been sold: the audit is printed all the same."""
    pressed: list[int] = []

    def press(_display: object, _plan: object, now: LoadProgress) -> None:
        if now.approved and not pressed:
            pressed.append(now.approved)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("tools.load._show", press)
    with serving(folder), pytest.raises(KeyboardInterrupt, match="figures and audit are of the"):
        load(folder.path, terminals=5, seconds=600, rate=50, cards=50)
    assert pressed
    assert "audit balanced: " in capsys.readouterr().out


def test_a_host_killed_in_the_middle(folder: DataFolder, tmp_path: Path) -> None:
    """kill -9 while terminals sell, start again: no acknowledged sale is missing, none is doubled."""
    log = folder.path / "host.log"
    host = HostProcess(folder, log)
    result = tmp_path / "load.json"
    hosts = [host]

    def kill_and_restart() -> None:
        hosts[-1].kill()
        hosts.append(HostProcess(folder, log))

    timer = threading.Timer(2.5, kill_and_restart)
    timer.start()
    try:
        code = load(folder.path, terminals=50, seconds=5, rate=200, cards=100, json=result, quiet=True)
        timer.join()
    finally:
        timer.cancel()
        assert hosts[-1].stop() == 0
    audit = msgspec.json.decode(result.read_bytes())["audit"]
    assert len(hosts) == 2, "the host was not killed while the load ran"
    assert code == 0, audit
    assert audit["acknowledged"] > 0
    assert all(check.ok for check in check_ledger(folder.ledger_path, quiet=True))
