"""T8, A1: versions, key versions and all else that is said in clear: a change is found out by the next cryptogram."""

import msgspec
import pytest

from protocol import Connection, Role, State
from protocol.messages import Auth, Challenge, Hello, Message
from tests.protocol.example import ROOT_KEY, TERMINAL
from tests.protocol.moments import bits, fate_of, fitted, fork
from tests.protocol.pair import ConnectionPair, with_good_crc
from tests.protocol.samples import CHALLENGE, HELLO

WIDE_HELLO = msgspec.structs.replace(HELLO, highest_version=2)


def host_after(hello: bytes) -> Connection | None:
    """A host that has taken these bytes for a HELLO; None if it has not."""
    host = Connection(Role.HOST)
    host.receive_data(hello)
    try:
        event = host.next_event()
    except Exception:
        return None
    if not isinstance(event, Hello):
        return None
    host.use_key(ROOT_KEY)
    return host


def test_every_bit_of_hello():
    """A1: HELLO itself proves nothing; but no changed one leads to a CHALLENGE that the terminal believes."""
    pair = ConnectionPair()
    hello = pair.terminal.send(WIDE_HELLO)
    led_on = 0
    for changed in bits(hello, 0, len(hello) - 4):
        host = host_after(with_good_crc(changed))
        if host is not None:
            led_on += 1
            assert fate_of(fork(pair.terminal), host.send(CHALLENGE)).reason in ("tag", "terminal", "crc")
    assert led_on > 300  # most of HELLO is numbers and noise: the host cannot tell by itself


def test_every_bit_of_challenge():
    """A1: the terminal believes one CHALLENGE only."""
    pair = ConnectionPair().to_state(State.HELLO_SENT)
    challenge = pair.host.send(CHALLENGE)
    for changed in bits(challenge, 0, len(challenge) - 4):
        fate_of(fork(pair.terminal), with_good_crc(changed))


def test_every_bit_of_auth():
    """A1: the host believes one AUTH only."""
    pair = ConnectionPair().to_state(State.CHALLENGED)
    auth = pair.terminal.send(Auth())
    for changed in bits(auth, 0, len(auth) - 4):
        fate_of(fork(pair.host), with_good_crc(changed))


@pytest.mark.parametrize(("lowest", "highest"), [(1, 1), (2, 2), (1, 255), (0, 2), (2, 1), (255, 255), (0, 0)])
def test_the_range_of_versions_made_another(lowest, highest):
    """T8: a terminal that speaks 1..2 and a host made to believe anything else: no session comes of it."""
    pair = ConnectionPair()
    hello = pair.terminal.send(WIDE_HELLO)
    body = bytearray(hello[16:-4])
    body[1:3] = lowest, highest
    host = host_after(fitted(hello[:16], bytes(body)))
    assert (host is None) == (not lowest <= 1 <= highest or lowest == 0)
    if host is not None:
        assert fate_of(pair.terminal, host.send(CHALLENGE)).reason == "tag"


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_chosen(version):
    """T8: the version in CHALLENGE is under the host's cryptogram."""
    pair = ConnectionPair().to_state(State.HELLO_SENT)
    challenge = pair.host.send(CHALLENGE)
    body = bytearray(challenge[16:-4])
    body[1] = version
    assert fate_of(pair.terminal, fitted(challenge[:16], bytes(body))).reason in ("version", "field")


def test_an_older_key_version_made_of_a_newer_one():
    """A1: key_version is said in clear, and is part of what both ends prove: here even both keys are the same."""
    pair = ConnectionPair()
    hello = pair.terminal.send(msgspec.structs.replace(HELLO, key_version=2))
    body = bytearray(hello[16:-4])
    body[3:5] = (1).to_bytes(2, "big")
    host = host_after(fitted(hello[:16], bytes(body)))
    assert host is not None
    assert host.hello is not None
    assert host.hello.key_version == 1
    assert fate_of(pair.terminal, host.send(CHALLENGE)).reason == "tag"


def test_a_frame_of_another_wire_version_is_no_frame():
    """T8: byte 2 of every frame, before anything of it is believed."""
    hello = ConnectionPair().terminal.send(HELLO)
    for version in {*range(256)} - {1}:
        changed = fitted(hello[:2] + bytes([version]) + hello[3:16], hello[16:-4])
        assert fate_of(Connection(Role.HOST), changed).reason == "version"


def test_an_honest_wide_range_is_taken():
    """T8: the other tests would pass if a terminal of the next version were simply refused."""
    pair = ConnectionPair()
    assert isinstance(pair.send(Role.TERMINAL, WIDE_HELLO), Hello)
    assert isinstance(pair.send(Role.HOST, CHALLENGE), Challenge)
    assert isinstance(pair.send(Role.TERMINAL, Auth()), Message)
    assert pair.terminal.terminal == TERMINAL
