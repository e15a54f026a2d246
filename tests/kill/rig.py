"""Kills a host, its load and its database at random moments under load, again and again on one folder, and looks."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg

from server.folder import DataFolder
from tests.end_to_end.process import HostProcess
from tests.kill.books import faults_in
from tests.kill.loadside import PATIENCE_S, LoadSide
from tests.kill.record import CARDS
from tests.postgres import PostgresServer
from tools.admin_client import open_directly

TERMINALS: Final = 8
TERMINAL_PATIENCE_S: Final = 0.5
"""After this a terminal of the load side gives up on an answer: three seconds of a real one's."""
START_FEN: Final = 50_000_000
ANSWERS_MAX: Final = 60
"""A kill comes after a random number of approvals up to this."""
START_S: Final = 0.8
"""A kill during a start comes within this time, which is about what a start takes."""
THOROUGH_EVERY: Final = 10
"""Every so many kills the whole ledger is recomputed; at the end it always is."""
SERVER_STARTS_MAX: Final = 50
POLL_S: Final = 0.02

ACTIONS: Final = {
    "host": 10,
    "host in its start": 4,
    "stopped host": 3,
    "host and load": 3,
    "load": 2,
    "pause": 2,
}
"""What is done, and how often in relation to the others."""
DATABASE_ACTIONS: Final = {"backend": 4, "server": 3, "server -9": 1, "server and host": 3}


class Rig:
    """One long run on one data folder. `tally` counts by action; `gaps_s`, too: from a kill to the next approval."""

    def __init__(self, folder: Path, seed: int, *, postgres: PostgresServer | None = None) -> None:
        self.seed = seed
        self.postgres = postgres
        self.dice = Random(f"kill {seed}")
        self.tally: Counter[str] = Counter()
        self.gaps_s: dict[str, list[float]] = {}
        self.starts_s: list[float] = []
        self.violations: list[str] = []
        changes: dict[tuple[str, str], Any] = {
            ("listen", "port"): 0,
            ("http", "port"): 0,
            ("limits", "connections"): 1_000,
            ("limits", "requests_per_s"): 10_000,
            ("rules", "day_limit_fen"): 0,
        }
        if postgres is not None:
            self._dsn = postgres.new_database()
            changes["ledger", "postgres"] = self._dsn
        self.folder = DataFolder.create(folder / "data", secrets.token_bytes, changes)
        self.load = LoadSide(folder / "load", self._populate(), seed, TERMINAL_PATIENCE_S)
        self.host: HostProcess | None = None
        self._log: list[str] = []

    def _populate(self) -> list[dict[str, Any]]:
        with open_directly(self.folder) as admin:
            merchant_id = admin.merchants.add("一食堂")["merchant_id"]
            for line, card in enumerate(CARDS, 1):
                admin.cards.issue(card.hex(), f"S{line}", "Ann")
                admin.accounts.topup(f"S{line}", START_FEN, 2, line)
            return list(admin.terminals.enrol_many("3-1", TERMINALS, merchant_id))

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.load.close)
            if self.host is not None:
                stack.callback(self.host.close)

    # --- the run

    def run(self, kills: int) -> None:
        """Until so many processes have been killed, or something is wrong."""
        actions = ACTIONS | (DATABASE_ACTIONS if self.postgres is not None else {})
        self._start(None)
        while self.tally["kills"] < kills and not self.violations:
            action = self.dice.choices([*actions], [*actions.values()])[0]
            self._log.append(action)
            self.tally[action] += 1
            self._wait_answers(self.dice.randint(1, ANSWERS_MAX))
            getattr(self, "_" + action.replace(" ", "_").replace("-", "_"))()
        self._end()

    def pause(self, times: int) -> None:
        """No kills: only stop the host so many times, and let it go on."""
        self._start(None)
        for _ in range(times):
            self._wait_answers(self.dice.randint(1, ANSWERS_MAX))
            self._pause()
        self._end()

    def _end(self) -> None:
        """The host ends in order, and everything is recomputed."""
        if self.host is not None and not self.violations:
            self._wait_answers(ANSWERS_MAX)
            if (code := self.host.terminate()) != 0:
                self._note([f"the host ended with exit code {code}: {self.host.noise[-3:]}"])
        self.load.close()
        self._check(thorough=True)

    def _wait_answers(self, count: int, until: Callable[[], bool] = lambda: False) -> bool:
        came = self.load.wait("approved", count, until)
        self._note(self.load.wrong)
        if not came and not self.violations and not until():
            self._note([f"no approvals any more; the host's last words: {self._last_words()}"])
        return came

    def _last_words(self) -> str:
        return "" if self.host is None else f"{self.host.log[-3:]} {self.host.noise[-3:]}"

    def _note(self, faults: list[str]) -> None:
        self.violations += [f"{fault} (after {self._log[-4:]})" for fault in faults]

    def _start(self, killed_at_s: float | None) -> None:
        """Start the host as a supervisor does, look at the ledger before anything is sold, and measure the gap."""
        started_s = time.monotonic()
        self.host = HostProcess(self.folder.path).wait_serving()
        self.starts_s.append(time.monotonic() - started_s)
        self.load.call(self.host.terminals)
        if self._wait_answers(1) and killed_at_s is not None:
            self._measure(killed_at_s)

    def _measure(self, killed_at_s: float) -> None:
        action = self._log[-1]
        kind = "host and database" if action in DATABASE_ACTIONS else "host"
        self.gaps_s.setdefault(kind, []).append(time.monotonic() - killed_at_s)

    def _check(self, *, thorough: bool = False) -> None:
        self.tally["checks"] += 1
        thorough = thorough or self.tally["checks"] % THOROUGH_EVERY == 0
        self._note(faults_in(self.folder, self.load.records, thorough=thorough))

    def _killed(self, count: int = 1) -> float:
        self.tally["kills"] += count
        return time.monotonic()

    def _kill_host(self) -> float:
        assert self.host is not None
        at_s = self._killed()
        self.host.close()
        return at_s

    def _restart(self, killed_at_s: float | None) -> None:
        """As soon as it can be, and then the books: what was answered before the kill must be there."""
        self._start(killed_at_s)
        self._check()

    # --- what is killed

    def _host(self) -> None:
        self._restart(self._kill_host())

    def _host_in_its_start(self) -> None:
        at_s = self._kill_host()
        for _ in range(self.dice.randint(1, 3)):
            self.host = HostProcess(self.folder.path)
            with suppress(subprocess.TimeoutExpired):
                self.host.process.wait(self.dice.uniform(0, START_S))
            at_s = self._kill_host()
        self._restart(at_s)

    def _stop_host(self) -> None:
        """Stopped until terminals have given up on it."""
        assert self.host is not None
        self.tally["stops"] += 1
        self.host.process.send_signal(signal.SIGSTOP)
        if not self.load.wait("late", self.dice.randint(1, TERMINALS)):
            self._note(["no terminal gave up on a host that was stopped"])

    def _stopped_host(self) -> None:
        self._stop_host()
        self._restart(self._kill_host())

    def _pause(self) -> None:
        self._stop_host()
        assert self.host is not None
        self.host.process.send_signal(signal.SIGCONT)
        self._wait_answers(1)

    def _load(self) -> None:
        self.load.kill()
        self.tally["load kills"] += 1
        self.load.start()

    def _host_and_load(self) -> None:
        first, second = self.dice.sample([self._kill_host, self._load], 2)
        first()
        second()
        self._restart(None)  # the load's own start would be part of the gap

    # --- the database

    def _database(self, hit: Callable[[PostgresServer], None]) -> None:
        """Hit it while the host lives; the host goes on when it is back, or ends and is started again."""
        assert self.postgres is not None
        assert self.host is not None
        host = self.host
        at_s = self._killed()
        hit(self.postgres)
        _wait_back(self.postgres)
        if not self._wait_answers(1, lambda: host.process.poll() is not None):
            host.close()
            self.tally["host gave up"] += 1
            self._restart(at_s)
            return
        self._measure(at_s)
        self._check()

    def _backend(self) -> None:
        def hit(server: PostgresServer) -> None:
            for (process,) in server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'fanka'"):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)  # the server ends all others too, and recovers

        self._database(hit)

    def _server(self) -> None:
        def hit(server: PostgresServer) -> None:
            server.kill()
            server.start()

        self._database(hit)

    def _server__9(self) -> None:
        self._database(_kill_server)

    def _server_and_host(self) -> None:
        assert self.postgres is not None
        self.postgres.kill()
        at_s = self._kill_host()
        self._killed()
        self.postgres.start()
        self._restart(at_s)


def _wait_back(server: PostgresServer) -> None:
    """Until the database can be read again."""
    pause, deadline_s = threading.Event(), time.monotonic() + PATIENCE_S
    while True:
        try:
            server.sql("SELECT 1")
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline_s:
                raise
            pause.wait(POLL_S)


def _kill_server(server: PostgresServer) -> None:
    """kill -9 of the postmaster: it cannot start again before its children have noticed and gone."""
    assert server._process is not None
    server._process.kill()
    server._process.wait(PATIENCE_S)
    for attempt in range(SERVER_STARTS_MAX):
        try:
            server.start()
            return
        except RuntimeError:
            if attempt == SERVER_STARTS_MAX - 1:
                raise
