"""A provisioned host process for the floods, and what it uses of the machine."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from server.folder import DataFolder
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store
from server.ledger.verify import verify
from tests.floods.honest import Key
from tests.floods.lines import Address
from tests.floods.schedule import Schedule
from tools import audit as money
from tools.admin_client import open_admin
from tools.host_process import HostProcess
from tools.provision import provision

CARDS = 2_000
CONNECTIONS_MAX = 12_000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 30.0
SAMPLE_EVERY_S = 0.25
ROOT = Path(__file__).resolve().parents[2]


class Use(msgspec.Struct, frozen=True):
    """What a process uses now."""

    rss_kib: int
    files: int
    cpu_s: float


def use_of(process_id: int) -> Use:
    """From /proc."""
    folder = Path(f"/proc/{process_id}")
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return Use(
        rss_kib=int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024,
        files=len(list((folder / "fd").iterdir())),
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
    )


class Watch:
    """The most a process uses while the body runs, and its processor share in the windows of a schedule."""

    def __init__(self, process_id: int) -> None:
        self._process_id = process_id
        self.before = self.peak = self.after = use_of(process_id)
        self.samples: list[tuple[float, Use]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.after = use_of(self._process_id)

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_EVERY_S):
            now = use_of(self._process_id)
            self.samples.append((time.monotonic(), now))
            self.peak = Use(
                max(self.peak.rss_kib, now.rss_kib), max(self.peak.files, now.files), max(self.peak.cpu_s, now.cpu_s)
            )

    def cpu_share(self, schedule: Schedule, *, attack: bool) -> float:
        """Processor seconds a second in the calm or in the attacked windows."""
        spent_s = counted_s = 0.0
        for window in schedule.windows:
            inside = [(at_s, use.cpu_s) for at_s, use in self.samples if window.counts(at_s)]
            if window.attack is attack and len(inside) > 1:
                counted_s += inside[-1][0] - inside[0][0]
                spent_s += inside[-1][1] - inside[0][1]
        return spent_s / counted_s if counted_s else 0.0


class Site:
    """A data folder with terminals and cards, and the host that serves it on a port that stays the same."""

    def __init__(self, path: Path, terminals: int) -> None:
        changes: dict[tuple[str, str], Any] = {
            ("listen", "port"): free_port(),
            ("http", "port"): 0,
            ("limits", "connections"): CONNECTIONS_MAX,
        }
        self.folder = DataFolder.create(path, secrets.token_bytes, changes)
        with open_admin(self.folder) as channel:
            provisioned = provision(channel, terminals, CARDS)
        self.keys = [Key(str(number), version, root_key) for number, version, root_key in provisioned.terminals]
        self.cards = provisioned.cards
        self._numbers = {number.to_int() for number, _, _ in provisioned.terminals}
        self._before = money.mark(self.folder.ledger_path, self._numbers)
        self.address: Address = ("127.0.0.1", int(changes["listen", "port"]))
        self.host = self._start()

    def _start(self) -> HostProcess:
        return HostProcess(self.folder, self.folder.path / "host.log")

    def kill(self) -> None:
        self.host.kill()

    def restart(self) -> None:
        self.host = self._start()

    def close(self) -> None:
        self.host.stop()

    @property
    def process_id(self) -> int:
        return self.host.process.pid

    def metrics(self) -> dict[str, float]:
        """Every counter, by name and labels as Prometheus writes them."""
        connection = http.client.HTTPConnection(*self.host.running.http, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found

    def faults(self) -> list[str]:
        """What the host's log calls an error, and must not in any flood."""
        lines = (self.folder.path / "host.log").read_text("utf-8", "replace").splitlines()
        return [
            line for line in lines if '"level":"error"' in line or '"level": "error"' in line or "Traceback" in line
        ]

    def audit(self, approved: list[money.Acknowledged]) -> list[str]:
        """What is wrong with the money; empty: nothing."""
        verdict = money.audit(self.folder.ledger_path, self._before, self._numbers, approved)
        with read_only(self.folder) as store:
            broken = [f"{check.name}: {check.detail}" for check in verify(store) if not check.ok]
        return broken + ([] if verdict.ok else [str(verdict)])


@contextlib.contextmanager
def read_only(folder: DataFolder) -> Iterator[Store]:
    """The folder's ledger, to look at beside a running host."""
    store = SqliteStore(folder.ledger_path, readonly=True)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def site_with(terminals: int) -> Iterator[Site]:
    """A running host with so many terminals; everything is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="fanka-floods-"))
    site = None
    try:
        site = Site(path / "data", terminals)
        yield site
    finally:
        if site is not None:
            site.close()
        shutil.rmtree(path)


def free_port() -> int:
    """A port nobody listens on now. Below the range for outgoing connections a flood could not take it meanwhile, but
    any free one does: SO_REUSEADDR lets the host have it back after a restart."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Child:
    """One of our own modules as a process that is spoken to in lines of JSON."""

    def __init__(self, module: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def say(self, message: msgspec.Struct) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(message) + b"\n")
        self.process.stdin.flush()

    def hear(self) -> bytes:
        """Its next line; RuntimeError if it has ended without one."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r}: expected a line, got its end with code {self.process.wait()}")
        return line
