"""A host whose ledger is in PostgreSQL, from `fanka init` to kill -9, and what its terminals notice of the database."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.end_to_end.process import CARD, ROOT, START_FEN, Campus, serving
from tests.postgres import PostgresServer, shared_server
from tests.postgres_proxy import CuttingProxy

SECRET = "hunter2"


def fanka(*words: object, code: int = 0) -> str:
    """What a command prints; its password must not be in it."""
    done = subprocess.run(
        [sys.executable, "-c", "from tools.main import main; main()", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert SECRET not in said
    return said


@pytest.fixture
def dsn():
    return f"{shared_server().new_database()} password={SECRET}"


@pytest.mark.slow
def test_every_command_works_on_it(tmp_path, dsn):
    folder = tmp_path / "data"
    fanka("init", folder, "--port", "0", "--http-port", "0", "--postgres", dsn)
    assert sorted(path.name for path in folder.iterdir()) == ["fanka.toml", "kek.key"]
    fanka("admin", "merchant", "add", "一食堂", "--data", folder)
    assert "一食堂" in fanka("admin", "merchant", "list", "--data", folder)
    found = json.loads(fanka("verify", folder, "--json"))
    assert found["ok"]
    assert found["ledger"].startswith("PostgreSQL ")
    assert "PostgreSQL" in fanka("doctor", folder)
    assert "no sales" in fanka("admin", "day", "totals", "--data", folder)
    fanka("backup", folder, "--to", tmp_path / "b")
    assert SECRET.encode() not in (tmp_path / "b").read_bytes()
    assert json.loads(fanka("verify", tmp_path / "b", "--json"))["newest"] == found["newest"]
    # Another folder must not take it over.
    said = fanka("init", tmp_path / "other", "--postgres", dsn, code=2)
    assert "expected an empty database, found a ledger" in said
    assert not (tmp_path / "other").exists()
    # And without it, one line.
    text = (folder / "fanka.toml").read_text().replace("port=5432", "port=5433")
    (folder / "fanka.toml").write_text(text)
    for command in (["serve"], ["verify"], ["admin", "merchant", "list", "--data"]):
        said = fanka(*command, folder, code=2)
        assert said.startswith("error: PostgreSQL ")
        assert said.count("\n") == 1
    assert "see docs/operating.md" in fanka("doctor", folder, code=1)


@pytest.mark.slow
def test_what_was_answered_survives_kill_9(tmp_path, dsn):
    campus = Campus(tmp_path / "data", terminals=3, postgres=dsn)
    till = campus.till()
    with serving(campus) as host:
        with host.sign_on(till) as line:
            sales = [till.sale(CARD, 100 + n) for n in range(20)]
            answers = [line.sell(sale) for sale in sales]
        assert {answer.response_code for answer in answers} == {"00"}
        host.kill()
        assert SECRET not in str(host.log + host.noise)
    with serving(campus) as host:
        with host.sign_on(till) as line:
            assert [line.sell(sale) for sale in sales] == answers
            assert line.sell(till.sale(CARD)).response_code == "00"
        assert host.terminate() == 0
    assert campus.balance_fen() == START_FEN - sum(sale.amount_fen for sale in sales) - 100
    campus.verify()


@pytest.mark.slow
def test_a_database_that_is_away_is_answered_96_and_sales_go_on_by_themselves(tmp_path):
    with PostgresServer() as server:
        campus = Campus(tmp_path / "data", terminals=3, postgres=server.new_database())
        with serving(campus) as host, host.sign_on(campus.till()) as line:
            assert line.sell(line.till.sale(CARD)).response_code == "00"
            server.kill()
            refused = line.till.sale(CARD)
            assert line.sell(refused).response_code == "96"
            assert host.get("/readyz")[0] == 503
            assert host.get("/healthz")[0] == 200
            assert host.count("ledger_faults_total", kind="StoreAway") >= 1
            assert host.wait_log("ledger fault")["error"].startswith("PostgreSQL ")
            server.start()
            while (answer := line.sell(refused)).response_code == "96":
                pass
            assert answer.response_code == "00"
            assert host.get("/readyz")[0] == 200
            assert line.sell(refused) == answer
        assert campus.balance_fen() == START_FEN - 200
        campus.verify()


@pytest.mark.slow
def test_a_line_cut_in_a_commit_is_not_noticed_by_the_terminal(tmp_path):
    with CuttingProxy(shared_server()) as proxy:
        campus = Campus(tmp_path / "data", terminals=1, postgres=proxy.dsn(shared_server().new_database()))
        with serving(campus) as host, host.sign_on(campus.till()) as line:
            for lost in (True, False):
                proxy.answer_lost, proxy.cut_at = lost, b"COMMIT\0"
                sale = line.till.sale(CARD)
                assert line.sell(sale).response_code == ("00" if lost else "96")
                assert line.sell(sale).response_code == "00"
            assert proxy.cuts == 2
        assert campus.balance_fen() == START_FEN - 200
        campus.verify()
