"""Backup of a ledger in PostgreSQL: an embedded ledger file like any other, restored into a file or a database."""

from __future__ import annotations

import contextlib
import json

import pytest

import server.restore
from server.config import load_config
from server.folder import DataFolder
from server.ledger.copy import TABLES
from server.ledger.store import StoreRefused
from server.ledger.verify import verify
from server.stores import open_ledger, open_postgres, open_store
from tests.postgres import shared_server
from tests.server.busy_folder import busy_folder, ledger_of, sell, sell_on
from tests.tools.test_backup import NOW_MS, back_up, names
from tests.tools.test_restore import put_back


@pytest.fixture
def dsn():
    return shared_server().new_database()


@pytest.fixture
def used(tmp_path, dsn):
    """A folder whose ledger is in a database."""
    return busy_folder(tmp_path / "used", dsn)


def contents(ledger):
    """Every row of a ledger, apart from what a restore changes."""
    with contextlib.closing(open_ledger(ledger)) as store:
        return {
            table.name: store.execute(f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {table.key}")
            for table in TABLES
            if table.name not in ("meta", "histories")
        }


def move_to(folder, dsn):
    """The folder's ledger is in another database from now on."""
    lines = folder.config_path.read_text().splitlines()
    changed = [f'postgres = "{dsn}"' if line.startswith("postgres = ") else line for line in lines]
    folder.config_path.write_text("\n".join(changed) + "\n")


def assert_restored(folder, backup, done):
    assert contents(folder) == contents(backup)
    assert done.newest_seq == 5
    with contextlib.closing(open_ledger(folder)) as store:
        assert [check for check in verify(store) if not check.ok] == []
    with ledger_of(folder) as ledger:
        assert ledger.history == done.history > 1
        assert sell_on(ledger, 9).rrn == 6


@pytest.mark.slow
def test_it_is_an_embedded_file_made_while_the_host_writes(used, tmp_path):
    before = contents(used)
    with ledger_of(used) as ledger:

        def sell_meanwhile(what, done, _total):
            if what == "copying" and done:
                sell_on(ledger, 100 + done)

        path, manifest = back_up(used, tmp_path / "b", show=sell_meanwhile)
        assert ledger.head_seq > 5
    assert contents(path) == before
    assert path.read_bytes()[18:20] == b"\x01\x01"
    assert (manifest.store, manifest.newest_seq) == ("postgres", 5)
    assert names(tmp_path) == ["b", "used"]


@pytest.mark.slow
def test_into_an_empty_database(used, tmp_path):
    path, _ = back_up(used, tmp_path / "b")
    sell(used, 7)
    move_to(used, shared_server().new_database())
    done = put_back(path, used)
    assert "5432" in done.ledger or "fanka" in done.ledger
    assert_restored(used, path, done)
    assert not used.ledger_path.exists()
    assert names(used.path) == ["fanka.toml", "kek.key", "lock"]


@pytest.mark.slow
def test_into_a_file_and_from_there_into_a_database(used, tmp_path):
    path, _ = back_up(used, tmp_path / "b")
    move_to(used, "")
    done = put_back(path, used)
    assert_restored(used, path, done)
    again, manifest = back_up(used, tmp_path / "c")
    assert manifest.store == "embedded"
    move_to(used, shared_server().new_database())
    second = put_back(again, used)
    assert contents(used) == contents(again)
    assert second.history > done.history
    assert used.ledger_path.exists(), "what the folder had before is not touched"


@pytest.mark.slow
def test_a_database_in_use_is_not_written_over(fanka, used, tmp_path, dsn):
    path, _ = back_up(used, tmp_path / "b")
    sell(used, 7)
    before = contents(used)
    assert "expected an empty ledger to copy into" in fanka.error("restore", path, used.path, "--replace")
    assert contents(used) == before


@pytest.mark.slow
def test_a_failure_leaves_the_database_empty(used, tmp_path):
    path, _ = back_up(used, tmp_path / "b")
    dsn = shared_server().new_database()
    move_to(used, dsn)

    def fail(what, _done, _total):
        if what == "filling":
            raise OSError("the power is gone")

    with pytest.raises(OSError, match="the power"):
        server.restore.restore(path, used, now_ms=NOW_MS, show=fail)
    with contextlib.closing(open_postgres(dsn)) as store:
        assert store.head()[0] == 0
        assert store.execute("SELECT count(*) FROM customers") == [(0,)]
    assert_restored(used, path, put_back(path, used))


@pytest.mark.slow
def test_what_a_killed_restore_has_begun_is_not_served(used, tmp_path):
    """Its tables are there before its rows: an empty ledger in the place of the lost one, were it not for the mark."""
    path, _ = back_up(used, tmp_path / "b")
    move_to(used, shared_server().new_database())

    def kill(what, _done, _total):
        if what == "filling":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        server.restore.restore(path, used, now_ms=NOW_MS, show=kill)
    for readonly in (False, True):
        with pytest.raises(StoreRefused, match="a restore that was interrupted; do it again"):
            open_store(used, load_config(used.config_path), readonly=readonly)
    assert_restored(used, path, put_back(path, used))


@pytest.mark.slow
def test_the_command(fanka, used, tmp_path):
    assert fanka("backup", used.path, "--to", tmp_path / "b", "--json") == 0
    assert json.loads(fanka.out)["store"] == "postgres"
    new = DataFolder(tmp_path / "new")
    assert "expected an empty ledger" in fanka.error("restore", tmp_path / "b", new.path, "--kek", used.kek_path)
    move_to(new, shared_server().new_database())
    assert fanka("restore", tmp_path / "b", new.path) == 0
    assert fanka("verify", new.path) == 0
