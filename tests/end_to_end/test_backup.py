"""`fanka backup` beside a real host in the middle of a rush: everything answered before it began is in it."""

from __future__ import annotations

import json
import subprocess

import pytest

from server.ledger.sqlite import SqliteStore
from server.ledger.verify import verify
from tests.end_to_end.process import ROOT, SERVE, Campus, serving
from tests.end_to_end.rush import Rush, Seller

SELLERS = 8
BACKUPS = 3


@pytest.mark.slow
def test_in_the_middle_of_a_rush(tmp_path):
    campus = Campus(tmp_path / "data", terminals=SELLERS)
    sellers = [Seller(till) for till in campus.tills(SELLERS)]
    newest = 0
    with serving(campus) as host:
        with Rush(host, sellers) as rush:
            for number in range(BACKUPS):
                rush.wait_answers(50)
                before = {
                    (seller.till.number.to_int(), sale.batch, sale.stan)
                    for seller in sellers
                    for sale, _ in [*seller.answered]
                }
                path = tmp_path / f"backup-{number}"
                done = subprocess.run(
                    [*SERVE[:-1], "backup", str(campus.folder.path), "--to", str(path), "--json"],
                    cwd=ROOT,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                manifest = json.loads(done.stdout)
                store = SqliteStore(path, readonly=True)
                held = {
                    tuple(row) for row in store.execute("SELECT terminal_id, batch, stan FROM transfers WHERE side = 0")
                }
                assert before <= held
                assert manifest["newest_seq"] == store.head()[0] > newest
                assert [check for check in verify(store) if not check.ok] == []
                store.close()
                newest = manifest["newest_seq"]
            assert host.get("/readyz") == (200, "ready\n")
            assert host.terminate() == 0
        assert rush.failures() == []
    campus.verify()
