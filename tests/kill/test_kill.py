"""Twenty kills of both stores, and proof that the rig would notice a loss."""

import json

import apsw
import pytest

from protocol.codec import encode
from server.folder import DataFolder
from tests.end_to_end.process import Campus, serving
from tests.kill.books import faults_in
from tests.kill.record import Record, sale
from tests.kill.rig import Rig
from tests.postgres import PostgresServer

SQLITE_KILLS, POSTGRES_KILLS = 14, 6


@pytest.mark.slow
def test_no_kill_of_a_host_loses_an_answer(tmp_path):
    rig = Rig(tmp_path, seed=1)
    try:
        rig.run(SQLITE_KILLS)
    finally:
        rig.close()
    assert rig.violations == []
    assert rig.tally["kills"] >= SQLITE_KILLS
    assert rig.load.events["same"] > 0


@pytest.mark.slow
def test_no_kill_of_a_host_or_its_database_loses_an_answer(tmp_path):
    with PostgresServer() as server:
        rig = Rig(tmp_path, seed=1, postgres=server)
        try:
            rig.run(POSTGRES_KILLS)
        finally:
            rig.close()
    assert rig.violations == []
    assert rig.tally["kills"] >= POSTGRES_KILLS


@pytest.mark.slow
def test_a_host_that_stands_still_for_a_while_goes_on(tmp_path):
    """Stopped until terminals give up, call again and ask what became of their sales: then it answers them all."""
    rig = Rig(tmp_path, seed=1)
    try:
        rig.pause(3)
    finally:
        rig.close()
    assert rig.violations == []
    assert (rig.tally["stops"], rig.tally["kills"]) == (3, 0)
    assert rig.load.events["late"] >= 3


# --- would it notice?


@pytest.fixture(scope="module")
def sold(tmp_path_factory):
    """A folder in which one terminal has sold three times and reversed a fourth, and the record of it."""
    campus = Campus(tmp_path_factory.mktemp("sold") / "data", terminals=1)
    till = campus.till()
    path = tmp_path_factory.mktemp("record") / "record"
    record = Record(path)
    with serving(campus) as host, host.sign_on(till) as wire:
        for stan in (1, 2, 3, 4):
            record.note("sent", stan)
            if stan < 4:
                record.note("answered", stan, encode(wire.sell(sale(stan))))
        record.note("reversing", 4)
        record.note("reversed", 4, encode(wire.reverse(sale(4))))
    record.close()
    return campus.folder, till.number.to_int(), path


def without(path, tmp_path, what, stan):
    """The record as if one line had never been written."""
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if (json.loads(line)["what"], json.loads(line)["stan"]) != (what, stan)]
    assert len(kept) == len(lines) - 1
    copy = tmp_path / "record"
    copy.write_text("".join(kept))
    return copy


def known(path):
    """What a record says, without writing it."""
    record = Record(path, reading=True)
    record.close()
    return record


def faults(sold, path):
    folder, terminal, _ = sold

    return faults_in(folder, lambda: {terminal: known(path)}, thorough=True)


def test_books_that_agree(sold):
    assert faults(sold, sold[2]) == []


def test_an_approval_that_the_ledger_does_not_know(sold, tmp_path):
    record = Record(without(sold[2], tmp_path, "answered", 3))
    record.note("sent", 5)
    record.note("answered", 5, known(sold[2]).answered[3])
    record.close()
    assert any("STAN 5: answered" in fault and "has None" in fault for fault in faults(sold, tmp_path / "record"))


def test_a_sale_that_nobody_sent(sold, tmp_path):
    path = tmp_path / "record"
    lines = sold[2].read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["stan"] != 4))
    assert any("STAN 4" in fault and "never sent" in fault for fault in faults(sold, path))


def test_a_reversal_that_the_ledger_does_not_know(sold, tmp_path):
    record = Record(without(sold[2], tmp_path, "reversed", 4))
    record.note("reversed", 3, known(sold[2]).reversed[4])
    record.close()
    assert any("STAN 3: its reversal was confirmed" in fault for fault in faults(sold, tmp_path / "record"))


def test_a_ledger_that_was_tampered_with(sold, tmp_path):
    copy = DataFolder(tmp_path / "copy")
    copy.path.mkdir()
    for file in sold[0].path.iterdir():
        if file.is_file():
            (copy.path / file.name).write_bytes(file.read_bytes())
    db = apsw.Connection(str(copy.ledger_path))
    db.execute("UPDATE accounts SET balance_fen = balance_fen + 1 WHERE kind = 2")
    db.close()
    found = faults((copy, *sold[1:]), sold[2])
    assert any("conservation: all balances" in fault for fault in found)


def test_a_record_survives_the_death_of_its_writer(tmp_path):
    path = tmp_path / "record"
    record = Record(path)
    record.note("sent", 1)
    record.note("answered", 1, b"yes")
    record.note("sent", 2)
    record.note("reversing", 2)
    record.close()
    with path.open("ab") as file:
        file.write(b'{"what":"answered","stan":2')
    again = Record(path)
    assert (again.newest, again.answered, again.in_doubt, again.reversing) == (2, {1: b"yes"}, {2}, {2})
    again.note("reversed", 2, b"gone")
    again.close()
    assert (known(path).reversed, known(path).in_doubt) == ({2: b"gone"}, set())
