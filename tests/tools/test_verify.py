"""`fanka verify`: exit code, JSON that scripts rely on, files that are no ledger."""

from __future__ import annotations

import json
import shutil

import pytest

from server.ledger.checks import CHECKS
from server.ledger.sqlite import SqliteStore


@pytest.fixture
def used(fanka, folder):
    """A folder with one transfer in it."""
    fanka("admin", "card", "issue", "04A1", "S1", "张三")
    fanka("admin", "account", "topup", "S1", "5")
    return folder


def test_all_holds(fanka, used):
    assert fanka("verify") == 0
    assert fanka.out.endswith("all checks hold\n")
    assert fanka("verify", used.path) == 0
    found = fanka.json("verify", used.path)
    assert found["ok"] is True
    assert len(found["checks"]) == len(CHECKS)
    assert found["newest"]["seq"] == 1
    store = SqliteStore(used.ledger_path, readonly=True)
    assert found["newest"]["digest"] == store.head()[1].hex()
    store.close()
    fanka("verify")
    assert f"newest transfer: 1, digest {found['newest']['digest']}\n" in fanka.out
    assert all(check.keys() == {"name", "ok", "detail"} and check["ok"] is True for check in found["checks"])


def test_a_broken_row_is_named(fanka, used):
    store = SqliteStore(used.ledger_path)
    store.execute("UPDATE accounts SET balance_fen = 600 WHERE account_id = 1000000")
    store.close()
    assert fanka("verify") == 1
    assert "BAD  stored_balances" in fanka.out
    assert "account 1000000: expected 500 fen" in fanka.out
    assert f"2 of {len(CHECKS)} checks fail" in fanka.out
    assert fanka("verify", "--json") == 1
    assert [check["name"] for check in json.loads(fanka.out)["checks"] if not check["ok"]] == [
        "stored_balances",
        "conservation",
    ]


def test_a_digest_kept_elsewhere(fanka, used):
    newest = fanka.json("verify")["newest"]
    kept = f"{newest['seq']}:{newest['digest']}"
    assert fanka("verify", "--expect", kept, "--expect", kept[:18].upper()) == 0
    assert "2 digests kept elsewhere are in the chain" in fanka.out
    found = fanka.json("verify", used.path, "--expect", kept)
    assert (found["checks"][-1]["name"], len(found["checks"])) == ("expected_digests", len(CHECKS) + 1)
    assert fanka("verify", "--expect", "2:" + "00" * 8) == 1
    assert (
        "BAD  expected_digests          transfer 2: expected digest 0000000000000000, the journal ends at 1"
        in fanka.out
    )
    assert fanka("verify", "--expect", "1:" + "00" * 32) == 1
    assert f"got {newest['digest']}" in fanka.out


@pytest.mark.parametrize(
    "text", ["", "5", "1:abc", "1:" + "a" * 17, "x:" + "a" * 16, "1:" + "a" * 65, "-1:" + "a" * 16]
)
def test_what_is_no_digest(fanka, used, text):
    assert "expected SEQ:DIGEST" in fanka.error("verify", f"--expect={text}")


def test_beside_a_process_that_writes(fanka, used):
    store = SqliteStore(used.ledger_path)
    with used.locked("fanka serve"):
        assert fanka("verify") == 0
    store.close()


def test_what_a_killed_host_leaves_behind(fanka, used, tmp_path):
    store = SqliteStore(used.ledger_path)
    with store.transaction():
        store.execute("INSERT INTO meta VALUES ('x', 'y')")
    left = tmp_path / "left"
    shutil.copytree(used.path, left)  # with the write-ahead log as it is now
    store.close()
    assert (left / "ledger.db-wal").stat().st_size > 0
    assert fanka("verify", left) == 0


def test_a_backup_file_by_its_name(fanka, used, tmp_path):
    shutil.copy(used.ledger_path, tmp_path / "backup.db")
    assert fanka("verify", tmp_path / "backup.db") == 0


def test_what_is_no_ledger(fanka, tmp_path):
    (tmp_path / "x.db").write_text("no database at all, but long enough to look at " * 20)
    assert "x.db: expected a Fanka ledger" in fanka.error("verify", tmp_path / "x.db")
    assert "expected a data folder" in fanka.error("verify", tmp_path)


def test_a_ledger_cut_short(fanka, used, tmp_path):
    data = used.ledger_path.read_bytes()
    (tmp_path / "cut.db").write_bytes(data[: len(data) // 2])
    code = fanka("verify", tmp_path / "cut.db")
    assert code != 0
