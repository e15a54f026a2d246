"""Terminals that are unknown, revoked, cloned or silent, against a real process."""

from contextlib import contextmanager

import pytest

from protocol import PEER_CLOSED
from protocol.framing import build_header, close_frame
from protocol.messages import EnrolRequest, SignOffAnswer, SignOffRequest
from protocol.security import root_key_from_enrol_code
from tests.bad_input import STRANGER
from tests.end_to_end.process import CARD, OTHER_CARD, Campus, administer, serving
from tests.wire import Till


@contextmanager
def harmless(campus, host, witness):
    """What happens inside posts nothing, and another terminal sells as before."""
    transfers = campus.transfers()
    yield
    assert campus.transfers() == transfers
    assert witness.sell(witness.till.sale(OTHER_CARD)).response_code == "00"


def knock(host, till, source):
    """The bytes somebody sees who says HELLO and then a made-up proof."""
    with host.line(till, source=source) as line:
        line.say(till.hello())
        challenge = line.socket.recv(4096)
        body = b"\x91" + bytes(16)
        line.say_bytes(close_frame(build_header(0, 0x0800, len(body), till.number, 1), body))
        return len(challenge), line.rest()


def test_strangers_see_what_everybody_sees_and_only_the_log_knows_why(campus, host, witness):
    revoked = campus.till()
    administer(campus, "terminal.revoke", terminal=str(revoked.number))
    key = bytes(32)
    strangers = {
        "127.0.1.1": (Till(STRANGER, key), "an enrolled terminal", "a number nobody has"),
        "127.0.1.2": (revoked, "an active terminal", "a revoked one"),
        "127.0.1.3": (Till(campus.till().number, key, 7), "key version 1", "7"),
        "127.0.1.4": (Till(campus.till().number, key, 0), "an open enrolment code", "none"),
        "127.0.1.5": (Till(campus.till().number, key), None, None),
    }
    failed = host.count("handshakes_total", result="failed")
    with harmless(campus, host, witness):
        seen = {knock(host, till, source) for source, (till, *_) in strangers.items()}
    assert len(seen) == 1
    assert {rest for _, rest in seen} == {b""}
    assert host.count("handshakes_total", result="failed") == failed + len(strangers)
    assert host.count("frames_rejected_total", reason="tag") >= len(strangers)
    for source, (till, expected, got) in strangers.items():
        if expected:
            entry = host.wait_log("terminal not admitted", source=source)
            assert (entry["terminal"], entry["expected"], entry["got"]) == (str(till.number), expected, got)


def test_before_authentication_the_log_says_why(campus, host):
    with host.line(campus.till(), source="127.0.0.9") as line:
        line.say_bytes(b"GET / HTTP/1.1\r\n\r\n")
        assert line.rest() == b""
    entry = host.wait_log("frame refused", source="127.0.0.9")
    assert entry["error"] == "sync: offset 0: expected 464b, got 4745"
    assert not entry["authenticated"]


def test_a_terminal_revoked_while_it_works_is_cut(campus, host, witness):
    with host.sign_on(campus.till()) as line:
        assert line.sell(line.till.sale(CARD)).response_code == "00"
        with harmless(campus, host, witness):
            administer(campus, "terminal.revoke", terminal=str(line.till.number))
            assert line.is_over()
    host.wait_log("session ended", terminal=str(line.till.number), reason="revoked")
    assert host.count("sessions_ended_total", reason="revoked") == 1
    administer(campus, "terminal.reinstate", terminal=str(line.till.number))
    with host.sign_on(line.till) as again:
        assert again.sell(line.till.sale(CARD)).response_code == "00"


def test_a_terminal_signed_on_twice_has_the_newer_session(campus, host, witness):
    till = campus.till()
    with host.sign_on(till) as older:
        sale = till.sale(CARD)
        answer = older.sell(sale)
        with harmless(campus, host, witness), host.sign_on(till) as newer:
            assert older.is_over()
            # Either device sends the same once more, and gets the same answer.
            assert newer.sell(sale) == answer
        warning = host.wait_log("session ended", terminal=str(till.number), reason="takeover")
        assert warning["level"] == "info"
    assert host.count("session_takeovers_total") == 1


def test_a_cloned_terminal_that_reuses_an_identity_is_refused_and_alarmed(campus, host, witness):
    till = campus.till()
    clone = Till(till.number, till.root_key)
    with host.sign_on(till) as line:
        line.sell(till.sale(CARD, 500))
    with harmless(campus, host, witness), host.sign_on(clone) as line:
        answer = line.sell(clone.sale(CARD, 600))
        assert answer.response_code == "94"
        assert line.query(clone.sale(CARD)).response_code == "25"
    alarm = host.wait_log(
        "identity reused with other content: expected a copy of the first request", terminal=str(till.number)
    )
    assert alarm["level"] == "error"
    assert host.count("id_conflicts_total") == 1


def test_a_one_time_code_works_one_time(campus, host, witness):
    number = campus.till().number
    offered = administer(campus, "terminal.enrol", terminal=str(number), with_code=True)
    coded = Till(number, root_key_from_enrol_code(bytes.fromhex(offered["code"]), number), key_version=0)
    with harmless(campus, host, witness):
        with host.sign_on(coded) as line:
            assert line.ask(coded.sale(CARD)).response_code == "58"
            answer = line.ask(EnrolRequest(serial_number="EX-1"))
            assert answer.response_code == "00"
            assert line.ask(SignOffRequest()) == SignOffAnswer()
            assert line.is_over()
        assert knock(host, coded, "127.0.2.1")[1] == b""
    till = Till(number, answer.root_key, answer.key_version)
    with host.sign_on(till) as line:
        assert line.sell(till.sale(CARD)).response_code == "00"
    assert answer.root_key.hex() not in str(host.log)


# --- Silence. Short deadlines, so that nobody waits; their exact moments are tested on a virtual clock.


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A campus whose host gives nobody much time."""
    limits = {"handshake_timeout_s": 1.0, "frame_timeout_s": 0.3, "idle_timeout_s": 60}
    campus = Campus(tmp_path_factory.mktemp("impatient") / "data", terminals=20, limits=limits)
    with serving(campus) as host:
        yield campus, host


def test_half_a_frame_then_silence_is_closed(impatient):
    campus, host = impatient
    with host.sign_on(campus.till()) as witness, host.sign_on(campus.till()) as line:
        with harmless(campus, host, witness):
            line.say_bytes(line.connection.send(line.till.sale(CARD))[:30])
            assert line.rest() == b""
        host.wait_log("session ended", terminal=str(line.till.number), reason="frame_timeout")
        assert host.count("sessions_ended_total", reason="frame_timeout") == 1


@pytest.mark.parametrize("said", [0, 1, 16, 50])
def test_half_a_handshake_then_silence_is_closed(impatient, said):
    campus, host = impatient
    timeouts = host.count("handshakes_total", result="timeout")
    till = campus.till()
    with host.sign_on(campus.till()) as witness, host.line(till) as line:
        with harmless(campus, host, witness):
            line.say_bytes(line.connection.send(till.hello())[:said])
            assert line.hear() is PEER_CLOSED
        entry = host.wait_log("handshake not finished", source="127.0.0.1")
        assert (entry["expected"], entry["got"]) == ("READY within 1 s of connecting", "connected")
    assert host.count("handshakes_total", result="timeout") == timeouts + 1


def test_after_all_of_it_the_books_are_right(campus, impatient):
    campus.verify()
    impatient[0].verify()
