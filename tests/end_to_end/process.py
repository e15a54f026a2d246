"""The real thing: `fanka serve` as a process of its own, reached over real sockets, watched through its log."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from protocol import TerminalNumber
from server.folder import DataFolder
from server.ledger.store import Store
from server.ledger.verify import verify
from server.stores import open_ledger
from tests.wire import PATIENCE_S, Address, Till, Wire, sign_on
from tools.admin_client import open_admin, open_directly

ROOT: Final = Path(__file__).parents[2]
SERVE: Final = [sys.executable, "-c", "from tools.main import main; main()", "serve"]
CARD, OTHER_CARD = b"\x04\xa1\xb2\xc3", b"\x04\xd4\xe5\xf6"
START_FEN: Final = 5_000_000
"""What each card's owner has at the start: no test ever runs out."""

Metric = tuple[str, tuple[tuple[str, str], ...]]


class Campus:
    """A data folder with a merchant, two cards, and as many terminals as its tests may want, each used by one test."""

    def __init__(
        self, path: Path, *, terminals: int, limits: dict[str, float] | None = None, postgres: str = ""
    ) -> None:
        changes: dict[tuple[str, str], Any] = {
            ("listen", "port"): 0,
            ("http", "port"): 0,
            ("limits", "connections"): 1000,
            ("limits", "requests_per_s"): 10_000,
            ("rules", "day_limit_fen"): 0,
            ("ledger", "postgres"): postgres,
        }
        changes |= {("limits", key): value for key, value in (limits or {}).items()}
        self.folder = DataFolder.create(path, secrets.token_bytes, changes)
        with open_directly(self.folder) as admin:
            self.merchant_id = admin.merchants.add("一食堂")["merchant_id"]
            for line, (card, student_number) in enumerate(((CARD, "S1"), (OTHER_CARD, "S2")), 1):
                admin.cards.issue(card.hex(), student_number, "Ann")
                admin.accounts.topup(student_number, START_FEN, 2, line)
            enrolled = admin.terminals.enrol_many("3-1", terminals, self.merchant_id)
        self._tills = iter(
            [
                Till(TerminalNumber.parse(one["terminal"]), bytes.fromhex(one["root_key"]), one["key_version"])
                for one in enrolled
            ]
        )

    def till(self) -> Till:
        """A terminal nobody has used yet."""
        return next(self._tills)

    def tills(self, count: int) -> list[Till]:
        return [self.till() for _ in range(count)]

    # --- What stands in the ledger. A reader of its own: works beside a running host.

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Store]:
        store = open_ledger(self.folder)
        try:
            yield store
        finally:
            store.close()

    def transfers(self) -> int:
        """Rows of the journal: grows with everything that is decided."""
        with self.ledger() as store:
            return store.head()[0]

    def posted(self) -> dict[tuple[int, int, int], list[tuple[int, int, int]]]:
        """(rrn, decision, fen) of every original, by (terminal, batch, STAN). More than one is a sale posted twice."""
        found: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}
        with self.ledger() as store:
            for terminal_id, batch, stan, seq, decision, amount_fen in store.execute(
                "SELECT terminal_id, batch, stan, seq, decision, amount_fen FROM transfers WHERE side = 0"
            ):
                found.setdefault((terminal_id, batch, stan), []).append((seq, decision, amount_fen))
        return found

    def balance_fen(self, card: bytes = CARD) -> int:
        with self.ledger() as store:
            return int(
                store.execute(
                    "SELECT balance_fen FROM cards JOIN accounts USING (account_id) WHERE token = ?", (card,)
                )[0][0]
            )

    def verify(self) -> None:
        """Every invariant of the ledger, recomputed."""
        with self.ledger() as store:
            assert [check for check in verify(store) if not check.ok] == []


class HostProcess:
    """`fanka serve` on a folder. Its log is read as it comes; nothing here ever sleeps."""

    def __init__(self, folder: Path, *, command: list[str] | None = None) -> None:
        self.log: list[dict[str, Any]] = []
        self.noise: list[str] = []
        """Lines that are no JSON: the one-line error of a start that failed."""
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [*(command or SERVE), str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                try:
                    self.log.append(json.loads(line))
                except ValueError:
                    self.noise.append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_log(self, event: str, *, since: int = 0, **fields: Any) -> dict[str, Any]:
        """The first log entry with this event and these fields from number `since` on; waits for it."""

        def find() -> dict[str, Any] | None:
            for entry in self.log[since:]:
                if entry["event"] == event and fields.items() <= entry.items():
                    return entry
            return None

        with self._changed:
            self._changed.wait_for(lambda: find() or self._ended, PATIENCE_S)
            found = find()
        assert found is not None, f"expected a log entry {event!r} {fields}, got {self.log[since:]} {self.noise}"
        return found

    def wait_serving(self) -> HostProcess:
        """Where it listens, once it does."""
        entry = self.wait_log("serving")
        self.terminals, self.http = _address(entry["terminals"]), _address(entry["http"])
        return self

    # --- Talking to it

    def sign_on(self, till: Till, *, source: str = "") -> Wire:
        return sign_on(self.terminals, till, source=source)

    def line(self, till: Till, *, source: str = "") -> Wire:
        """A connection on which nothing has been said yet."""
        return Wire(self.terminals, till, source=source)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP page."""
        connection = http.client.HTTPConnection(*self.http, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def metrics(self) -> dict[Metric, float]:
        """Every sample, by name and sorted labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def count(self, name: str, **labels: str) -> float:
        return self.metrics().get((f"fanka_{name}", tuple(sorted(labels.items()))), 0.0)

    # --- Its end

    def wait(self) -> int:
        """The exit code, once it has ended and all of its log is here."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def terminate(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.wait()

    def close(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


@contextlib.contextmanager
def serving(campus: Campus) -> Iterator[HostProcess]:
    """A host that serves; killed at the end if it still runs."""
    host = HostProcess(campus.folder.path)
    try:
        yield host.wait_serving()
    finally:
        host.close()


@contextlib.contextmanager
def starting(folder: Path) -> Iterator[HostProcess]:
    """A host whose start may fail."""
    host = HostProcess(folder)
    try:
        yield host
    finally:
        host.close()


def administer(campus: Campus, operation: str, **arguments: Any) -> Any:
    """An administrator's command: through the control socket while the host runs."""
    with open_admin(campus.folder) as admin:
        return admin.call(operation, **arguments)
