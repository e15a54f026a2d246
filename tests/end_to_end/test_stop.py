"""SIGTERM: nobody new, requests in hand are answered, the ledger is closed, exit code 0; in this order."""

import signal

import pytest

from tests.end_to_end.process import CARD, Campus, serving
from tests.end_to_end.rush import Rush, Seller
from tests.wire import dial


@pytest.fixture
def campus(tmp_path):
    return Campus(tmp_path / "data", terminals=8)


def events(host):
    return [entry["event"] for entry in host.log]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_idle_host_stops_at_once_and_in_order(campus, number):
    with serving(campus) as host:
        lines = [host.sign_on(till) for till in campus.tills(3)]
        visitor = dial(host.terminals)
        for line in lines:
            line.sell(line.till.sale(CARD))
        host.process.send_signal(number)
        assert host.wait() == 0
        for line in lines:
            assert line.is_over()
            line.close()
        assert visitor.recv(1) == b""
        visitor.close()
        with pytest.raises(ConnectionRefusedError):
            dial(host.terminals)
        assert [event for event in events(host) if event in ("serving", "signal", "draining", "stopped")] == [
            "serving",
            "signal",
            "draining",
            "stopped",
        ]
        assert host.wait_log("signal")["name"] == number.name
        assert host.wait_log("stopped")["newest_transfer"] == campus.transfers() == 2 + 3
        assert events(host).count("session ended") == 3
        assert host.noise == []
    # Nothing is left but the folder: the log is folded into the ledger, the sockets and notes are gone.
    left = {path.name for path in campus.folder.path.iterdir()} - {"ledger.db-shm", "ledger.db-wal"}
    assert left == {"fanka.toml", "kek.key", "ledger.db", "lock"}
    with campus.folder.locked("test"):
        campus.verify()


def test_a_host_in_a_rush_answers_what_it_has_and_keeps_what_it_answered(campus):
    sellers = [Seller(till) for till in campus.tills(8)]
    with serving(campus) as host:
        with Rush(host, sellers) as rush:
            rush.wait_answers(100)
            assert host.terminate() == 0
        assert rush.failures() == []
        newest = host.wait_log("stopped")["newest_transfer"]
        assert {entry["reason"] for entry in host.log if entry["event"] == "session ended"} == {"drain"}
    posted = campus.posted()
    answered = [(seller.till.number.to_int(), sale) for seller in sellers for sale, _ in seller.answered]
    assert len(answered) >= 100
    for terminal_id, sale in answered:
        assert len(posted[terminal_id, sale.batch, sale.stan]) == 1
    assert newest == campus.transfers()
    campus.verify()
