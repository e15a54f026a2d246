"""Re-wrapping under a new key-encryption key: whatever is killed, and when, every key opens and the work goes on."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from server.admin import Admin, AdminError
from server.host_secrets import ROW as HOST_SECRET_ROW
from server.kek_files import KekFiles, fingerprint_of
from server.keys import KeyFault, KeyRing, coming_fingerprint
from server.ledger.ledger import Ledger
from server.ledger.model import SaleLimits
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.operations import keys as operation

FIRST = bytes(range(32))
NOW_MS = 1_789_000_000_000


class Power(BaseException):
    """The power fails: no handler of ours catches it."""


class Folder:
    """A ledger and its KEK files on a disk. `open` is a start of the host, `close` its end, however it comes."""

    def __init__(self, path: Path, terminals: int = 7) -> None:
        self.path = path
        self.random = random.Random(3)
        self.files = KekFiles(path / "kek.key")
        self.files.path.write_text(FIRST.hex())
        self.files.path.chmod(0o600)
        self.open()
        self.admin.merchants.add("一食堂")
        self.admin.terminals.enrol_many("3-1", terminals, 1)
        self.admin.terminals.rotate("3-2", 3)
        self.admin.terminals.enrol("3-3", with_code=True)
        self.admin.terminals.enrol("4-1", 1, with_code=True)
        self.secrets = self.all_secrets()
        assert len(self.secrets) == terminals + 3 + 2 + 1

    def open(self) -> None:
        self.store = SqliteStore(self.path / "ledger.db")
        self.registry = Registry(self.store)
        self.keys = KeyRing.of(self.files)
        self.admin = Admin(
            Ledger(self.store, SaleLimits(0, 0)),
            self.registry,
            self.keys,
            now_ms=lambda: NOW_MS,
            random_bytes=self.random.randbytes,
            on_revoked=lambda _: None,
        )

    def close(self) -> None:
        self.store.close()

    def rewrap(self) -> int:
        """To its end; the number of steps."""
        steps = 1
        while not self.admin.perform("keys.rewrap", {})["done"]:
            steps += 1
        return steps

    def wrapped(self) -> dict[tuple[int, str], bytes]:
        columns = ("wrapped_key", "next_wrapped_key", "wrapped_code")
        rows = self.store.execute(f"SELECT terminal_id, {', '.join(columns)} FROM terminals")
        found = {
            (row[0], name): value
            for row in rows
            for name, value in zip(columns, row[1:], strict=True)
            if value is not None
        }
        host_secret = self.registry.meta(HOST_SECRET_ROW)
        assert host_secret is not None
        return {**found, (0, HOST_SECRET_ROW): bytes.fromhex(host_secret)}

    def all_secrets(self) -> dict[tuple[int, str], bytes]:
        return {place: self.keys.unwrap(value) for place, value in self.wrapped().items()}

    def assert_done(self) -> None:
        """Everything opens with the KEK in kek.key alone, and that is not the first one."""
        assert self.all_secrets() == self.secrets
        kek = self.files.load()
        assert kek != FIRST
        alone = KeyRing(kek)
        assert {place: alone.unwrap(value) for place, value in self.wrapped().items()} == self.secrets
        first = KeyRing(FIRST)
        for value in self.wrapped().values():
            with pytest.raises(KeyFault):
                first.unwrap(value)
        names = sorted(path.name for path in self.path.iterdir() if path.name.startswith("kek.key"))
        assert names == ["kek.key", f"kek.key.{fingerprint_of(FIRST)}.old"]
        assert self.admin.perform("keys.show", {}) == {
            "fingerprint": fingerprint_of(kek),
            "coming": "",
            "retired": names[1:],
        }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(operation, "PAGE_MAX", 3)
    folder = Folder(tmp_path)
    yield folder
    folder.close()


def test_undisturbed(folder):
    assert folder.rewrap() == 1 + 3 + 1  # a new KEK, eight terminals three at a time, the end
    folder.assert_done()
    folder.close()
    folder.open()
    folder.assert_done()


def test_twice(folder):
    folder.rewrap()
    second = folder.files.load()
    folder.rewrap()
    assert folder.files.load() not in (FIRST, second)
    assert folder.all_secrets() == folder.secrets
    assert len(folder.files.retired()) == 2


@pytest.mark.parametrize("steps", range(1, 5))
def test_stopped_between_two_steps(folder, steps):
    for _ in range(steps):
        folder.admin.perform("keys.rewrap", {})
    assert folder.admin.perform("keys.show", {})["coming"] == coming_fingerprint(folder.registry) != ""
    assert folder.all_secrets() == folder.secrets
    folder.close()
    folder.open()
    assert folder.all_secrets() == folder.secrets
    assert folder.rewrap() == 5 - steps
    folder.assert_done()


@pytest.mark.parametrize("steps", range(5))
def test_what_is_enrolled_and_fetched_meanwhile(folder, steps):
    for _ in range(steps):
        folder.admin.perform("keys.rewrap", {})
    folder.admin.terminals.enrol("2-1", 1)  # before the mark
    folder.admin.terminals.enrol("9-1", 1)  # behind it
    folder.admin.terminals.rotate("3-6")
    waiting = folder.registry.find_terminal(3 << 16 | 2)
    assert folder.admin.adopt_key(waiting.terminal_id, waiting.next_key_version)
    folder.secrets = folder.all_secrets()
    folder.rewrap()
    folder.assert_done()


@pytest.mark.parametrize("steps", range(5))
def test_a_code_offered_before_is_good_after(folder, steps):
    """The session it opened has it as it was wrapped then."""
    before = folder.registry.find_terminal(4 << 16 | 1).wrapped_code
    for _ in range(steps):
        folder.admin.perform("keys.rewrap", {})
    assert folder.admin.redeem_code(4 << 16 | 1, "", before) is not None
    assert folder.admin.redeem_code(4 << 16 | 1, "", before) is None


CALLS = ("replace", "fsync", "unlink", "open")


def ticking(real, tick):
    """A function that ticks before it does what it did."""

    def call(*arguments, **named):
        tick()
        return real(*arguments, **named)

    return call


def killed_at(folder: Folder, monkeypatch, limit: int) -> bool:
    """Re-wrap, and lose power at the `limit`-th file call, commit or end of a commit. Whether it came so far."""
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count == limit:
            raise Power

    with monkeypatch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, ticking(getattr(os, name), tick))
        transaction = folder.store.transaction

        class Watched:
            def __enter__(self):
                self.inner = transaction()
                return self.inner.__enter__()

            def __exit__(self, kind, error, trace):
                if kind is None:
                    try:
                        tick()  # before the commit
                    except Power as power:
                        self.inner.__exit__(Power, power, power.__traceback__)
                        raise
                done = self.inner.__exit__(kind, error, trace)
                tick()  # behind it
                return done

        patched.setattr(folder.store, "transaction", Watched)
        try:
            folder.rewrap()
        except Power:
            return True
    return False


@pytest.mark.slow
def test_killed_at_every_point(tmp_path, monkeypatch):
    monkeypatch.setattr(operation, "PAGE_MAX", 3)
    limit = 0
    while True:
        limit += 1
        place = tmp_path / str(limit)
        place.mkdir()
        folder = Folder(place)
        was_killed = killed_at(folder, monkeypatch, limit)
        folder.close()
        folder.open()  # a start finds every KEK it needs, and tidies up
        assert folder.all_secrets() == folder.secrets
        if not was_killed:
            folder.assert_done()
            folder.close()
            break
        if folder.files.load() == FIRST:
            folder.rewrap()
        folder.assert_done()
        folder.close()
    assert limit > 20


@pytest.mark.slow
def test_killed_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(operation, "PAGE_MAX", 2)
    folder = Folder(tmp_path)
    kills = 0
    for limit in (3, 4, 2, 5, 3, 1, 4, 7, 2):
        kills += killed_at(folder, monkeypatch, limit)
        folder.close()
        folder.open()
        assert folder.all_secrets() == folder.secrets
        if folder.files.load() != FIRST:
            break
    else:
        folder.rewrap()
    folder.assert_done()
    folder.close()
    assert kills > 4


# ------------------------------------------------------------------------------------ faults and restores


def test_without_the_coming_kek_the_host_does_not_start(folder):
    folder.admin.perform("keys.rewrap", {})
    folder.admin.perform("keys.rewrap", {})
    coming = coming_fingerprint(folder.registry)
    folder.close()
    moved = folder.files.next_path.rename(folder.path / "elsewhere")
    with pytest.raises(KeyFault, match=f"with fingerprint {coming}.*while keys are being re-wrapped"):
        folder.open()
    folder.store.close()
    moved.rename(folder.files.next_path)
    folder.open()
    folder.rewrap()
    folder.assert_done()


@pytest.mark.parametrize("steps", range(5))
def test_a_backup_of_any_moment_opens_afterwards(folder, steps):
    """Whoever keeps the retired KEK can go back to every backup of its time, also to one made half way."""
    for _ in range(steps):
        folder.admin.perform("keys.rewrap", {})
    folder.store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = (folder.path / "ledger.db").read_bytes()
    folder.rewrap()
    folder.close()
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (folder.path / name).unlink(missing_ok=True)
    (folder.path / "ledger.db").write_bytes(backup)
    folder.open()
    assert folder.all_secrets() == folder.secrets
    folder.rewrap()
    assert folder.all_secrets() == folder.secrets
    alone = KeyRing(folder.files.load())
    assert {place: alone.unwrap(value) for place, value in folder.wrapped().items()} == folder.secrets


def test_a_key_that_opens_under_no_kek_is_named_and_left_alone(folder):
    folder.store.execute("UPDATE terminals SET wrapped_key = ? WHERE terminal_id = ?", (bytes(40), 3 << 16 | 5))
    damaged = []
    while True:
        step = folder.admin.perform("keys.rewrap", {})
        damaged += step["damaged"]
        if step["done"]:
            break
    assert damaged == ["3-5"]
    assert folder.wrapped()[3 << 16 | 5, "wrapped_key"] == bytes(40)


def test_a_file_that_cannot_be_written_changes_nothing(folder, monkeypatch):
    def full(*_arguments, **_named):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(AdminError, match=r"kek\.key\.new: expected to write a new key there"):
            folder.admin.perform("keys.rewrap", {})
    assert coming_fingerprint(folder.registry) is None
    for _ in range(4):
        folder.admin.perform("keys.rewrap", {})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(AdminError, match=r"keys are re-wrapped, but kek\.key could not be replaced"):
            folder.admin.perform("keys.rewrap", {})
    assert folder.all_secrets() == folder.secrets
    folder.close()
    folder.open()
    folder.assert_done()


def test_a_host_without_files_says_so(office):
    assert "expected a data folder that keeps its key in a file" in office.refused("keys.rewrap")
    assert office.call("keys.show")["retired"] == []


def test_a_kek_that_stands_in_no_file_is_not_replaced(folder):
    """The host goes on with what it has in memory; a folder that lost its key must not be made worse."""
    moved = folder.files.path.rename(folder.path / "elsewhere")
    with pytest.raises(AdminError, match="found it in no file"):
        folder.admin.perform("keys.rewrap", {})
    moved.rename(folder.files.path)
    for _ in range(4):
        folder.admin.perform("keys.rewrap", {})
    moved = folder.files.next_path.rename(folder.path / "elsewhere")
    with pytest.raises(AdminError, match=r"kek\.key\.new: expected the key with fingerprint \w+, found it in no file"):
        folder.admin.perform("keys.rewrap", {})
    assert folder.all_secrets() == folder.secrets
    moved.rename(folder.files.next_path)
    folder.rewrap()
    folder.assert_done()
