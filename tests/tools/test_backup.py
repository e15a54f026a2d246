"""`fanka backup`: one whole, checked, private file, also while the host writes; and nothing at all when it fails."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat

import pytest

import server.backup
import server.ledger.sqlite_copy
from server.backup import BackupBad, BackupError, Manifest, make_backup, read_manifest
from server.keys import KeyRing, load_kek
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.ledger.sqlite_copy import CONFIG, registry_digest
from tests.server.busy_folder import TERMINAL, busy_folder, ledger_of, sell, sell_on

NOW_MS = 1_789_000_000_000
NAME = "ledger-20260910T002640Z.backup"  # the same moment, UTC


@pytest.fixture
def used(tmp_path, monkeypatch):
    folder = busy_folder(tmp_path / "used")
    monkeypatch.setenv("FANKA_DATA", str(folder.path))
    return folder


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "backups"
    place.mkdir()
    return place


@pytest.fixture
def small_steps(monkeypatch):
    """A page at a time, and each of them synced: what a large ledger's copy does every few MiB."""
    monkeypatch.setattr(server.ledger.sqlite_copy, "STEP_PAGES", 1)
    monkeypatch.setattr(server.backup, "SYNC_BYTES", 1)


class NoTime:
    """A clock that only moves when it is looked at or slept on."""

    def __init__(self):
        self.slept_s = []
        self.time_s = 0.0

    def now_s(self):
        self.time_s += 0.25
        return self.time_s

    def sleep(self, seconds):
        self.slept_s.append(seconds)


def back_up(folder, to, *, show=lambda *_: None, pace=None, now_ms=NOW_MS):
    return make_backup(folder, to, now_ms=now_ms, program="1.2.3", show=show, pace=pace or NoTime())


@contextlib.contextmanager
def opened(path):
    with contextlib.closing(SqliteStore(path, readonly=True)) as store:
        yield store


def transfers(path):
    with opened(path) as store:
        return store.execute("SELECT * FROM transfers ORDER BY seq")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------------------- what it is


def test_it_is_one_private_file_with_every_row(used, place):
    path, _ = back_up(used, place / "b")
    assert names(place) == ["b"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert transfers(path) == transfers(used.ledger_path)
    assert path.read_bytes()[18:20] == b"\x01\x01", "not in WAL mode: reading it must not make files beside it"
    assert names(place) == ["b"]


def test_it_tells_about_itself(used, place):
    path, manifest = back_up(used, place / "b")
    with opened(used.ledger_path) as store:
        seq, digest = store.head()
        day = Registry(store).days(1)[0].day
    assert manifest == Manifest(
        taken_at_ms=NOW_MS,
        newest_seq=seq,
        newest_digest=digest.hex(),
        business_day=day,
        epoch=0,
        history=1,
        kek_fingerprint=KeyRing(load_kek(used.kek_path)).fingerprint,
        program="1.2.3",
        store="embedded",
        registry_digest=registry_digest(used.ledger_path),
    )
    with opened(path) as store:
        assert read_manifest(store) == manifest
        assert Registry(store).meta(CONFIG) == used.config_path.read_text()
    with opened(used.ledger_path) as store:
        assert read_manifest(store) is None


def test_it_reveals_no_key(used, place):
    with ledger_of(used) as ledger:
        [[wrapped]] = ledger.store.execute("SELECT wrapped_key FROM terminals WHERE terminal_id = ?", (TERMINAL,))
    kek = load_kek(used.kek_path)
    path, _ = back_up(used, place / "b")
    content = path.read_bytes()
    assert wrapped in content
    for secret in (kek, KeyRing(kek).unwrap(wrapped)):
        assert secret not in content
        assert secret.hex().encode() not in content.lower()


def test_the_command_says_what_was_done_and_what_is_not_in_it(fanka, used, place):
    assert fanka("backup", "--to", place / "b") == 0
    assert f"backup: {place / 'b'}, " in fanka.out
    assert "kek.key is not in it" in fanka.out
    assert "it is on the ledger's own disk, and is lost with it" in fanka.out
    assert "newest transfer: 5, digest " in fanka.out
    assert fanka("verify", place / "b") == 0
    found = fanka.json("backup", used.path, "--to", place / "c")
    assert found["newest_seq"] == 5
    assert found["bytes"] == (place / "c").stat().st_size
    assert names(place) == ["b", "c"]


# ------------------------------------------------------------------------------------ while the host writes


def test_it_is_a_snapshot_however_much_is_sold_meanwhile(used, place, small_steps):
    before = transfers(used.ledger_path)
    steps = []
    with ledger_of(used) as ledger:

        def sell_meanwhile(what, done, total):
            if what == "copying":
                steps.append((done, total))
                sell_on(ledger, 100 + len(steps))

        path, manifest = back_up(used, place / "b", show=sell_meanwhile)
        assert ledger.head_seq == len(before) + len(steps)
    total = steps[0][1]
    assert steps == [(done, total) for done in range(1, total + 1)], "it never had to begin anew"
    assert total > 10
    assert transfers(path) == before
    assert manifest.newest_seq == len(before)


def test_what_only_the_log_has_is_in_it(used, place):
    with ledger_of(used) as ledger:
        sell_on(ledger, 50)
        path, manifest = back_up(used, place / "b")
        assert manifest.newest_seq == ledger.head_seq
        assert transfers(path) == transfers(used.ledger_path)


def test_the_log_can_be_begun_anew_afterwards(used, place):
    with ledger_of(used) as ledger:
        sell_on(ledger, 50)
        back_up(used, place / "b")
        [(busy, frames, copied)] = ledger.store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert (busy, frames, copied) == (0, 0, 0)


def test_it_goes_to_the_disk_in_pieces_with_pauses(used, place, small_steps, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    pace = NoTime()
    pages = []

    def note(what, done, _total):
        if what == "copying":
            pages.append(done)

    back_up(used, place / "b", pace=pace, show=note)
    assert len(synced) == len(pages)
    assert pace.slept_s == [0.25] * len(pages), "as long as the piece took, by a clock that says 0.25 s each time"


@pytest.mark.parametrize("words", [("backup", "--to", "b"), ("verify",)])
def test_the_long_jobs_let_the_host_go_first(fanka, used, place, monkeypatch, words):
    lowered = []
    monkeypatch.setattr(os, "nice", lowered.append)
    monkeypatch.chdir(place)
    assert fanka(*words) == 0
    assert lowered == [19]


def test_a_slow_disk_is_not_waited_for_without_end(used, place, small_steps):
    class Slow(NoTime):
        def now_s(self):
            self.time_s += 100
            return self.time_s

    pace = Slow()
    back_up(used, place / "b", pace=pace)
    assert set(pace.slept_s) == {server.backup.PAUSE_MAX_S}


def test_everything_is_on_the_disk_before_it_gets_its_name(used, place, monkeypatch):
    done = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor):
        done.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real_fsync(descriptor)

    def rename(old, new):
        done.append("rename")
        real_rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    back_up(used, place / "b")
    assert done == [str(place / "b.unfinished"), "rename", str(place)]


# ----------------------------------------------------------------------------------------- when it fails


@pytest.mark.parametrize("there", ["file", "link"])
def test_it_never_overwrites(fanka, used, place, there):
    if there == "file":
        (place / "b").write_text("precious")
    else:
        (place / "b").symlink_to(place / "nowhere")
    assert "expected a new name, found a file" in fanka.error("backup", "--to", place / "b")
    assert names(place) == ["b"]
    assert not (place / "nowhere").exists()


def test_a_name_that_was_taken_meanwhile(used, place):
    def take(what, _done, _total):
        if what == "checking":
            (place / "b").write_text("precious")

    with pytest.raises(BackupError, match="expected a new name"):
        back_up(used, place / "b", show=take)
    assert (place / "b").read_text() == "precious"
    assert names(place) == ["b"]


def test_words_that_make_no_sense(fanka, used, place, tmp_path):
    assert "expected --to FILE or --to FOLDER" in fanka.error("backup")
    assert "--keep: expected --to to name a folder" in fanka.error("backup", "--to", place / "b", "--keep", 2)
    assert "expected a folder to put the backup into" in fanka.error("backup", "--to", place / "no" / "b")
    assert "expected a data folder" in fanka.error("backup", tmp_path, "--to", place)
    assert names(place) == []


def test_a_ledger_that_is_lost(fanka, used, place):
    used.ledger_path.unlink()
    assert "expected a ledger file, found none" in fanka.error("backup", "--to", place / "b")
    used.ledger_path.write_text("no database at all, but long enough to look at " * 20)
    assert "expected a Fanka ledger" in fanka.error("backup", "--to", place / "b")
    assert names(place) == []


def test_books_that_do_not_hold_make_no_backup(fanka, used, place):
    back_up(used, place)
    with ledger_of(used) as ledger:
        ledger.store.execute("UPDATE accounts SET balance_fen = 600 WHERE account_id = 1000000")
    assert fanka("backup", "--to", place, "--keep", 1) == 1
    assert "BAD  stored_balances" in fanka.out
    assert "no backup was made" in fanka.out
    assert names(place) == [NAME], "the old one is not deleted for a new one that is none"
    assert fanka("backup", "--to", place, "--json") == 1
    found = json.loads(fanka.out)
    assert found["backup"] is None
    assert [check["name"] for check in found["checks"]] == ["stored_balances", "conservation"]
    with pytest.raises(BackupBad, match="account 1000000: expected 9900 fen"):
        back_up(used, place / "b")


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_disk_that_fails_leaves_nothing(fanka, used, place, monkeypatch, call):
    def fail(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device", str(place / "b.unfinished"))

    monkeypatch.setattr(os, call, fail)
    assert "expected room on the disk" in fanka.error("backup", "--to", place / "b")
    assert names(place) == []


def test_what_a_killed_backup_left_is_done_away_with(used, place):
    (place / "b.unfinished").write_text("half a ledger" * 1000)
    (place / "b.unfinished-journal").write_text("and its journal")
    back_up(used, place / "b")
    assert names(place) == ["b"]
    assert transfers(place / "b") == transfers(used.ledger_path)


def test_two_at_a_time_under_one_name(used, place):
    with (place / "b.unfinished").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="another backup to this name is under way"):
            back_up(used, place / "b")
    assert names(place) == ["b.unfinished"]


def test_one_that_ends_while_the_next_begins_under_its_name_stays_whole(used, place, monkeypatch):
    """The next has opened the unfinished file; before it has the lock, that file gets its name and the lock is free."""
    back_up(used, place / "first")
    whole = (place / "first").read_bytes()
    (place / "first").rename(place / "b.unfinished")
    lock = fcntl.flock

    def lock_late(descriptor, operation):
        monkeypatch.setattr(fcntl, "flock", lock)
        (place / "b.unfinished").rename(place / "b")
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with pytest.raises(BackupError):
        back_up(used, place / "b")
    assert (place / "b").read_bytes() == whole
    assert names(place) == ["b"]


# ---------------------------------------------------------------------------------------- folders and keys


def test_into_a_folder_it_is_called_after_the_time(used, place):
    path, _ = back_up(used, place)
    assert path == place / NAME
    with pytest.raises(BackupError, match="expected a new name"):
        back_up(used, place)


def test_old_backups_go_only_when_the_new_one_is_good(fanka, used, place):
    for day in range(4):
        back_up(used, place, now_ms=NOW_MS + day * 86_400_000)
    (place / "ledger-20200101T000000Z.backup.note").write_text("not a backup")
    (place / "kept.backup").write_text("nor this")
    found = fanka.json("backup", "--to", place, "--keep", 3)
    assert [os.path.basename(gone) for gone in found["deleted"]] == [
        "ledger-20260911T002640Z.backup",
        "ledger-20260910T002640Z.backup",
    ]
    kept = [name for name in names(place) if name.startswith("ledger-2026")]
    assert len(kept) == 3
    assert os.path.basename(found["backup"]) in kept
    assert {"ledger-20200101T000000Z.backup.note", "kept.backup"} < set(names(place))


def test_a_clock_that_went_back_does_not_delete_the_new_one(used, place):
    for day in range(3):
        back_up(used, place, now_ms=NOW_MS + day * 86_400_000)
    made, _ = back_up(used, place, now_ms=0)
    gone = server.backup.prune(place, 2, made)
    assert made.exists()
    assert names(place) == [made.name, "ledger-20260912T002640Z.backup"]
    assert len(gone) == 2


def test_keys_are_copied_on_request_and_apart(fanka, used, place, tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir()
    found = fanka.json("backup", "--to", place, "--keys-to", keys)
    assert found["keys"] == str(keys / "kek.key")
    assert found["keys_fingerprint"] == found["kek_fingerprint"]
    assert load_kek(keys / "kek.key") == load_kek(used.kek_path)
    assert stat.S_IMODE((keys / "kek.key").stat().st_mode) == 0o600
    assert "expected a new name" in fanka.error("backup", "--keys-to", keys)
    assert fanka("backup", "--keys-to", keys / "second") == 0
    assert "keep it apart" in fanka.out


def test_keys_never_lie_beside_a_ledger(fanka, used, place):
    assert "expected a place apart" in fanka.error("backup", "--keys-to", used.path / "copy.key")
    assert "expected a place apart" in fanka.error("backup", "--to", place / "b", "--keys-to", place / "k")
    assert names(place) == []
    back_up(used, place)
    assert "expected a place apart" in fanka.error("backup", "--keys-to", place / "k")
    assert names(place) == [NAME]


def test_keys_are_not_copied_in_the_midst_of_a_change(fanka, used, tmp_path):
    (used.path / "kek.key.new").write_text("ab" * 32)
    assert "keys are being re-wrapped" in fanka.error("backup", "--keys-to", tmp_path / "k")
    assert not (tmp_path / "k").exists()


def test_selling_goes_on_after_a_backup(used, place):
    back_up(used, place / "b")
    sell(used, 60)
    assert len(transfers(used.ledger_path)) == len(transfers(place / "b")) + 1


def test_a_folder_that_is_not_there_is_no_file(fanka, used, tmp_path):
    assert "expected a folder, found none called" in fanka.error("backup", used.path, "--to", f"{tmp_path}/none/")
    assert not (tmp_path / "none").exists()


def test_not_beside_the_ledger_or_the_key(fanka, used, place):
    before = names(used.path)
    for to in (used.path, used.path / "b"):
        assert "expected a place apart from the ledger and kek.key" in fanka.error("backup", used.path, "--to", to)
    assert names(used.path) == before
    (place / "kek.key").touch()
    assert "expected a place apart from the ledger and kek.key" in fanka.error("backup", used.path, "--to", place)
    assert names(place) == ["kek.key"]
