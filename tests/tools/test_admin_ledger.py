"""`fanka admin ledger` as it is typed, and what `fanka doctor` says of a ledger that is an old backup."""

from __future__ import annotations

import contextlib
import json

from server.ledger import rollback
from server.ledger.rollback import Rollback
from server.ledger.sqlite import SqliteStore


def note(folder):
    with contextlib.closing(SqliteStore(folder.ledger_path)) as store:
        rollback.note(store, Rollback(0x0003_003A, 9, 4, 1_789_000_000_000))


def test_show(fanka, folder):
    fanka("admin", "card", "issue", "04A1", "S1", "张三")
    fanka("admin", "account", "topup", "S1", "5")
    assert fanka("admin", "ledger", "show") == 0
    assert "newest transfer: 1 on business day" in fanka.out
    assert "history:         1, epoch 0" in fanka.out
    assert "brought back" not in fanka.out
    assert "ROLLED BACK" not in fanka.out
    found = fanka.json("admin", "ledger", "show")
    assert found["newest_seq"] == 1
    assert "uploaded_sales" not in found


def test_a_rollback_is_shown_until_it_is_recovered_from(fanka, folder):
    note(folder)
    assert fanka("admin", "ledger", "show") == 0
    assert "ROLLED BACK:     2026-09-10 08:26:40 (UTC+08:00): terminal 3-58 has seen epoch 9" in fanka.out
    assert fanka("doctor", "--json") == 1
    [found] = [one for one in json.loads(fanka.out)["findings"] if one["name"] == "rolled back"]
    assert (found["level"], "fanka admin ledger recover" in found["mend"]) == ("bad", True)
    assert fanka("admin", "ledger", "recover") == 0
    assert "history 2 is open: 0 terminals upload what is missing" in fanka.out
    assert "uploads taken:   until " in fanka.out
    assert "ROLLED BACK" not in fanka.out
    fanka("doctor", "--json")
    assert "rolled back" not in fanka.out
    found = fanka.json("admin", "ledger", "show")
    assert (found["uploaded_sales"], found["uploaded_fen"], found["uploaded_declined"]) == (0, 0, 0)
    assert fanka("admin", "ledger", "close") == 0
    assert "uploads taken:   no more" in fanka.out
    assert "recovery: expected an open one" in fanka.error("admin", "ledger", "close")
