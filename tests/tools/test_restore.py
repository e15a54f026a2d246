"""`fanka restore`: the whole ledger back, under a new history, and nothing of the folder lost on the way."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from random import Random

import pytest

import server.restore
from server.backup import BackupBad, BackupError, make_backup
from server.config import load_config
from server.folder import DataFolder, FolderError
from server.keys import KekFiles, KeyFault, fingerprint_of, load_kek
from server.ledger import migrate
from server.ledger.copy import TABLES
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.ledger.sqlite_copy import CONFIG, MANIFEST, registry_digest
from server.ledger.store import StoreError, StoreRefused
from server.ledger.verify import verify
from server.restore import restore
from server.stores import open_store
from tests.server.busy_folder import busy_folder, ledger_of, newest, sell, sell_on
from tests.tools.test_backup import NOW_MS, NoTime, names, transfers
from tools.admin_client import open_directly

FLIPS = 150
"""Of some 400,000 bits."""
LATER_MS = NOW_MS + 3 * 3_600_000


@pytest.fixture
def used(tmp_path):
    return busy_folder(tmp_path / "used")


@pytest.fixture
def backup(used, tmp_path):
    """Made after five transfers; a sixth and a seventh come after it."""
    path, _ = make_backup(used, tmp_path / "b", now_ms=NOW_MS, program="1.2.3", show=lambda *_: None, pace=NoTime())
    sell(used, 6)
    sell(used, 7)
    return path


def lose(folder):
    """The ledger is gone, with all that lies beside it."""
    for name in names(folder.path):
        if name.startswith("ledger.db"):
            (folder.path / name).unlink()


def put_back(backup, folder, **options):
    return restore(backup, folder, now_ms=LATER_MS, show=lambda *_: None, **options)


def holds(folder):
    with contextlib.closing(SqliteStore(folder.ledger_path, readonly=True)) as store:
        assert [check for check in verify(store) if not check.ok] == []
    return True


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.path.iterdir() if path.name != "lock"}


# -------------------------------------------------------------------------------------------- what comes back


def test_a_lost_ledger_comes_back_under_a_new_history(used, backup):
    kek, config = load_kek(used.kek_path), used.config_path.read_bytes()
    lose(used)
    done = put_back(backup, used)
    assert transfers(used.ledger_path) == transfers(backup)
    assert holds(used)
    assert (done.newest_seq, done.taken_at_ms, done.moved_aside) == (5, NOW_MS, [])
    with ledger_of(used) as ledger:
        assert (ledger.head_seq, ledger.history) == (5, done.history)
        assert done.history > 1
        assert ledger.next_epoch() > 1_000_000
        assert ledger.store.execute("SELECT opened_at_ms, first_seq FROM histories") == [(LATER_MS, 6)]
    assert (load_kek(used.kek_path), used.config_path.read_bytes()) == (kek, config)
    assert stat.S_IMODE(used.ledger_path.stat().st_mode) == 0o600
    assert names(used.path) == ["fanka.toml", "kek.key", "ledger.db", "lock"]


def test_the_backup_is_not_touched_and_may_be_used_again(used, backup, tmp_path):
    before = backup.read_bytes()
    for number in (1, 2):
        put_back(backup, DataFolder(tmp_path / f"new {number}"), kek=used.kek_path)
    assert backup.read_bytes() == before
    assert names(tmp_path) == ["b", "new 1", "new 2", "used"]


def test_a_new_folder_has_everything_a_host_needs(used, backup, tmp_path):
    folder = DataFolder(tmp_path / "deep" / "new")
    put_back(backup, folder, kek=used.kek_path)
    assert folder.config_path.read_bytes() == used.config_path.read_bytes()
    assert load_kek(folder.kek_path) == load_kek(used.kek_path)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    for path in (folder.kek_path, folder.ledger_path, folder.config_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sell(folder, 6)
    assert holds(folder)


@pytest.mark.parametrize("is_newest_schema", [True, False])
def test_a_backup_put_in_the_ledgers_place_by_hand_is_not_served(used, backup, tmp_path, monkeypatch, is_newest_schema):
    """Its history would be that of the lost host: what was sold since would be missing, and no terminal bring it back.

    It is refused before it is touched, so that it can be restored as it is.
    """
    used.ledger_path.unlink()
    shutil.copy(backup, used.ledger_path)
    if not is_newest_schema:
        newer = [*migrate.available(), migrate.Migration(99, "0099_newer.sql", "CREATE TABLE newer (one INTEGER);")]
        monkeypatch.setattr(migrate, "available", lambda: newer)
    with pytest.raises(StoreRefused, match="found a backup; move it elsewhere, then `fanka restore` it"):
        open_store(used, load_config(used.config_path))
    assert used.ledger_path.read_bytes() == backup.read_bytes()
    used.ledger_path.rename(tmp_path / "moved")
    assert put_back(tmp_path / "moved", used).history == 2


def test_what_the_backup_says_of_itself_does_not_stay_in_the_ledger(used, backup):
    lose(used)
    put_back(backup, used)
    with ledger_of(used) as ledger:
        registry = Registry(ledger.store)
        assert registry.meta(MANIFEST) is None
        assert registry.meta(CONFIG) is None


def test_a_plain_copy_with_its_log_is_restored_too(used, tmp_path):
    """Somebody saved the files of a dead host: ledger.db is not all of it."""
    with ledger_of(used) as ledger:
        sell_on(ledger, 6)
        saved = tmp_path / "saved"
        shutil.copytree(used.path, saved)
    lose(used)
    done = put_back(saved / "ledger.db", used)
    assert (done.newest_seq, done.taken_at_ms) == (6, 0)
    assert holds(used)


# ------------------------------------------------------------------------------------------ what stands there


def test_a_ledger_that_is_there_stays(fanka, used, backup):
    before = snapshot(used)
    assert "with --replace it is moved aside first" in fanka.error("restore", backup, used.path)
    assert snapshot(used) == before


def test_replaced_it_is_kept_under_another_name(used, backup):
    rows = transfers(used.ledger_path)
    done = put_back(backup, used, replace=True)
    aside = used.path / "ledger.db.before-restore-1"
    assert done.moved_aside[0] == str(aside)
    assert transfers(used.ledger_path) == transfers(backup)
    assert transfers(aside) == rows
    sell(used, 8)
    second = put_back(backup, used, replace=True)
    assert second.moved_aside[0] == str(used.path / "ledger.db.before-restore-2")
    assert transfers(aside) == rows


def test_the_log_goes_with_its_ledger(used, backup):
    """After a kill the newest sales are only in the log: beside the restored ledger they would be taken for its own."""
    with ledger_of(used) as ledger:
        sell_on(ledger, 8)
        left = {path.name: path.read_bytes() for path in used.path.iterdir() if path.name.startswith("ledger.db")}
    lose(used)
    for name, content in left.items():
        (used.path / name).write_bytes(content)
    assert len(left["ledger.db-wal"]) > 0
    done = put_back(backup, used, replace=True)
    aside = used.path / "ledger.db.before-restore-1"
    assert [os.path.basename(path) for path in done.moved_aside] == [
        aside.name,
        f"{aside.name}-wal",
        f"{aside.name}-shm",
    ]
    assert [row[0] for row in transfers(aside)] == list(range(1, 9))
    assert transfers(used.ledger_path) == transfers(backup)
    assert holds(used)


def test_a_log_without_its_ledger_is_moved_away(used, backup):
    with ledger_of(used) as ledger:
        sell_on(ledger, 8)
        log = (used.path / "ledger.db-wal").read_bytes()
    lose(used)
    (used.path / "ledger.db-wal").write_bytes(log)
    done = put_back(backup, used)
    assert done.moved_aside == [str(used.path / "ledger.db.before-restore-1-wal")]
    assert (used.path / "ledger.db.before-restore-1-wal").read_bytes() == log
    assert transfers(used.ledger_path) == transfers(backup)
    assert holds(used)


def test_a_folder_of_something_else_is_refused(fanka, used, backup, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("")
    assert "found thesis.tex in it and no fanka.toml" in fanka.error("restore", backup, other, "--kek", used.kek_path)
    assert "expected a data folder or a new one, found a file" in fanka.error("restore", backup, backup)
    assert names(other) == ["thesis.tex"]


def test_a_running_host_is_in_the_way(used, backup):
    lose(used)
    with used.locked("fanka serve"), pytest.raises(FolderError, match="in use by fanka serve"):
        put_back(backup, used)
    assert not used.ledger_path.exists()


def test_its_own_ledger_is_no_backup(fanka, used):
    before = snapshot(used)
    assert "got the folder's own ledger" in fanka.error("restore", used.ledger_path, used.path, "--replace")
    assert snapshot(used) == before


# --------------------------------------------------------------------------------------------------- refusals


def damage(backup, sql):
    with contextlib.closing(SqliteStore(backup, create=False)) as store:
        store.execute(sql)


def test_a_backup_that_fails_its_checks_is_refused(fanka, used, backup):
    damage(backup, "UPDATE transfers SET operator = 99 WHERE seq = 3")
    before = snapshot(used)
    assert fanka("restore", backup, used.path, "--replace") == 1
    assert "BAD  hash_chain" in fanka.out
    assert "transfer 3: its digest" in fanka.out
    assert "nothing was restored" in fanka.out
    assert snapshot(used) == before
    lose(used)
    assert fanka("restore", backup, used.path, "--json") == 1
    found = json.loads(fanka.out)
    assert found["ledger"] is None
    assert [check["name"] for check in found["checks"]] == ["hash_chain"]
    assert names(used.path) == ["fanka.toml", "kek.key", "lock"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE customers SET name = 'Eve' WHERE student_number = 'S1'",
        "UPDATE cards SET account_id = 1000001",
        "UPDATE cards SET status = 2",
        "UPDATE terminals SET wrapped_key = zeroblob(40)",
        "UPDATE meta SET value = '99' WHERE name = 'kek_rewrapped_to'",
        "UPDATE business_days SET opened_at_ms = 1",
        "DELETE FROM cards",
    ],
)
def test_what_no_transfer_speaks_of_is_noticed_in_a_backup(fanka, used, backup, sql):
    """In a ledger the office changes it every day; in a backup nobody does."""
    with contextlib.closing(SqliteStore(backup, create=False)) as store:
        store.execute("INSERT INTO meta VALUES ('kek_rewrapped_to', '7')")
        changed = registry_digest(backup)
    shutil.copy(backup, used.path.parent / "other")
    with contextlib.closing(SqliteStore(backup, create=False)) as store:
        store.execute(
            "UPDATE meta SET value = json_set(value, '$.registry_digest', ?) WHERE name = ?", (changed, MANIFEST)
        )
    assert fanka("verify", backup) == 0
    assert "ok   backup_whole" in fanka.out
    damage(backup, sql)
    assert fanka("verify", backup) == 1
    assert "BAD  backup_whole" in fanka.out
    assert fanka("restore", backup, used.path, "--replace") == 1
    assert "who is who" in fanka.out


@pytest.mark.slow
def test_no_flipped_bit_is_restored(used, backup):
    """A bad sector, wherever it is: either it is noticed, or it lies where nothing is."""
    lose(used)
    content, expected = backup.read_bytes(), rows_of_all(backup)
    random = Random(20260910)
    refused = 0
    for _ in range(FLIPS):
        bit = random.randrange(len(content) * 8)
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        backup.write_bytes(flipped)
        try:
            put_back(backup, used)
        except (BackupBad, BackupError, StoreError, KeyFault):
            refused += 1
            assert not used.ledger_path.exists()
        else:
            assert rows_of_all(used.ledger_path) == expected, bit
            lose(used)
    assert refused > FLIPS / 20


def rows_of_all(path):
    with contextlib.closing(SqliteStore(path, readonly=True)) as store:
        return {table.name: sorted(store.execute(f"SELECT * FROM {table.name}")) for table in TABLES[2:]}


def test_what_is_no_backup(fanka, used, backup, tmp_path):
    lose(used)
    assert "expected a backup file, found none" in fanka.error("restore", tmp_path / "no", used.path)
    (tmp_path / "x").write_text("no database at all, but long enough to look at " * 20)
    assert "expected a Fanka ledger" in fanka.error("restore", tmp_path / "x", used.path)
    (tmp_path / "cut").write_bytes(backup.read_bytes()[:6000])
    assert fanka("restore", tmp_path / "cut", used.path) in (1, 2)
    damage(backup, f"UPDATE meta SET value = '[]' WHERE name = '{MANIFEST}'")
    assert "manifest: expected what a backup says about itself" in fanka.error("restore", backup, used.path)
    assert names(used.path) == ["fanka.toml", "kek.key", "lock"]


@pytest.fixture
def other_kek(tmp_path):
    path = tmp_path / "other.key"
    path.write_text("ab" * 32)
    path.chmod(0o600)
    return path


def test_the_key_must_be_the_ledgers(fanka, used, backup, other_kek, tmp_path):
    lose(used)
    new = tmp_path / "new"
    assert "name its copy with --kek FILE" in fanka.error("restore", backup, new)
    assert "which is in none of" in fanka.error("restore", backup, new, "--kek", other_kek)
    assert names(new) == ["lock"]
    other_kek.chmod(0o644)
    assert "expected permissions 0600" in fanka.error("restore", backup, new, "--kek", other_kek)
    other_kek.chmod(0o600)
    other_kek.replace(used.kek_path)
    assert "name the copy of that key with --kek FILE" in fanka.error("restore", backup, used.path)
    assert names(used.path) == ["fanka.toml", "kek.key", "lock"]


def test_a_key_from_before_a_change_is_put_beside_the_one_in_force(used, backup, other_kek, tmp_path):
    """The host takes it by its fingerprint, and makes it the one in force."""
    before = load_kek(used.kek_path)
    shutil.copy(used.kek_path, tmp_path / "old.key")
    lose(used)
    other_kek.replace(used.kek_path)
    put_back(backup, used, kek=tmp_path / "old.key")
    assert load_kek(used.kek_path) == bytes.fromhex("ab" * 32)
    retired = KekFiles(used.kek_path).retired()
    assert [load_kek(path) for path in retired] == [before]
    with open_directly(used) as admin:
        assert admin.keys.show()["fingerprint"] == fingerprint_of(before)
    assert load_kek(used.kek_path) == before


def test_a_retired_key_that_is_still_there_is_found(used, backup, other_kek):
    lose(used)
    before = load_kek(used.kek_path)
    used.kek_path.rename(used.path / f"kek.key.{fingerprint_of(before)}.old")
    other_kek.replace(used.kek_path)
    put_back(backup, used)
    with open_directly(used):
        pass
    assert load_kek(used.kek_path) == before


def test_a_backup_from_the_midst_of_a_change_needs_both_keys(fanka, used, other_kek, tmp_path):
    coming = bytes.fromhex("ab" * 32)
    with ledger_of(used) as ledger, ledger.store.transaction():
        Registry(ledger.store).set_meta("kek_next_fingerprint", fingerprint_of(coming))
    backup, _ = make_backup(used, tmp_path / "b", now_ms=NOW_MS, program="1", show=lambda *_: None, pace=NoTime())
    keys = tmp_path / "keys"
    keys.mkdir()
    shutil.copy(used.kek_path, keys / "kek.key")
    new = DataFolder(tmp_path / "new")
    assert fingerprint_of(coming) in fanka.error("restore", backup, new.path, "--kek", keys / "kek.key")
    other_kek.replace(keys / "kek.key.new")
    put_back(backup, new, kek=keys / "kek.key")
    assert load_kek(new.kek_path) == load_kek(used.kek_path)
    assert load_kek(KekFiles(new.kek_path).next_path) == coming


def test_a_refused_restore_may_be_tried_again(fanka, used, backup, tmp_path):
    new = tmp_path / "new"
    assert "name its copy" in fanka.error("restore", backup, new)
    assert fanka("restore", backup, new, "--kek", used.kek_path) == 0
    assert holds(DataFolder(new))


def test_no_ledger_gets_its_name_before_its_history_is_raised(used, backup, monkeypatch):
    lose(used)

    def fail(*_):
        raise OSError("the power is gone")

    monkeypatch.setattr(server.restore.Ledger, "open_history", fail)
    with pytest.raises(OSError, match="the power"):
        put_back(backup, used)
    assert names(used.path) == ["fanka.toml", "kek.key", "lock"]


def test_everything_is_on_the_disk_before_the_ledger_gets_its_name(used, backup, monkeypatch):
    """Also that the old ledger is out of the way: first it, then its log, each for good before the next."""
    with ledger_of(used) as ledger:
        sell_on(ledger, 8)
        left = {path.name: path.read_bytes() for path in used.path.iterdir() if path.name.startswith("ledger.db")}
    for name, content in left.items():
        (used.path / name).write_bytes(content)
    done = []

    def watch(name, describe):
        real = getattr(os, name)

        def call(*arguments, **options):
            done.append(f"{name} {describe(arguments[0])}")
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    watch("fsync", lambda descriptor: os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
    for name in ("rename", "unlink", "link"):
        watch(name, os.path.basename)
    put_back(backup, used, replace=True)
    steps = done[done.index("fsync ledger.db.restoring", done.index("fsync ledger.db.restoring") + 1) :]
    assert steps[: steps.index("rename ledger.db.restoring") + 2] == [
        "fsync ledger.db.restoring",
        "fsync used",
        "link ledger.db",
        "link ledger.db-wal",
        "link ledger.db-shm",
        "fsync used",
        "unlink ledger.db",
        "fsync used",
        "unlink ledger.db-wal",
        "fsync used",
        "unlink ledger.db-shm",
        "fsync used",
        "rename ledger.db.restoring",
        "fsync used",
    ]


def test_a_backup_of_an_older_program_is_brought_up_to_date(used, backup, monkeypatch):
    known = migrate.available()
    later = migrate.Migration(known[-1].number + 1, "later.sql", "CREATE TABLE later (x INTEGER PRIMARY KEY) STRICT;")
    monkeypatch.setattr(migrate, "available", lambda: [*known, later])
    before = backup.read_bytes()
    lose(used)
    put_back(backup, used)
    with ledger_of(used) as ledger:
        assert ledger.store.execute("SELECT count(*) FROM later") == [(0,)]
    assert backup.read_bytes() == before


def test_a_backup_of_a_newer_program_is_refused(fanka, used, backup, monkeypatch):
    known = migrate.available()
    monkeypatch.setattr(migrate, "available", lambda: known[:-1])
    lose(used)
    assert "this program is too old for it" in fanka.error("restore", backup, used.path)
    assert names(used.path) == ["fanka.toml", "kek.key", "lock"]


# ---------------------------------------------------------------------------------------------------- telling


def test_the_command_tells_what_comes_back_and_what_does_not(fanka, used, backup, tmp_path):
    assert fanka("restore", backup, used.path, "--replace") == 0
    assert f"restored: {used.ledger_path}, all checks hold, history " in fanka.out
    assert f"moved aside: {used.ledger_path}.before-restore-1" in fanka.out
    assert "the backup was made 2026-09-10 08:26:40 (UTC+08:00), " in fanka.out
    assert "newest transfer: 5 on business day" in fanka.out
    assert "comes back by itself: every sale and reversal" in fanka.out
    assert "does not come back: what was done at the office" in fanka.out
    found = fanka.json("restore", backup, tmp_path / "new", "--kek", used.kek_path)
    assert (found["newest_seq"], found["taken_at_ms"], found["moved_aside"]) == (5, NOW_MS, [])
    assert newest(DataFolder(tmp_path / "new")).stan == 2


def test_a_full_disk_is_named(fanka, used, backup, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    lose(used)
    monkeypatch.setattr("server.restore._sync_file", full)
    said = f'{used.path}: expected room on the disk, got "No space left on device"; make some'
    assert fanka.error("restore", backup, used.path) == said
