"""Everything a peer can do wrong, against a real process: counted, logged, nothing posted, nobody else disturbed."""

from contextlib import contextmanager

import pytest

from protocol import Reason
from protocol.messages import Auth, Reject
from tests.bad_input import BEFORE, HALF, NOISE, REJECTED, VIOLATIONS, expect_reject
from tests.end_to_end.process import CARD, OTHER_CARD


def each(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


@contextmanager
def harmless(campus, host, witness, reason, at_least=1):
    """What happens inside is counted by its reason, posts nothing, and another terminal sells as before."""
    counted = host.count("frames_rejected_total", reason=reason.value)
    transfers = campus.transfers()
    yield
    assert campus.transfers() == transfers
    assert host.count("frames_rejected_total", reason=reason.value) >= counted + at_least
    assert witness.sell(witness.till.sale(OTHER_CARD)).response_code == "00"


@contextmanager
def line_with_a_sale(campus, host):
    """An open session whose last frame and answer can be sent again."""
    with host.sign_on(campus.till()) as line:
        line.last_frame = line.say(line.till.sale(CARD))
        line.last_answer = line.socket.recv(4096)
        line.connection.receive_data(line.last_answer)
        assert line.hear().response_code == "00"
        yield line


@each(BEFORE)
def test_before_authentication_it_is_one_close_without_a_word(case, campus, host, witness):
    failed = host.count("handshakes_total", result="failed")
    with harmless(campus, host, witness, case.reason), host.line(campus.till()) as line:
        line.say_bytes(case.make(line))
        assert line.rest() == b""
    assert host.count("handshakes_total", result="failed") == failed + 1


@pytest.mark.parametrize("part", HALF, ids=["one byte", "a header", "all but one byte"])
def test_half_a_first_frame_then_the_end(part, campus, host, witness):
    with harmless(campus, host, witness, Reason.TRUNCATED), host.line(campus.till()) as line:
        line.say_bytes(part(line))
        line.end()
        assert line.rest() == b""


@each(VIOLATIONS)
def test_a_violation_ends_the_session_and_posts_nothing(case, campus, host, witness):
    with line_with_a_sale(campus, host) as line:
        since = len(host.log)
        with harmless(campus, host, witness, case.reason):
            line.say_bytes(case.make(line))
            assert line.rest() == b""
        entry = host.wait_log("frame refused", since=since, terminal=str(line.till.number), authenticated=True)
        assert case.says in entry["error"]
        host.wait_log("session ended", since=since, terminal=str(line.till.number), reason="protocol")


@each(NOISE)
def test_noise_is_dropped_and_the_session_goes_on(case, campus, host, witness):
    with line_with_a_sale(campus, host) as line:
        since = len(host.log)
        with harmless(campus, host, witness, case.reason):
            line.say_bytes(case.make(line))
            entry = host.wait_log("noise discarded", since=since, terminal=str(line.till.number))
        assert entry["reason"] == case.reason.value
        assert case.says in entry["expected"]
        assert line.sell(line.till.sale(CARD)).response_code == "00"


@each(REJECTED)
def test_what_cannot_be_read_is_rejected_by_name_and_the_session_goes_on(case, campus, host, witness):
    with line_with_a_sale(campus, host) as line:
        since = len(host.log)
        with harmless(campus, host, witness, case.reason):
            frame = case.make(line)
            expect_reject(line)
            line.say_bytes(frame)
            reject = line.hear()
        assert isinstance(reject, Reject)
        assert (reject.response_code, reject.field) == (case.code, case.field)
        assert (reject.expected, reject.got) == (case.expected, case.got)
        entry = host.wait_log("request refused", since=since, terminal=str(line.till.number))
        assert f"expected {case.expected}, got {case.got}" in entry["error"]
        assert line.sell(line.till.sale(CARD)).response_code == "00"


def test_half_a_frame_then_the_end_of_a_session(campus, host, witness):
    with line_with_a_sale(campus, host) as line:
        since = len(host.log)
        with harmless(campus, host, witness, Reason.TRUNCATED):
            line.say_bytes(line.connection.send(line.till.sale(CARD))[:30])
            line.end()
            assert line.rest() == b""
        entry = host.wait_log("frame refused", since=since, terminal=str(line.till.number))
        assert "expected a whole frame, got 30 bytes, then the end" in entry["error"]


def test_a_recorded_session_opens_nothing(campus, host, witness):
    """Every frame of a good session, replayed in a new connection."""
    till = campus.till()
    frames = []
    with host.line(till) as line:
        frames.append(line.say(till.hello()))
        line.hear()
        frames.append(line.say(Auth()))
        line.hear()
        frames.append(line.say(till.sale(CARD)))
        line.hear()
    with harmless(campus, host, witness, Reason.TAG), host.line(till) as replay:
        replay.say_bytes(frames[0])
        challenge = replay.socket.recv(4096)
        assert challenge.startswith(b"FK")
        for frame in frames[1:]:
            replay.say_bytes(frame)
        assert replay.rest() == b""


def test_after_all_of_it_the_books_are_right(campus, host, witness):
    assert witness.sell(witness.till.sale(OTHER_CARD)).response_code == "00"
    assert {entry["log_level"] for entry in host.log if "log_level" in entry} <= {"info", "warning"}
    assert not [entry for entry in host.log if entry.get("level") in ("error", "critical")]
    assert host.noise == []
    campus.verify()
