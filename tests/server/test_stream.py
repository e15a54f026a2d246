"""The socket stream and the acceptor on real sockets: partial sends, resets, closing, and a system short of files."""

import errno
import socket
import struct

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from server.stream import ACCEPT_PAUSE_S, RequestStream, accept, listen, open_request_stream

MEGABYTE = bytes(range(256)) * 4096


def listening_socket(kind=socket.socket):
    listening = kind(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", 0))
    listening.listen(16)
    listening.setblocking(False)
    return listening


def socket_pair():
    """Two ends of one TCP connection; the first becomes the stream under test."""
    listening = socket.create_server(("127.0.0.1", 0))
    with listening:
        near = socket.create_connection(listening.getsockname(), 20)
        far, _ = listening.accept()
    return near, far


@pytest.fixture
def pair():
    near, far = socket_pair()
    yield RequestStream(near), far
    near.close()
    far.close()


def reset(connected):
    """Close as a machine that is switched off does: the peer gets a reset."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connected.close()


# --- The stream


async def test_bytes_go_both_ways_until_the_peer_ends(pair):
    stream, peer = pair
    await stream.send_all(b"question")
    assert peer.recv(100) == b"question"
    peer.sendall(b"answer")
    assert await stream.receive_some(3) == b"ans"
    assert await stream.receive_some(100) == b"wer"
    peer.shutdown(socket.SHUT_WR)
    assert await stream.receive_some(100) == b""
    assert await stream.receive_some() == b""


async def test_small_writes_are_not_held_back(pair):
    assert pair[0]._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_what_does_not_fit_the_buffer_is_sent_in_parts_in_order(nursery):
    near, far = socket_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream, reader = RequestStream(near), RequestStream(far)
    sent = trio.Event()

    async def send():
        await stream.send_all(MEGABYTE)
        sent.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert not sent.is_set()  # it waits for the reader, and nobody else does
    received = bytearray()
    while len(received) < len(MEGABYTE):
        received += await reader.receive_some(10_000)
    await sent.wait()
    assert received == MEGABYTE
    await stream.aclose()
    await reader.aclose()


async def test_a_reader_that_never_reads_can_be_given_up(pair, autojump_clock):
    stream, _ = pair
    with trio.move_on_after(3) as scope:
        await stream.send_all(MEGABYTE * 16)
    assert scope.cancelled_caught


async def test_sending_nothing_sends_nothing(pair):
    stream, peer = pair
    await stream.send_all(b"")
    await stream.send_all(bytearray(b"x"))
    assert peer.recv(100) == b"x"


async def test_a_reset_is_a_broken_connection(pair):
    stream, peer = pair
    reset(peer)
    with pytest.raises(trio.BrokenResourceError, match="connection lost"):
        await stream.receive_some(100)
    with pytest.raises(trio.BrokenResourceError, match="connection lost"):
        await stream.send_all(b"x")


async def test_a_reset_wakes_who_waits_to_send(pair):
    stream, peer = pair
    async with trio.open_nursery() as nursery:

        async def send():
            with pytest.raises(trio.BrokenResourceError, match="connection lost"):
                await stream.send_all(MEGABYTE * 16)

        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        reset(peer)


async def test_closing_wakes_who_waits(pair):
    stream, _ = pair
    async with trio.open_nursery() as nursery:

        async def receive():
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive_some(100)

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        await stream.aclose()


async def test_a_closed_stream_says_so_and_closes_again(pair):
    stream, peer = pair
    await stream.aclose()
    await stream.aclose()
    assert peer.recv(100) == b""
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some(100)
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"x")


async def test_closing_under_cancellation_closes(pair):
    stream, peer = pair
    await trio.aclose_forcefully(stream)
    assert peer.recv(100) == b""


# --- Connecting and listening


async def test_connecting(nursery):
    with listening_socket() as listening:
        stream = await open_request_stream(*listening.getsockname())
        far, _ = listening.accept()
        await stream.send_all(b"x")
        assert far.recv(1) == b"x"
        far.close()
        await stream.aclose()


async def test_connecting_to_nobody_names_the_address():
    with listening_socket() as listening:
        port = listening.getsockname()[1]
    with pytest.raises(OSError, match=f"cannot connect to 127.0.0.1:{port}: ECONNREFUSED") as caught:
        await open_request_stream("127.0.0.1", port)
    assert caught.value.errno == errno.ECONNREFUSED


async def test_a_port_that_is_taken_is_named():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            OSError, match=f"cannot listen on 127.0.0.1:{port}: another program listens there"
        ) as caught:
            listen("127.0.0.1", port)
    assert "fanka.toml" in str(caught.value)


async def test_an_address_that_is_not_ours_is_named():
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:0: .+ change the host in fanka\.toml"):
        listen("192.0.2.1", 0)


# --- Accepting


class Door:
    """An acceptor with what it has let in."""

    def __init__(self, nursery, listening, *, guests=None, wait_ready=trio.lowlevel.checkpoint):
        self.streams: list[RequestStream] = []
        self.sources: list[str] = []
        self.listening = listening
        nursery.start_soon(accept, listening, self.serve, guests or nursery, wait_ready)

    async def serve(self, stream, source):
        self.streams.append(stream)
        self.sources.append(source)
        try:
            while data := await stream.receive_some():
                await stream.send_all(data)
        finally:
            await trio.aclose_forcefully(stream)

    async def visit(self):
        """Whether a new connection is served; it stays open until the test ends it."""
        visitor = await open_request_stream(*self.listening.getsockname())
        try:
            await visitor.send_all(b"hello")
            return await visitor.receive_some() == b"hello"
        finally:
            await visitor.aclose()


async def test_connections_are_accepted_and_told_where_from(nursery):
    door = Door(nursery, listening_socket())
    assert await door.visit()
    assert await door.visit()
    assert door.sources == ["127.0.0.1"] * 2
    nursery.cancel_scope.cancel()


async def test_a_cancelled_acceptor_closes_its_door_and_keeps_its_guests(nursery):
    listening = listening_socket()
    address = listening.getsockname()
    async with trio.open_nursery() as doors:
        Door(doors, listening, guests=nursery)
        guest = await open_request_stream(*address)
        await guest.send_all(b"a")
        assert await guest.receive_some() == b"a"
        doors.cancel_scope.cancel()
    with pytest.raises(OSError, match="cannot connect"):
        await open_request_stream(*address)
    await guest.send_all(b"b")
    assert await guest.receive_some() == b"b"
    await guest.aclose()


async def test_while_pacing_new_connections_wait_outside(nursery):
    opened = trio.Event()
    door = Door(nursery, listening_socket(), wait_ready=opened.wait)
    visitor = await open_request_stream(*door.listening.getsockname())
    await visitor.send_all(b"hello")
    await wait_all_tasks_blocked()
    assert door.streams == []
    opened.set()
    assert await visitor.receive_some() == b"hello"
    await visitor.aclose()
    nursery.cancel_scope.cancel()


def failing_socket(*errors):
    """A real listening socket whose first accepts fail as the system's would."""
    left = list(errors)

    class Failing(socket.socket):
        def accept(self):
            if left:
                raise OSError(left.pop(0), "as the system says it")
            return super().accept()

    return listening_socket(Failing)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM], ids=errno.errorcode.get)
async def test_a_system_out_of_files_makes_it_rest_and_go_on(nursery, autojump_clock, number):
    door = Door(nursery, failing_socket(number, number, number))
    started_s = trio.current_time()
    assert await door.visit()
    assert trio.current_time() - started_s == pytest.approx(3 * ACCEPT_PAUSE_S)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "number",
    [
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EPROTO,
        errno.EPERM,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ETIMEDOUT,
    ],
    ids=errno.errorcode.get,
)
async def test_a_connection_that_died_before_it_was_accepted_is_its_own_problem(nursery, autojump_clock, number):
    """Linux hands errors that wait on the new connection to accept(2): they are the peer's, never ours."""
    door = Door(nursery, failing_socket(number))
    started_s = trio.current_time()
    assert await door.visit()
    assert trio.current_time() == started_s
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("number", [errno.EBADF, errno.EINVAL], ids=errno.errorcode.get)
async def test_a_broken_listener_is_an_error_of_ours(number):
    with failing_socket(number) as listening:
        visitor = socket.create_connection(listening.getsockname(), 20)
        with visitor, pytest.raises(OSError, match="as the system says it"):
            await accept(listening, nobody, None)
    assert listening.fileno() == -1


async def nobody(_stream, _source):
    raise AssertionError("nobody was accepted")
