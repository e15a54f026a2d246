"""`fanka doctor`: what is installed and set here, what is wrong with it, how to mend it. Exit code 1 if it is bad."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tools.listing import console, print_json
from tools.options import AsJson

if TYPE_CHECKING:
    from server.config import Config
    from server.folder import DataFolder
    from server.ledger.store import Store

PYTHON_OLDEST: Final = (3, 11)
PYTHON_NEWEST: Final = (3, 13)
SQLITE_OLDEST: Final = (3, 51, 3)
"""Older ones can corrupt a WAL database when it is reset."""
PACKAGES: Final = (
    "trio",
    "construct",
    "crcmod",
    "msgspec",
    "cryptography",
    "apsw",
    "prometheus-client",
    "structlog",
    "cyclopts",
    "rich",
    "urwid",
    "segno",
    "hdrhistogram",
)
DISK_BAD_BYTES: Final = 200 << 20
DISK_WARN_BYTES: Final = 2 << 30
"""A million sales take some 500 MB with their index."""
FSYNC_WRITES: Final = 32
FSYNC_WARN_S: Final = 0.010
FSYNC_BAD_S: Final = 0.200
"""A sale waits for one fsync at least: with slower ones a cashier notices."""
CLOCK_OLDEST: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The program is younger than this: a clock that says otherwise has lost its battery."""

Level = Literal["ok", "warn", "bad"]


class Finding(NamedTuple):
    """One thing looked at. `mend` says what to do unless the level is ok."""

    name: str
    level: Level
    detail: str
    mend: str = ""


def doctor(data: Path | None = None, /, *, json: AsJson = False) -> int:
    """What is installed and set, what is wrong, how to mend it. Exit code 1 if anything is bad.

    Parameters
    ----------
    data
        The data folder to look at too; default $FANKA_DATA, this folder, or the only one below it.
    """
    findings = [*look_at_programs(), *look_at_folder(data)]
    ok = all(finding.level != "bad" for finding in findings)
    if json:
        print_json({"ok": ok, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            console().print(f"{finding.level:<5} {finding.name:<14}{finding.detail}")
            if finding.mend:
                console().print(f"      {'':<14}-> {finding.mend}")
    return 0 if ok else 1


def look_at_programs() -> Iterator[Finding]:
    """Python, packages, C extensions, clock: the same for every data folder."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = PYTHON_OLDEST <= sys.version_info[:2] <= PYTHON_NEWEST
    wanted = f"use Python {'.'.join(map(str, PYTHON_OLDEST))} to {'.'.join(map(str, PYTHON_NEWEST))}"
    detail = f"{version} on {platform.system()} {platform.release()}"
    yield Finding("python", "ok" if supported else "bad", detail, "" if supported else wanted)
    yield _look_at_packages()
    yield _look_at_sqlite()
    yield _look_at_crcmod()
    now = datetime.now(UTC)
    sane = now >= CLOCK_OLDEST
    yield Finding(
        "clock", "ok" if sane else "bad", f"{now:%Y-%m-%d %H:%M:%S} UTC", "" if sane else "set the clock (NTP)"
    )


def _look_at_packages() -> Finding:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", "bad", f"missing: {', '.join(missing)}", "install anew: make setup")
    return Finding("packages", "ok", ", ".join(found))


def _look_at_sqlite() -> Finding:
    import apsw

    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) >= SQLITE_OLDEST:
        return Finding("sqlite", "ok", version)
    oldest = ".".join(map(str, SQLITE_OLDEST))
    return Finding(
        "sqlite", "bad", f"{version}: expected {oldest} or newer", "reinstall apsw, which brings its own SQLite"
    )


def _look_at_crcmod() -> Finding:
    """Without a C compiler crcmod installs silently as pure Python; crcmod-plus takes its place under the same name."""
    for name in ("crcmod._crcfunext", "crcmod._crcfunpy"):
        if find_spec(name) is not None:
            is_fast = name.endswith("ext")
            break
    else:
        return Finding("crc", "bad", "crcmod is not installed whole", "install anew: make setup")
    if is_fast:
        return Finding("crc", "ok", "crcmod with its C extension")
    return Finding(
        "crc", "warn", "crcmod in pure Python: some 15 times slower", "install a C compiler, then crcmod anew"
    )


def look_at_folder(data: Path | None) -> Iterator[Finding]:
    """A data folder, if there is one: permissions, configuration, keys, disk, limits, whether a host runs."""
    from server.config import ConfigError, load_config
    from server.folder import FolderError, find_folder

    try:
        folder = find_folder(data, os.environ.get("FANKA_DATA"), Path.cwd())
    except FolderError as error:
        level: Level = "bad" if data is not None or os.environ.get("FANKA_DATA") else "warn"
        yield Finding("folder", level, str(error), "fanka init creates one; a damaged one wants its backup")
        return
    yield _look_at_permissions(folder)
    try:
        config = load_config(folder.config_path)
        yield Finding("config", "ok", f"{folder.config_path}: valid")
    except ConfigError as error:
        config = None
        yield Finding("config", "bad", str(error), "mend the file; fanka init writes a commented one elsewhere")
    yield _look_at_kek(folder)
    yield _look_at_ledger(folder)
    yield from _look_at_rollback(folder)
    yield _look_at_disk(folder.path)
    yield _look_at_fsync(folder.path)
    if config is not None:
        yield _look_at_day(folder, config)
        yield _look_at_files(config)
        yield from _look_at_ports(folder, config)


def _look_at_permissions(folder: DataFolder) -> Finding:
    problems = []
    for path in (folder.path, *sorted(folder.path.glob(f"{folder.kek_path.name}*")), folder.ledger_path):
        if not path.exists():
            continue
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077:
            problems.append(f"{path.name} is open to others ({mode:04o})")
        if found.st_uid != os.geteuid():
            problems.append(f"{path.name} belongs to user {found.st_uid}, not {os.geteuid()}")
    if not os.access(folder.path, os.W_OK | os.X_OK):
        problems.append("the folder cannot be written to")
    if problems:
        mend = f"chmod -R go= {folder.path}; run as the folder's owner"
        return Finding("permissions", "bad", "; ".join(problems), mend)
    return Finding("permissions", "ok", f"{folder.path}: its owner's alone")


def _look_at_kek(folder: DataFolder) -> Finding:
    """The file, and whether it is the one this ledger's keys are wrapped under; or both, while they are re-wrapped."""
    from server.keys import KekFiles, KeyFault, KeyRing, coming_fingerprint, known_fingerprint
    from server.ledger.registry import Registry

    try:
        keys = KeyRing.of(KekFiles(folder.kek_path))
    except KeyFault as error:
        return Finding("keys", "bad", str(error), "restore kek.key from the backup of the keys")
    try:
        store = _open_ledger(folder)
    except Exception:  # said by the look at the ledger
        return Finding("keys", "ok", f"kek.key: fingerprint {keys.fingerprint}")
    try:
        known, coming = known_fingerprint(Registry(store)), coming_fingerprint(Registry(store))
    finally:
        store.close()
    if known is not None:
        try:
            keys.choose(known, coming)
        except KeyFault as error:
            return Finding("keys", "bad", str(error), "put back the kek.key that belongs to this ledger")
    if coming is not None:
        detail = f"keys are being re-wrapped from fingerprint {known} to {coming}"
        return Finding("keys", "warn", detail, "fanka admin keys rewrap goes on with it; keep kek.key.new until then")
    return Finding("keys", "ok", f"kek.key: fingerprint {keys.fingerprint}")


def _open_ledger(folder: DataFolder) -> Store:
    """For reading. While the configuration is broken, the file that is most likely meant."""
    from server.config import ConfigError
    from server.stores import open_ledger

    try:
        return open_ledger(folder)
    except ConfigError:
        if not folder.ledger_path.exists():
            raise
        return open_ledger(folder.ledger_path)


def _look_at_ledger(folder: DataFolder) -> Finding:
    from server.config import ConfigError
    from server.stores import is_embedded

    try:
        store = _open_ledger(folder)
    except ConfigError:
        return Finding("ledger", "warn", "unknown", "see what is said of the configuration")
    except Exception as error:  # whatever keeps it from being opened is what we are here to tell
        if not folder.ledger_path.exists() and not is_embedded(folder):
            return Finding("ledger", "bad", str(error), "see docs/operating.md, PostgreSQL")
        if folder.ledger_path.is_file() and not os.access(folder.ledger_path, os.R_OK | os.W_OK):
            return Finding("ledger", "bad", str(error), f"chmod u+rw {folder.ledger_path}; run as the folder's owner")
        return Finding("ledger", "bad", str(error), "restore it from a backup; a new folder starts with fanka init")
    try:
        seq, _ = store.head()
        described = store.describe()
    finally:
        store.close()
    return Finding("ledger", "ok", f"{seq} transfers, {described}; fanka verify checks them all")


def _look_at_rollback(folder: DataFolder) -> Iterator[Finding]:
    """Whether a terminal has told that an older ledger stands in the place of a newer one."""
    from server.ledger.rollback import noted
    from server.operations.desk import show_terminal

    try:
        store = _open_ledger(folder)
    except Exception:  # said by the look at the ledger
        return
    try:
        seen = noted(store)
    finally:
        store.close()
    if seen is not None:
        detail = (
            f"an old backup: terminal {show_terminal(seen.terminal_id)} has seen epoch {seen.seen_epoch} of this host,"
            f" the ledger knew {seen.own_epoch}"
        )
        mend = "terminals bring back their sales after: fanka admin ledger recover; what the office did is to be redone"
        yield Finding("rolled back", "bad", detail, mend)


def _look_at_day(folder: DataFolder, config: Config) -> Finding:
    """Whether the open business day fits the clock, or waits for a person."""
    from server.business_day import AUTOMATIC_DAYS_MAX, business_day_at, days_between
    from server.ledger.registry import Registry

    name, today = "business day", business_day_at(time.time_ns() // 1_000_000, config.day)
    try:
        store = _open_ledger(folder)
    except Exception:
        return Finding(name, "warn", "unknown", "see what is said of the ledger")
    try:
        days = Registry(store).days(1)
    finally:
        store.close()
    if not days:
        return Finding(name, "ok", f"none yet; {today} opens with the first start")
    behind = days_between(days[0].day, today)
    detail = f"{days[0].day} is open, by the clock it is {today}"
    if behind > AUTOMATIC_DAYS_MAX:
        mend = f"the host goes no further than {AUTOMATIC_DAYS_MAX} days by itself; if the clock is right: "
        return Finding(name, "bad", detail, f"{mend}fanka admin day open {today}")
    if behind < -1:
        return Finding(name, "bad", detail, "a day cannot be taken back: set the clock (NTP) if it is slow")
    return Finding(name, "ok", detail)


def _look_at_disk(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    level: Level = "bad" if free < DISK_BAD_BYTES else "warn" if free < DISK_WARN_BYTES else "ok"
    return Finding(
        "disk", level, f"{free >> 20} MiB free", "" if level == "ok" else "make room: a full disk stops sales"
    )


def _look_at_fsync(path: Path, clock: Callable[[], float] = time.perf_counter) -> Finding:
    """How long a small durable write takes here: the floor under every sale's latency."""
    probe = path / f".doctor-{os.getpid()}"
    times = []
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for _ in range(FSYNC_WRITES):
                started = clock()
                os.write(descriptor, bytes(4096))
                os.fsync(descriptor)
                times.append(clock() - started)
        finally:
            os.close(descriptor)
            probe.unlink()
    except OSError as error:
        return Finding("fsync", "bad", f"cannot write: {error}", "make the folder writable for this user")
    times.sort()
    median_s, worst_s = times[len(times) // 2], times[-1]
    level: Level = "bad" if median_s > FSYNC_BAD_S else "warn" if median_s > FSYNC_WARN_S else "ok"
    detail = f"median {median_s * 1000:.2f} ms, worst {worst_s * 1000:.2f} ms of {FSYNC_WRITES}"
    return Finding("fsync", level, detail, "" if level == "ok" else "put the data folder on a faster local disk")


def _look_at_files(config: Config) -> Finding:
    from server.app import SPARE_FILES

    needed = config.limits.connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"{soft} open files allowed, at most {hard}; {needed} needed for {config.limits.connections} connections"
    if soft >= needed or hard == resource.RLIM_INFINITY or hard >= needed:
        return Finding("file limit", "ok", detail)
    mend = f"ulimit -n {needed} (systemd: LimitNOFILE={needed}), or lower limits.connections"
    return Finding("file limit", "bad", detail, mend)


def _look_at_ports(folder: DataFolder, config: Config) -> Iterator[Finding]:
    """Whether a host runs on the folder; if none does, whether its ports are free."""
    from tools.admin_client import host_answers

    if host_answers(folder):
        yield Finding("host", "ok", f"running: {folder.lock_path.read_text('utf-8', 'replace').strip()}")
        return
    yield Finding("host", "ok", "not running")
    for listen in (config.listen, config.http):
        name = f"port {listen.port}"
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
        except OSError as error:
            yield Finding(name, "bad", f"{listen.host}: {error}", "stop what listens there, or change fanka.toml")
        else:
            yield Finding(name, "ok", f"{listen.host}: free")
