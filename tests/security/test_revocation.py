"""A lost terminal: its session is cut, its handshake refused like a stranger's, and nothing is posted for it again."""

from __future__ import annotations

import contextlib
from math import inf

import pytest

from protocol import PEER_CLOSED, RemoteProtocolError, TerminalNumber
from protocol.framing import build_header, close_frame
from protocol.messages import LAYOUTS, Challenge, EnrolRequest, KeyRequest
from protocol.state import Kind
from server.ledger.model import Status
from server.ledger.verify import verify
from tests.end_to_end.process import CARD, Campus, administer, serving
from tests.protocol.samples import SAMPLE_OF
from tests.server.host import open_host
from tests.wire import ECHO, Till, Wire, query_of, reversal_of

REQUESTS = [layout.message for layout in LAYOUTS.values() if layout.kind is Kind.REQUEST]
"""Every message a terminal may ask with: a new one is in the list by itself."""
CHALLENGE_FRAME_SIZE = 66


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    return Campus(tmp_path_factory.mktemp("revocation") / "data", terminals=100)


@pytest.fixture(scope="module")
def host(campus):
    with serving(campus) as host:
        yield host


def answers_to(host, till) -> list[bytes]:
    """What a handshake hears, byte by byte, with what is random or a clock left out."""
    with host.line(till) as wire:
        wire.say(till.hello())
        heard = b""
        while len(heard) < CHALLENGE_FRAME_SIZE:
            heard += wire.socket.recv(65536)
        wire.say_bytes(auth_of_anybody(till))
        random_and_clock = heard[18:42], heard[46:]
        assert sum(map(len, random_and_clock)) == CHALLENGE_FRAME_SIZE - 22
        return [heard[:18], heard[42:46], wire.rest()]


def auth_of_anybody(till) -> bytes:
    """A well formed AUTH with a wrong cryptogram: what whoever does not have the key can say."""
    body = b"\x91" + bytes(16)
    return close_frame(build_header(0, 0x0800, len(body), till.number, 1), body)


@pytest.mark.slow
def test_a_live_session_is_cut(campus, host):
    till, other = campus.tills(2)
    with host.sign_on(till) as wire, host.sign_on(other) as other_wire:
        assert wire.sell(till.sale(CARD)).response_code == "00"
        since = len(host.log)
        assert administer(campus, "terminal.revoke", terminal=str(till.number))["state"] == "revoked"
        assert wire.is_over()
        host.wait_log("session ended", since=since, terminal=str(till.number), reason="revoked")
        assert other_wire.sell(other.sale(CARD)).response_code == "00"


@pytest.mark.slow
def test_a_handshake_is_refused_like_a_strangers(campus, host):
    till = campus.till()
    administer(campus, "terminal.revoke", terminal=str(till.number))
    stranger = Till(TerminalNumber(60_000, 1), bytes(32), 1)
    known_with_wrong_key = Till(campus.till().number, bytes(32), 1)
    heard = [answers_to(host, one) for one in (till, stranger, known_with_wrong_key)]
    for answer, number in zip(heard, (till, stranger, known_with_wrong_key), strict=True):
        answer[0] = answer[0].replace(number.number.to_int().to_bytes(4, "big"), b"....")
    assert heard[0] == heard[1] == heard[2]
    assert heard[0][-1] == b""


@pytest.mark.slow
def test_whatever_it_asks_in_its_last_session_moves_nothing_afterwards(campus, host):
    """Each request type, sent as fast as sockets go, while the revocation is on its way."""
    for message in REQUESTS:
        till = campus.till()
        with host.sign_on(till) as wire:
            sale = till.sale(CARD)
            assert wire.sell(sale).response_code == "00"
            administer(campus, "terminal.revoke", terminal=str(till.number))
            balance_fen, transfers = campus.balance_fen(), campus.transfers()
            with contextlib.suppress(OSError):  # it may know already
                wire.say(request_of(message, till, sale))
            assert wire.hear() is PEER_CLOSED, message
        assert (campus.balance_fen(), campus.transfers()) == (balance_fen, transfers), message
        with Wire(host.terminals, till) as again, pytest.raises(RemoteProtocolError, match="cryptogram"):
            again.ask(till.hello())
    campus.verify()


def request_of(message, till, sale):
    """A request of this type that would be answered well, were the terminal not revoked."""
    made = {type(sale): till.sale(CARD), KeyRequest: KeyRequest(key_version=2), type(ECHO): ECHO}
    made |= {type(each): each for each in (reversal_of(sale), query_of(sale), EnrolRequest(serial_number="S"))}
    return made.get(message, SAMPLE_OF[message])


@pytest.mark.parametrize("message", REQUESTS, ids=lambda message: message.__name__)
async def test_no_request_type_takes_money_even_past_the_session(message):
    """Asked of the service itself, as if the session had not been cut: the rules refuse too. A reversal alone is
    decided, as it only ever gives back: whoever stole the terminal has nothing of it."""
    async with open_host() as rig:
        till = rig.enrol()
        sale = till.sale(CARD, 300)
        await rig.host.service.handle(till.number, sale)
        rig.host.admin.terminals.rotate(str(till.number))
        rig.host.admin.terminals.revoke(str(till.number))
        before_fen = rig.balance_fen()
        answer = await rig.host.service.handle(till.number, request_of(message, till, sale))
        assert rig.balance_fen() >= before_fen
        if message is KeyRequest:
            assert answer.response_code == "58"
        assert [check for check in verify(rig.store) if not check.ok] == []


@pytest.mark.slow
async def test_ten_thousand_revocations_cost_a_handshake_nothing(monkeypatch):
    """Counted in statements and rows, not in time: a handshake looks its own terminal up by key, and nothing else."""
    monkeypatch.setattr("server.seen.WRITE_EVERY_S", inf)  # on a slow machine it would write among them
    async with open_host() as rig:
        asked: list[str] = []
        real = rig.store.execute

        def counted(sql, values=()):
            rows = real(sql, values)
            asked.append(f"{sql} -> {len(rows)}")
            return rows

        monkeypatch.setattr(rig.store, "execute", counted)

        async def handshakes() -> list[str]:
            known, gone = rig.enrol(), rig.enrol()
            rig.host.admin.terminals.revoke(str(gone.number))
            asked.clear()
            await rig.sign_on(known)
            line = rig.line(gone)
            with pytest.raises(RemoteProtocolError, match="cryptogram"):
                await line.ask(gone.hello())
            return list(asked)

        before = await handshakes()
        for start in range(1, 10_001, 500):
            rig.host.admin.terminals.enrol_many(f"7-{start}", 500, rig.merchant_id)
        with rig.store.transaction():
            real("UPDATE terminals SET status = ? WHERE terminal_id > ?", (Status.CLOSED, 7 << 16))
        for device in range(1, 10_001):
            rig.link.revoke(7 << 16 | device)
        after = await handshakes()
        assert len(before) >= 3
        assert after == before
        assert len(rig.link._claims) == 4  # who is connected, and nobody else
        for line in {line.rpartition(" -> ")[0] for line in before}:
            plan = [str(row[-1]) for row in real(f"EXPLAIN QUERY PLAN {line}", (1,) * line.count("?"))]
            assert not [step for step in plan if step.startswith("SCAN")], (line, plan)


async def test_a_handshake_under_way_and_a_session_are_both_cut_by_one_revocation():
    async with open_host() as rig:
        till = rig.enrol()
        session, handshake = await rig.sign_on(till), rig.line(till)
        assert isinstance(await handshake.ask(till.hello()), Challenge)
        await rig.gate.call(rig.host.admin.terminals.revoke, str(till.number))
        assert await session.is_over()
        assert await handshake.is_over()
        rig.assert_at_rest()
