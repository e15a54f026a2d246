"""A1, N3: every single bit of every sealed frame turned, every frame cut at every byte: none of it is ever accepted.

The terminal's and the host's end alike. What is changed on purpose has its CRC and its length made right again: they
are no defence.
"""

from collections import Counter

import pytest

from protocol.limits import TAG_SIZE
from protocol.messages import LAYOUTS, Message
from protocol.messages.fields import UNSEALED_KINDS
from tests.protocol.moments import bits, fate_of, fitted, fork, moments

every_moment = pytest.mark.parametrize("moment", moments(), ids=lambda moment: moment.title.replace(" ", "_"))


def test_every_sealed_message_has_its_moment():
    sealed = [layout.title for layout in LAYOUTS.values() if layout.kind not in UNSEALED_KINDS]
    assert [moment.title for moment in moments()] == sealed


@every_moment
def test_the_genuine_frame_is_taken(moment):
    """A1: the other tests of this module refuse only what is not this."""
    receiver = fork(moment.receiver)
    receiver.receive_data(moment.frame)
    assert isinstance(receiver.next_event(), Message)
    with pytest.raises(AssertionError, match="accepted"):
        fate_of(fork(moment.receiver), moment.frame)


@every_moment
def test_every_bit_on_the_line(moment):
    """N3: noise that TCP did not see: the CRC finds every single bit, and whatever is dropped is counted."""
    for changed in bits(moment.frame):
        fate = fate_of(fork(moment.receiver), changed)
        assert fate.reason or fate.dropped


@every_moment
def test_every_bit_by_an_attacker(moment):
    """A1: one bit of ciphertext or tag, and a CRC that fits."""
    frame, reasons = moment.frame, Counter()
    for changed in bits(frame, 16, len(frame) - 4):
        reasons[fate_of(fork(moment.receiver), fitted(changed, changed[16:-4])).reason] += 1
    assert reasons == {"tag": 8 * (len(frame) - 20)}


@every_moment
def test_every_bit_of_the_header_under_a_good_crc(moment):
    """A1: sync, version, flags, type, length, terminal and sequence are under the tag, or checked before it."""
    reasons = Counter()
    for changed in bits(moment.frame, 0, 16):
        whole = changed[:16] + moment.frame[16:]
        size = int.from_bytes(changed[6:8], "big")
        body = whole[16:-4].ljust(size, b"\0")[:size] if size <= 4096 else whole[16:-4]
        closed = fitted(changed, body)
        closed = closed[:6] + changed[6:8] + closed[8:] if size > 4096 else closed
        fate = fate_of(fork(moment.receiver), closed)
        reasons[fate.dropped[0] if fate.dropped else fate.reason] += 1
    assert reasons.keys() <= {"sync", "version", "flags", "length", "terminal", "sequence", "tag", "crc", "truncated"}
    assert reasons["terminal"] == reasons["sequence"] == 32
    assert reasons["sync"] == 16


@every_moment
def test_cut_at_every_byte(moment):
    """N2, N3: the line ends, or the next frame follows, in the middle of a frame."""
    frame = moment.frame
    for size in range(1, len(frame)):
        fate = fate_of(fork(moment.receiver), frame[:size])
        assert fate.reason == "truncated"
        if not (twice := frame[:size] + frame[:size]).startswith(frame):  # its last byte may be the first of the next
            fate_of(fork(moment.receiver), twice)


@every_moment
def test_shortened_and_lengthened_with_length_and_crc_made_to_fit(moment):
    """A1, A5: a sealed body of any other size, the tag's 16 bytes at its end, its start, or torn off."""
    header, body = moment.frame[:16], moment.frame[16:-4]
    for size in range(len(body)):
        expected = "length" if size < TAG_SIZE else "tag"
        assert fate_of(fork(moment.receiver), fitted(header, body[:size])).reason == expected
        assert fate_of(fork(moment.receiver), fitted(header, body[len(body) - size :])).reason == expected
        if size > TAG_SIZE:
            torn = body[: size - TAG_SIZE] + body[-TAG_SIZE:]
            assert fate_of(fork(moment.receiver), fitted(header, torn)).reason == "tag"
    for more in (b"\0", b"\xff", bytes(16), body, bytes(4096 - len(body))):
        assert fate_of(fork(moment.receiver), fitted(header, body + more)).reason == "tag"
        assert fate_of(fork(moment.receiver), fitted(header, more + body)).reason == "tag"


@every_moment
def test_every_byte_of_the_tag_alone(moment):
    """A1: no part of the tag stands for the whole of it."""
    header, body = moment.frame[:16], moment.frame[16:-4]
    for index in range(len(body) - TAG_SIZE, len(body)):
        for value in range(256):
            if value != body[index]:
                changed = body[:index] + bytes([value]) + body[index + 1 :]
                assert fate_of(fork(moment.receiver), fitted(header, changed)).reason == "tag"
