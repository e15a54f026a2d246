"""The host put together: what it refuses to start on, and that a start leaves nothing half open."""

import errno
import gc
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from server.app import Host, Outside, check_file_limit, serve_folder
from server.config import ConfigError, load_config
from server.folder import DataFolder, FolderBusy
from server.gate import InlineExecutor
from server.keys import KeyFault, KeyRing, load_kek
from server.ledger.ledger import Ledger
from server.ledger.model import SaleLimits
from server.ledger.sqlite import SqliteStore
from server.ledger.store import StoreRefused
from server.stream import open_request_stream
from tests.server.host import (
    BUSINESS_DAY,
    CARD,
    KEK,
    START_FEN,
    START_MS,
    HostRig,
    Line,
    WallClock,
    config_of,
    open_host,
)

ROOT = Path(__file__).parents[2]
DAY_MS = 24 * 3_600_000


@pytest.fixture
def folder(tmp_path):
    """A data folder as `fanka init` leaves it."""
    changes = {("listen", "port"): 0, ("http", "port"): 0, ("limits", "connections"): 100}
    return DataFolder.create(tmp_path / "data", lambda size: KEK[:size], changes)


@pytest.fixture(autouse=True)
def collector():
    """Serving tunes the garbage collector of its process, which here is everybody's."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def outside(clock=None):
    return Outside((clock or WallClock()).now_ms, bytes, InlineExecutor())


class StopWhenStarted:
    """In the place of a task's status: whoever gets so far as to serve is stopped again."""

    def __init__(self, scope):
        self.scope = scope

    def started(self, _bound):
        self.scope.cancel()


async def try_to_serve(folder):
    """Start and stop, or the reason against it."""
    with trio.CancelScope() as scope:
        await serve_folder(folder, outside(), stop_on_signals=False, task_status=StopWhenStarted(scope))


# --- Starting


async def test_a_folder_is_served_on_ports_of_the_systems_choice(folder, logs):
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(
            lambda task_status: serve_folder(folder, outside(), stop_on_signals=False, task_status=task_status)
        )
        [serving] = [entry for entry in logs if entry["event"] == "serving"]
        assert serving["terminals"] == f"127.0.0.1:{bound.terminals[1]}"
        assert serving["http"] == f"127.0.0.1:{bound.http[1]}"
        assert serving["business_day"] == BUSINESS_DAY
        stream = await open_request_stream(*bound.http)
        await stream.send_all(b"GET /readyz HTTP/1.1\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK")
        await stream.aclose()
        with pytest.raises(FolderBusy, match="in use by fanka serve"):
            await try_to_serve(folder)
        nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match="cannot connect"):
        await open_request_stream(*bound.terminals)
    with folder.locked("test"):
        SqliteStore(folder.ledger_path, readonly=True).close()


async def test_every_start_has_a_later_epoch(tmp_path):
    store = SqliteStore(tmp_path / "ledger.db")
    try:
        epochs = [HostRig(config_of(), InlineExecutor(), store).host.ledger.epoch for _ in range(3)]
        assert epochs == [1, 2, 3]
    finally:
        store.close()


async def test_a_ledger_that_is_gone_is_not_replaced_by_a_new_one(folder):
    folder.ledger_path.unlink()
    with pytest.raises(StoreRefused, match=r"ledger\.db"):
        await try_to_serve(folder)
    assert not folder.ledger_path.exists()
    folder.ledger_path.touch()
    with pytest.raises(StoreRefused, match="expected a Fanka ledger"):
        await try_to_serve(folder)
    assert folder.ledger_path.stat().st_size == 0


async def test_names_that_cannot_be_made_durable_are_refused(folder, monkeypatch):
    """SQLite creates the write-ahead log and pays no attention when its folder cannot be synced: after a power cut the
    log would be gone, with every sale answered since the start."""
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"):
        await try_to_serve(folder)


async def test_a_key_that_is_not_this_ledgers_is_refused(folder):
    await try_to_serve(folder)
    folder.kek_path.write_text("ab" * 32 + "\n")
    with pytest.raises(KeyFault, match=r"put back the kek\.key"):
        await try_to_serve(folder)
    folder.kek_path.unlink()
    with pytest.raises(KeyFault, match="found no file"):
        await try_to_serve(folder)


async def test_a_folder_without_configuration_or_with_a_wrong_one_is_refused(folder):
    folder.config_path.write_text("[limits]\nidle_timeout_ms = 90000\n")
    with pytest.raises(ConfigError, match="did you mean `idle_timeout_s`"):
        await try_to_serve(folder)


@pytest.mark.parametrize("table", ["listen", "http"])
async def test_a_taken_port_is_named_and_everything_closed_again(folder, table):
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        text = folder.config_path.read_text()
        before, after = text.split(f"[{table}]\n")
        folder.config_path.write_text(before + f"[{table}]\n" + after.replace("port = 0", f"port = {port}", 1))
        assert getattr(load_config(folder.config_path), table).port == port
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: another program listens there"):
            await try_to_serve(folder)
    gc.collect()  # a socket left open would be a warning, and so an error
    with folder.locked("test"):
        pass


async def test_a_clock_years_ahead_at_the_start_is_an_alarm_and_yesterday_stays_open(tmp_path, logs):
    """The clock may be wrong; what is on the day's record may not. Sales go on, on the day that is open."""
    store = SqliteStore(tmp_path / "ledger.db")
    ledger = Ledger(store, SaleLimits(0, 0))
    ledger.open_day(20200101, START_MS)
    rig = HostRig(config_of(), InlineExecutor(), store)
    assert rig.host.ledger.business_day == 20200101
    [alarm] = [entry for entry in logs if entry["log_level"] == "error"]
    assert "is the clock right?" in alarm["error"]
    store.close()


@pytest.mark.parametrize(("days", "opened"), [(7, 20260907), (8, BUSINESS_DAY), (62, BUSINESS_DAY)])
async def test_after_the_holidays_a_week_is_made_up_for_and_more_is_a_persons_to_say(tmp_path, logs, days, opened):
    store = SqliteStore(tmp_path / "ledger.db")
    ledger = Ledger(store, SaleLimits(0, 0))
    ledger.open_day(BUSINESS_DAY, START_MS)
    clock = WallClock()
    clock.ms += days * DAY_MS
    host = Host(store, config_of(), KeyRing(KEK), outside(clock))
    assert host.ledger.business_day == opened
    assert host.unready() == []
    alarms = [entry["error"] for entry in logs if entry["log_level"] == "error"]
    assert ["fanka admin day open" in alarm for alarm in alarms] == ([] if opened != BUSINESS_DAY else [True])
    store.close()


# --- Running


async def test_a_revocation_from_the_ledgers_thread_reaches_the_session():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        await rig.gate.call(rig.host.admin.terminals.revoke, str(till.number))
        assert await line.is_over()


async def test_a_host_that_is_built_but_does_not_run_can_be_administered():
    rig = HostRig(config_of(), InlineExecutor())
    till = rig.enrol()
    rig.host.admin.terminals.revoke(str(till.number))
    rig.store.close()


async def test_rules_of_the_configuration_are_the_ledgers():
    async with open_host() as rig:
        till = rig.enrol()
        line = Line(till, rig.connect())
        assert (await line.shake_hands()).sale_limit_fen == 50_000
        assert (await line.sell(till.sale(CARD, 50_001))).response_code == "61"
        assert rig.balance_fen() == START_FEN


async def test_readiness_follows_the_ledger_and_the_end():
    async with open_host() as rig:
        assert rig.host.unready() == []
        rig.gate.healthy = False
        assert rig.host.unready() == ["the ledger could not commit: see fanka_ledger_faults_total and the log"]
        rig.gate.healthy, rig.host.draining = True, True
        assert rig.host.unready() == ["shutting down"]


# --- Files


FILES = """
import resource, sys
from server.app import check_file_limit
from server.config import ConfigError
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    check_file_limit(connections)
except ConfigError as error:
    print(error)
else:
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "said"),
    [
        (256, 4096, 100, "256 4096"),
        (256, 4096, 1000, "1064 4096"),
        (256, 4096, 4032, "4096 4096"),
        (
            256,
            4096,
            4033,
            "limits.connections = 4033: expected 4097 open files to be allowed, got 4096; raise `ulimit -n`",
        ),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_needed_or_named(soft, hard, connections, said):
    command = [sys.executable, "-c", FILES, *map(str, (soft, hard, connections))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(said)


def test_enough_files_are_left_alone():
    check_file_limit(1)


def test_key_files_of_the_fixture_are_real(folder):
    assert KeyRing(load_kek(folder.kek_path)).fingerprint == KeyRing(KEK).fingerprint
