"""The other yardstick: PostgreSQL's own pgbench, TPC-B, on a throw-away cluster on this machine, fully durable."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SCALE: Final = 10
"""As many branches as clients at least, so that pgbench does not wait for its own hot rows."""
USER: Final = "postgres"


class Unavailable(Exception):
    """pgbench cannot be run here; the message says why."""


def find_binaries() -> Path:
    """The folder with initdb, postgres and pgbench; installs Debian's package when root; Unavailable otherwise."""
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (("update", "-q"), ("install", "-q", "-y", "--no-install-recommends", "postgresql")):
            subprocess.run(["apt-get", *words], env=environment, capture_output=True, check=False)  # noqa: S603, S607
        found = _installed()
    if found is None:
        raise Unavailable("no PostgreSQL server here: install Debian's package postgresql to compare with pgbench")
    return found


def _installed() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "pgbench")):
            return folder
    return None


@contextmanager
def cluster(binaries: Path, base: Path) -> Iterator[Path]:
    """A running throw-away cluster below `base`; its socket folder."""
    folder = Path(tempfile.mkdtemp(prefix="fanka-pg-", dir=base))
    if os.geteuid() == 0:
        owner = pwd.getpwnam(USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data = folder / "data"
    try:
        _run(binaries / "initdb", "-D", data, "-A", "trust", "-U", USER, cwd=folder)
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=40"
        _run(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start", cwd=folder)
        try:
            yield folder
        finally:
            _run(binaries / "pg_ctl", "-D", data, "-m", "fast", "-w", "stop", cwd=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(*words: Path | str, cwd: Path) -> str:
    """Run as the unprivileged owner, for PostgreSQL refuses root."""
    user = USER if os.geteuid() == 0 else None
    done = subprocess.run(  # noqa: S603 - our own words
        [str(word) for word in words], cwd=cwd, user=user, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Unavailable(f"{Path(words[0]).name} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


@contextmanager
def ready(base: Path) -> Iterator[tuple[Path, Path]]:
    """Binaries and socket folder of a cluster with pgbench's tables in it."""
    binaries = find_binaries()
    with cluster(binaries, base) as folder:
        _run(binaries / "pgbench", "-h", folder, "-U", USER, "-i", "-q", "-s", str(SCALE), "postgres", cwd=folder)
        yield binaries, folder


def measure(binaries: Path, folder: Path, clients: int, seconds: int) -> float:
    """TPC-B transactions per second."""
    said = _run(
        binaries / "pgbench",
        *("-h", folder, "-U", USER, "-c", str(clients), "-j", "2", "-T", str(seconds), "postgres"),
        cwd=folder,
    )
    rate = re.search(r"tps = ([\d.]+) \(without", said)
    if rate is None:
        raise Unavailable(f"pgbench: expected a line `tps = ...`, got {said[-200:]!r}")
    return float(rate[1])
