"""The composition root of the host: builds every part, hands each what it needs, and owns the order of start and stop.

Start: lock, configuration, ledger, business day, then listeners; nothing listens before the ledger can answer.
Stop: listeners close, requests in hand are answered, the ledger's queue runs dry, the ledger closes.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
import trio
from prometheus_client import CollectorRegistry

from server.admin import Admin
from server.business_day import DAY_NOT_OPENED, keep_open, open_by_clock
from server.config import Config, ConfigError, load_config
from server.control import serve_control
from server.folder import DataFolder, Running, sync_folder
from server.gate import Executor, Gate
from server.http import HttpPort
from server.keys import KekFiles, KeyRing
from server.ledger.devices import Devices
from server.ledger.ledger import DayRefused, Ledger
from server.ledger.model import SaleLimits
from server.ledger.registry import Registry
from server.ledger.store import Store
from server.ledger.tariff import Tariff
from server.link import Link
from server.metrics import Metrics, nothing_dropped
from server.seen import Seen
from server.service import Service
from server.stores import open_store
from server.stream import accept, listen
from server.upkeep import expire_holds, watch_unresolved

log = structlog.get_logger("app")

SPARE_FILES: Final = 64
"""Files the host needs beside its connections: ledger, log, listeners, control."""
GC_THRESHOLDS: Final = (20_000, 20, 50)
"""Requests leave few cycles behind; the default thresholds would walk thousands of idle sessions many times a
second."""


class Bound(NamedTuple):
    """Where a running host can be reached."""

    terminals: tuple[str, int]
    http: tuple[str, int]


class Outside(NamedTuple):
    """What the host takes from the world; tests and simulation pass their own."""

    now_ms: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    executor: Executor
    log_lines_dropped: Callable[[], int] = nothing_dropped


class Host:
    """All parts of one host, built around an open store."""

    def __init__(self, store: Store, config: Config, keys: KeyRing, outside: Outside) -> None:
        self.config = config
        self.outside = outside
        self.ledger = Ledger(
            store,
            SaleLimits(config.rules.sale_limit_fen, config.rules.day_limit_fen),
            Tariff(utc_offset_min=config.day.utc_offset_minutes),
        )
        now_ms = outside.now_ms()
        try:
            open_by_clock(self.ledger, now_ms, config.day)
        except DayRefused as error:
            log.error(DAY_NOT_OPENED, open_day=self.ledger.business_day, error=str(error))
        self.ledger.next_epoch()
        self.metrics = Metrics(CollectorRegistry(), outside.log_lines_dropped)
        self.registry = Registry(store)
        self.admin = Admin(
            self.ledger,
            self.registry,
            keys,
            now_ms=outside.now_ms,
            random_bytes=outside.random_bytes,
            on_revoked=self._on_revoked,
        )
        self.gate = Gate(
            self.ledger,
            outside.executor,
            self.metrics,
            now_ms=outside.now_ms,
            batch_max=config.ledger.batch_max,
            queue_max=config.ledger.queue_max,
            gather_s=config.ledger.gather_s,
        )
        self.service = Service(
            self.gate,
            self.ledger,
            self.admin,
            self.admin.desk,
            self.metrics,
            now_ms=outside.now_ms,
            config_version=self.admin.config_version,
        )
        self.seen = Seen(self.gate, Devices(store), store, outside.now_ms)
        self.link = Link(
            self.service,
            self.gate,
            self.ledger,
            self.registry,
            keys,
            self.seen,
            self.metrics,
            config.limits,
            now_ms=outside.now_ms,
            random_bytes=outside.random_bytes,
        )
        self.http = HttpPort(self.metrics, self.unready)
        self._token: trio.lowlevel.TrioToken | None = None
        self.draining = False

    def unready(self) -> list[str]:
        """Why this host should get no traffic now."""
        reasons = []
        if self.draining:
            reasons.append("shutting down")
        if not self.gate.healthy:
            reasons.append("the ledger could not commit: see fanka_ledger_faults_total and the log")
        return reasons

    def _on_revoked(self, terminal_id: int) -> None:
        """Called in the ledger's thread; sessions belong to the trio thread."""
        if self._token is not None:
            self._token.run_sync_soon(self.link.revoke, terminal_id)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Gate and business day, until cancelled. Accepting is the caller's."""
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.gate.run)
            nursery.start_soon(self.gate.probe)
            nursery.start_soon(self.seen.run)
            nursery.start_soon(expire_holds, self.gate)
            nursery.start_soon(watch_unresolved, self.gate, self.ledger, self.metrics, self.outside.now_ms)
            nursery.start_soon(keep_open, self.gate, self.ledger, self.config.day, self.outside.now_ms)
            task_status.started()


async def serve_folder(
    folder: DataFolder,
    outside: Outside,
    *,
    stop_on_signals: bool = True,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a data folder until SIGTERM, SIGINT or cancellation. Raises FolderError, ConfigError, StoreError,
    OSError."""
    folder.check()
    config = load_config(folder.config_path)
    check_file_limit(config.limits.connections)
    with folder.locked("fanka serve"):
        keys = KeyRing.of(KekFiles(folder.kek_path))
        store = open_store(folder, config)
        try:
            sync_folder(folder.path)  # SQLite has made its log, and would ignore it if this failed
            host = Host(store, config, keys, outside)
            with (
                listen(config.listen.host, config.listen.port) as terminals,
                listen(config.http.host, config.http.port) as http,
            ):
                await _serve(host, folder, terminals, http, stop_on_signals, task_status)
        finally:
            store.close()


async def _serve(
    host: Host,
    folder: DataFolder,
    terminals: socket.socket,
    http: socket.socket,
    stop_on_signals: bool,
    task_status: trio.TaskStatus[Bound],
) -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    async with trio.open_nursery() as parts:
        await parts.start(host.run)
        async with trio.open_nursery() as doors:
            doors.start_soon(accept, terminals, host.link.serve, parts, host.link.wait_ready_to_accept)
            doors.start_soon(accept, http, host.http.serve, parts)
            await doors.start(serve_control, folder.control_path, host.admin, host.gate)
            bound = Bound(terminals.getsockname()[:2], http.getsockname()[:2])
            log.info(
                "serving",
                terminals=f"{bound.terminals[0]}:{bound.terminals[1]}",
                http=f"{bound.http[0]}:{bound.http[1]}",
                data=str(folder.path),
                business_day=host.ledger.business_day,
                newest_transfer=host.ledger.head_seq,
            )
            with folder.announced(Running(os.getpid(), bound.terminals, bound.http)):
                task_status.started(bound)
                if stop_on_signals:
                    await _wait_signal()
                else:
                    await trio.sleep_forever()
            doors.cancel_scope.cancel()
        host.draining = True
        log.info("draining")
        await host.link.drain()
        parts.cancel_scope.cancel()
    log.info("stopped", newest_transfer=host.ledger.head_seq)


async def _wait_signal() -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("signal", name=signal.Signals(number).name)
            return


def check_file_limit(connections: int) -> None:
    """Raise the soft limit of open files as far as needed; ConfigError if the system allows fewer."""
    needed = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"limits.connections = {connections}: expected {needed} open files to be allowed, got {hard};"
            " raise `ulimit -n` or lower the setting"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
