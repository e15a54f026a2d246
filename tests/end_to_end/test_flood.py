"""Bursts, hostile handshakes, rogue terminals, no more files: bounded, counted, and no working terminal notices."""

import contextlib
import resource
import selectors
import socket
from pathlib import Path

from protocol.limits import CRC_SIZE, HEADER_SIZE, TAG_SIZE
from protocol.messages import LAYOUTS
from tests.end_to_end.process import CARD, OTHER_CARD, Campus, serving
from tests.protocol.pair import forge
from tests.wire import PATIENCE_S, dial

CONNECTS = 3000
AT_ONCE = 300
FLOODER = "127.0.3.1"
PENDING_PER_SOURCE = 20


def test_a_burst_of_connects_disturbs_nobody(tmp_path):
    limits = {"pending_handshakes_per_source": PENDING_PER_SOURCE, "pending_handshakes": 100}
    campus = Campus(tmp_path / "data", terminals=CONNECTS // AT_ONCE + 1, limits=limits)
    with serving(campus) as host, host.sign_on(campus.till()) as witness:
        sold = 0
        for _ in range(CONNECTS // AT_ONCE):
            with contextlib.ExitStack() as open_ones:
                crowd = [open_ones.enter_context(dial(host.terminals, source=FLOODER)) for _ in range(AT_ONCE)]
                assert witness.sell(witness.till.sale(OTHER_CARD)).response_code == "00"
                # A terminal at another address comes and goes as ever.
                with host.sign_on(campus.till(), source="127.0.3.2") as line:
                    assert line.sell(line.till.sale(CARD)).response_code == "00"
                sold += 2
                assert closed_by_host(crowd) >= AT_ONCE - PENDING_PER_SOURCE
        refused = host.count("connections_refused_total", reason="source")
        assert CONNECTS - CONNECTS // AT_ONCE * PENDING_PER_SOURCE <= refused < CONNECTS
        assert host.count("sessions") == 1
        assert len(host.log) < 100
        assert campus.transfers() == 2 + sold
        campus.verify()


def closed_by_host(crowd):
    """How many of these connections the host has closed, waiting as long as more than it may keep are open."""
    with selectors.DefaultSelector() as selector:
        for visitor in crowd:
            visitor.setblocking(False)
            selector.register(visitor, selectors.EVENT_READ)
        closed = 0
        while len(crowd) - closed > PENDING_PER_SOURCE:
            ready = selector.select(PATIENCE_S)
            assert ready, f"{len(crowd) - closed} connections are open, expected at most {PENDING_PER_SOURCE}"
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                assert end_of(key.fileobj)
                selector.unregister(key.fileobj)
                closed += 1
        return closed


def end_of(visitor):
    """Whether it was closed without a byte."""
    try:
        return visitor.recv(1) == b""
    except ConnectionResetError:
        return True


def test_more_connections_than_allowed_are_refused_and_the_others_work(tmp_path):
    campus = Campus(tmp_path / "data", terminals=10, limits={"connections": 5})
    with serving(campus) as host, contextlib.ExitStack() as open_ones:
        lines = [open_ones.enter_context(host.sign_on(till)) for till in campus.tills(5)]
        for _ in range(3):
            with dial(host.terminals) as visitor:
                assert end_of(visitor)
        assert host.count("connections_refused_total", reason="full") == 3
        for line in lines:
            assert line.sell(line.till.sale(CARD)).response_code == "00"


def test_half_handshakes_from_many_addresses_keep_nobody_out(tmp_path):
    """A3: strangers want every place for a handshake and would have ten minutes for it; terminals sign on at once."""
    limits = {"pending_handshakes": 40, "pending_handshakes_per_source": 40, "handshake_timeout_s": 600}
    campus = Campus(tmp_path / "data", terminals=12, limits=limits)
    with serving(campus) as host, contextlib.ExitStack() as open_ones:
        witness = open_ones.enter_context(host.sign_on(campus.till()))
        victim = campus.till()
        for number in range(100):
            line = open_ones.enter_context(host.line(victim, source=f"127.0.4.{1 + number % 20}"))
            line.say_bytes(line.connection.send(victim.hello())[: number % 60])
        for number in range(10):
            with host.sign_on(campus.till(), source=f"127.0.5.{1 + number}") as line:
                assert line.sell(line.till.sale(CARD)).response_code == "00"
            assert witness.sell(witness.till.sale(OTHER_CARD)).response_code == "00"
        assert host.count("handshakes_total", result="timeout") == 0
        assert host.count("connections_refused_total", reason="source") > 0
        campus.verify()


def test_a_rogue_terminal_is_slowed_down_and_no_other(tmp_path):
    """A4: an authentic terminal that probes cards without pause gets its own pace, everybody else theirs."""
    requests = 1000
    answer_size = LAYOUTS[0x0210, 0].size + HEADER_SIZE + TAG_SIZE + CRC_SIZE
    campus = Campus(tmp_path / "data", terminals=3, limits={"requests_per_s": 5})
    with serving(campus) as host, host.sign_on(campus.till()) as rogue, host.sign_on(campus.till()) as witness:
        frames = b""
        for number in range(requests):
            sale = rogue.till.sale(number.to_bytes(4, "big"))
            frames += forge(rogue.connection, 0x0200, sale.layout.encode(sale), flags=1)
            rogue.connection._sent += 1
        before = campus.transfers()
        rogue.say_bytes(frames)
        heard = 0
        while heard < 12 * answer_size:  # past what may come at once
            heard += len(rogue.socket.recv(4096))
        for _ in range(5):
            assert witness.sell(witness.till.sale(CARD)).response_code == "00"
        assert host.count("requests_slowed_total") >= 1
        assert campus.transfers() - before < requests
        assert host.count("sessions") == 2
        campus.verify()


def test_out_of_files_the_sessions_sell_on_and_the_others_wait(tmp_path):
    """S3: no file left for one more connection. New ones wait outside; every kind of request of the open ones works."""
    campus = Campus(tmp_path / "data", terminals=5, limits={"connections": 200})
    with serving(campus) as host, contextlib.ExitStack() as open_ones:
        lines = [open_ones.enter_context(host.sign_on(till)) for till in campus.tills(3)]
        hard = resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE)[1]
        highest = max(int(file.name) for file in Path(f"/proc/{host.process.pid}/fd").iterdir())
        resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, (highest + 3, hard))
        with contextlib.ExitStack() as crowd:
            for number in range(40):
                crowd.enter_context(dial(host.terminals, source=f"127.0.6.{1 + number}"))
            host.wait_log("cannot accept: out of files or memory")
            for line in lines:
                sale = line.till.sale(CARD)
                assert line.sell(sale).response_code == "00"
                assert line.query(sale).response_code == "00"
                assert line.reverse(sale).response_code == "00"
        resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
        with host.sign_on(campus.till()) as late:
            assert late.sell(late.till.sale(CARD)).response_code == "00"
        for line in lines:
            assert line.sell(line.till.sale(OTHER_CARD)).response_code == "00"
        assert host.count("sessions_ended_total", reason="fault") == 0
        campus.verify()
