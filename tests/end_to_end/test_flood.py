"""A burst of connections: bounded, counted, and no working terminal notices."""

import contextlib
import selectors
import socket

from tests.end_to_end.process import CARD, OTHER_CARD, Campus, serving
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
