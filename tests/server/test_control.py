"""The control socket: one answer per line, bounded in every direction, for the folder's owner alone."""

from __future__ import annotations

import json
import os
import stat
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry

from server.control import (
    CONNECTIONS_MAX,
    IDLE_TIMEOUT_S,
    LINE_BYTES_MAX,
    SUN_PATH_MAX,
    serve_control,
    short_address,
)
from server.gate import Gate, InlineExecutor
from server.ledger.store import StoreFull
from server.metrics import Metrics
from tests.server.office import Office


class Client:
    """One connection to the socket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, line: bytes) -> None:
        await self.stream.send_all(line)

    async def answer(self):
        """The next answer; None when the host has hung up."""
        while b"\n" not in self._buffer:
            data = await self.stream.receive_some(65536)
            if not data:
                assert self._buffer == b""
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    async def ask(self, op: str, **args):
        await self.send(json.dumps({"op": op, "args": args}).encode() + b"\n")
        return await self.answer()


@pytest.fixture
def office():
    office = Office()
    yield office
    office.store.close()


@asynccontextmanager
async def serving(path, office):
    """The socket served by the real gate; `connect()` gives a client."""
    gate = Gate(
        office.ledger,
        InlineExecutor(),
        Metrics(CollectorRegistry()),
        now_ms=lambda: office.now_ms,
        batch_max=8,
        queue_max=8,
    )

    clients: list[Client] = []

    async def connect() -> Client:
        connection = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        with short_address(path) as address:
            await connection.connect(address)
        clients.append(Client(trio.SocketStream(connection)))
        return clients[-1]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)
        await nursery.start(partial(serve_control, path, office.admin, gate))
        yield connect
        for client in clients:
            await client.stream.aclose()
        nursery.cancel_scope.cancel()


async def test_asked_and_answered(tmp_path, office):
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        assert (await client.ask("merchant.add", name="一食堂"))["ok"]["merchant_id"] == 1
        assert [row["name"] for row in (await client.ask("merchant.listing"))["ok"]] == ["一食堂"]
        assert (await client.ask("merchant.add", name="一食堂"))["error"].startswith("merchant name: expected one not")


async def test_several_at_once_are_answered_in_order(tmp_path, office):
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        lines = [json.dumps({"op": "merchant.add", "args": {"name": f"m{number}"}}) for number in range(1, 6)]
        await client.send("\n".join(lines).encode())
        await client.send(b"\n")
        assert [(await client.answer())["ok"]["merchant_id"] for _ in lines] == [1, 2, 3, 4, 5]


async def test_a_line_in_pieces(tmp_path, office):
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        for byte in b'{"op": "merchant.listing"}\n':
            await client.send(bytes([byte]))
        assert await client.answer() == {"ok": []}


@pytest.mark.parametrize(
    "line",
    [b"", b"rubbish", b"{}", b'{"op": 5}', b'{"op": "x", "more": 1}', b"[]", b"\xff\xfe", b'{"op":"x","args":[]}'],
)
async def test_what_is_no_request_is_told_and_the_next_is_served(tmp_path, office, line):
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        await client.send(line + b"\n")
        assert (await client.answer())["error"].startswith('request: expected {"op": "...", "args": {...}} on one line')
        assert await client.ask("merchant.listing") == {"ok": []}


async def test_an_unknown_operation(tmp_path, office):
    async with serving(tmp_path / "c", office) as connect:
        assert (await (await connect()).ask("shutdown"))["error"].startswith("operation: expected one of")


async def test_an_endless_line_is_cut_off(tmp_path, office):
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        endless = b"x" * (16 * LINE_BYTES_MAX)
        with pytest.raises(trio.BrokenResourceError):
            await client.send(endless)
        other = await connect()
        assert await other.ask("merchant.listing") == {"ok": []}


@pytest.mark.parametrize(
    "line",
    [
        b'\xff\xff"',
        b'{"op": "\xb5\xc2", "args": {}}',
        b'{"op": "merchant.add", "args": {"name": "\xed\xa0\x80"}}',
        b'{"op": "x", "args": {"a": ' + b"[" * 100_000,
        b'{"op": "x", "args": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"op": "x", "args": ' + b'{"a":' * 100_000,
    ],
    ids=["no UTF-8", "no UTF-8 in a text", "a surrogate", "deep and cut off", "deep", "deep objects"],
)
async def test_bytes_that_break_the_decoder_are_told_and_the_host_goes_on(tmp_path, office, line):
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        await client.send(line + b"\n")
        assert "expected" in (await client.answer())["error"]
        assert await client.ask("merchant.listing") == {"ok": []}


@pytest.mark.parametrize("text", [r"\ud800", r"\udc00\ud800", r"\u0000"])
async def test_half_a_character_never_stops_the_host(tmp_path, office, text):
    async with serving(tmp_path / "c", office) as connect:
        for line in (f'{{"op": "{text}"}}', f'{{"op": "merchant.add", "args": {{"name": "{text}"}}}}'):
            client = await connect()
            await client.send(line.encode() + b"\n")
            assert "error" in await client.answer()
        assert await (await connect()).ask("merchant.listing") == {"ok": []}


async def test_a_result_that_cannot_be_sent_costs_one_connection_and_is_logged(tmp_path, office, logs):
    office.admin.perform = lambda *_: object()
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        assert await client.ask("merchant.listing") is None
        del office.admin.perform
        assert await (await connect()).ask("merchant.listing") == {"ok": []}
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["control connection failed"]


async def test_a_client_that_leaves_in_the_middle_disturbs_nobody(tmp_path, office):
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        await client.send(b'{"op": "merchant.li')
        await client.stream.aclose()
        rude = await connect()
        await rude.send(b'{"op": "merchant.listing"}\n' * 100)
        await rude.stream.aclose()
        assert await (await connect()).ask("merchant.listing") == {"ok": []}


async def test_too_many_connections_are_told_so(tmp_path, office):
    async with serving(tmp_path / "c", office) as connect:
        clients = [await connect() for _ in range(CONNECTIONS_MAX)]
        for client in clients:
            assert await client.ask("merchant.listing") == {"ok": []}
        extra = await connect()
        assert (await extra.answer())["error"] == f"control: {CONNECTIONS_MAX} connections are open; try again later"
        assert await extra.answer() is None
        await clients[0].stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert await (await connect()).ask("merchant.listing") == {"ok": []}


async def test_a_silent_client_is_let_go(tmp_path, office, autojump_clock):
    async with serving(tmp_path / "c", office) as connect:
        client = await connect()
        started_s = trio.current_time()
        assert await client.answer() is None
        assert trio.current_time() - started_s == pytest.approx(IDLE_TIMEOUT_S)


async def test_a_full_disk_is_told_and_nothing_is_changed(tmp_path, office):
    def full(*_):
        raise StoreFull("ledger.db: database or disk is full")

    office.admin.perform = full
    async with serving(tmp_path / "c", office) as connect:
        said = (await (await connect()).ask("merchant.add", name="x"))["error"]
    assert said == "merchant.add: nothing was changed: ledger.db: database or disk is full"


async def test_a_fault_of_ours_gives_nothing_away(tmp_path, office):
    def fail(*_):
        raise KeyError("secret")

    office.admin.perform = fail
    async with serving(tmp_path / "c", office) as connect:
        said = (await (await connect()).ask("merchant.add", name="x"))["error"]
    assert said == "merchant.add: a fault of the host, see its log: KeyError"


async def test_only_the_owner_may_connect_and_the_file_goes_with_the_host(tmp_path, office):
    path = tmp_path / "c"
    before = os.umask(0)
    try:
        async with serving(path, office):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert not path.exists()


async def test_a_dead_hosts_socket_is_replaced_another_file_is_not(tmp_path, office):
    path = tmp_path / "c"
    left = trio.socket.socket(trio.socket.AF_UNIX)
    await left.bind(str(path))
    left.close()
    async with serving(path, office) as connect:
        assert await (await connect()).ask("merchant.listing") == {"ok": []}
    path.write_text("mine")
    with pytest.RaisesGroup(
        pytest.RaisesExc(OSError, match="found another file; move it away"), flatten_subgroups=True
    ):
        async with serving(path, office):
            pass
    assert path.read_text() == "mine"


async def test_a_folder_however_deep(tmp_path, office):
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    path = folder / "control.sock"
    assert len(os.fsencode(path)) > SUN_PATH_MAX
    async with serving(path, office) as connect:
        assert path.is_socket()
        assert await (await connect()).ask("merchant.listing") == {"ok": []}
    assert not path.exists()
