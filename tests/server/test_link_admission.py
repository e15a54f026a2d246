"""Who is not let in, and that nobody outside can tell why; and the one session a one-time code opens."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from protocol import TerminalNumber
from protocol.framing import build_header, close_frame
from protocol.messages import EnrolRequest, Reject, SignOffAnswer, SignOffRequest
from protocol.security import root_key_from_enrol_code
from server.link import ENROL_REQUESTS_MAX, STRANGER_LINES_PER_S
from server.operations.terminals import CODE_LIFETIME_MS
from tests.bad_input import expect_reject
from tests.protocol.pair import forge
from tests.server.host import CARD, START_FEN, SlowLedger, open_host
from tests.wire import ECHO, Till

# --- Who is not let in: from outside, all of them look the same


class Stranger:
    """Says HELLO, then AUTH with a wrong proof, and keeps every byte it sees and when."""

    def __init__(self, rig, till):
        self.rig, self.till = rig, till
        self.seen: list[tuple[float, int]] = []

    async def visit(self):
        stream = self.rig.connect()
        connection = self.till.connection()
        started_s = trio.current_time()
        await stream.send_all(connection.send(self.till.hello()))
        self.note(started_s, await stream.receive_some())
        # It cannot verify the host's proof, as it has no key that the host knows. It goes on regardless.
        await stream.send_all(auth_frame(self.till.number))
        while data := await stream.receive_some():
            self.note(started_s, data)
        self.note(started_s, b"")
        return self

    def note(self, started_s, data):
        self.seen.append((trio.current_time() - started_s, len(data)))


def auth_frame(number):
    """An AUTH frame with a made-up cryptogram."""
    body = bytes([0x91]) + bytes(range(16))
    return close_frame(build_header(0, 0x0800, len(body), number, 1), body)


def not_admitted(rig):
    """Everybody the host must turn away, and what its log says of each."""
    known = rig.enrol()
    revoked = rig.enrol()
    rig.host.admin.terminals.revoke(str(revoked.number))
    coded = TerminalNumber(7, 7)
    rig.host.admin.terminals.enrol(str(coded), rig.merchant_id, with_code=True)
    stale = TerminalNumber(7, 8)
    rig.host.admin.terminals.enrol(str(stale), rig.merchant_id, with_code=True)
    with rig.store.transaction():
        rig.store.execute("UPDATE terminals SET code_expires_at_ms = ? WHERE terminal_id = ?", (0, stale.to_int()))
    key = bytes(range(32))
    return {
        "unknown": (Till(TerminalNumber(9, 9), key), "an enrolled terminal", "a number nobody has"),
        "revoked": (revoked, "an active terminal", "a revoked one"),
        "old key": (Till(known.number, known.root_key, 2), "key version 1", "2"),
        "wrong key": (Till(known.number, key), "", ""),
        "no key yet": (Till(coded, key), "a terminal with a key", "one that has none yet"),
        "no code": (Till(known.number, key, 0), "an open enrolment code", "none"),
        "expired code": (Till(stale, key, 0), "an open enrolment code", "an expired one"),
    }


CASES = ["unknown", "revoked", "old key", "wrong key", "no key yet", "no code", "expired code"]


async def test_all_who_are_turned_away_see_the_same_bytes_at_the_same_time(autojump_clock):
    async with open_host(executor=SlowLedger(0.25)) as rig:
        strangers = not_admitted(rig)
        assert list(strangers) == CASES
        seen = {case: (await Stranger(rig, till).visit()).seen for case, (till, *_) in strangers.items()}
        expected = [(0.25, seen["wrong key"][0][1]), (0.25, 0)]
        assert seen == dict.fromkeys(CASES, expected)
        await wait_all_tasks_blocked()
        rig.assert_at_rest()


@pytest.mark.parametrize("case", CASES)
async def test_whoever_is_turned_away_is_counted_and_logged_with_the_reason(case, logs):
    async with open_host() as rig:
        till, expected, got = not_admitted(rig)[case]
        await Stranger(rig, till).visit()
        assert rig.count("handshakes_total", result="failed") == 1
        assert rig.count("frames_rejected_total", reason="tag") == 1
        [refused] = [entry for entry in logs if entry["event"] == "frame refused"]
        assert (refused["terminal"], refused["authenticated"]) == (str(till.number), False)
        assert "expected proof of the terminal's key, got another" in refused["error"]
        reasons = [entry for entry in logs if entry["event"] == "terminal not admitted"]
        assert [(e["terminal"], e["source"], e["expected"], e["got"]) for e in reasons] == (
            [(str(till.number), "10.0.0.1", expected, got)] if expected else []
        )


@pytest.mark.parametrize("case", CASES)
async def test_a_terminal_that_notices_itself_and_leaves_is_counted_too(case, logs):
    """A real terminal with a wrong key sees that the host's proof is wrong, and closes first."""
    async with open_host() as rig:
        till, expected, _ = not_admitted(rig)[case]
        line = rig.line(till)
        await line.say(till.hello())
        await line.stream.receive_some()
        await line.stream.aclose()
        await wait_all_tasks_blocked()
        # With the right number and version, only its own proof could show that the key is wrong.
        assert rig.count("handshakes_total", result="failed") == (1 if expected else 0)
        assert [entry["event"] for entry in logs] == (["terminal not admitted"] if expected else [])
        rig.assert_at_rest()


async def test_the_challenge_of_the_host_is_new_each_time():
    async with open_host() as rig:
        till = rig.enrol()
        challenges = set()
        for _ in range(3):
            challenge = await rig.line(till).ask(till.hello())
            challenges.add(challenge.host_challenge)
        assert len(challenges) == 3


async def test_strangers_cannot_fill_the_log(logs, autojump_clock):
    async with open_host() as rig:
        till = Till(TerminalNumber(9, 9), bytes(32))
        for _ in range(3 * STRANGER_LINES_PER_S):
            await Stranger(rig, till).visit()
        assert len(logs) == STRANGER_LINES_PER_S
        assert rig.count("handshakes_total", result="failed") == 3 * STRANGER_LINES_PER_S
        await trio.sleep(1)
        await Stranger(rig, till).visit()
        assert len(logs) > STRANGER_LINES_PER_S


# --- Enrolment by code


def code_till(rig):
    """A terminal that has nothing but a one-time code."""
    number = TerminalNumber(5, 5)
    offered = rig.host.admin.terminals.enrol(str(number), rig.merchant_id, with_code=True)
    return Till(number, root_key_from_enrol_code(bytes.fromhex(offered["code"]), number), key_version=0)


async def test_a_code_opens_a_session_that_gives_the_key():
    async with open_host() as rig:
        till = code_till(rig)
        line = await rig.sign_on(till)
        assert rig.count("handshakes_total", result="enrol") == 1
        assert rig.count("sessions") == 0
        answer = await line.ask(EnrolRequest(serial_number="EX-1"))
        assert (answer.response_code, answer.key_version) == ("00", 1)
        assert await line.ask(SignOffRequest()) == SignOffAnswer()
        assert await line.is_over()
        rig.assert_at_rest()
        enrolled = Till(till.number, answer.root_key, answer.key_version)
        assert (await (await rig.sign_on(enrolled)).sell(enrolled.sale(CARD))).response_code == "00"
        assert rig.count("handshakes_total", result="failed") == 0


async def test_a_session_opened_by_a_code_can_do_nothing_else():
    async with open_host() as rig:
        till = code_till(rig)
        line = await rig.sign_on(till)
        for message in (till.sale(CARD), ECHO):
            reject = await line.ask(message)
            assert isinstance(reject, Reject)
            assert reject.response_code == "58"
        assert rig.balance_fen() == START_FEN
        assert (await line.ask(EnrolRequest(serial_number="EX-1"))).response_code == "00"


async def test_a_code_replaced_by_a_newer_one_gives_nothing():
    async with open_host() as rig:
        line = await rig.sign_on(code_till(rig))
        code_till(rig)
        assert (await line.ask(EnrolRequest(serial_number="EX-1"))).response_code == "58"


async def test_a_code_that_expires_in_its_session_gives_nothing():
    async with open_host() as rig:
        line = await rig.sign_on(code_till(rig))
        rig.clock.ms += CODE_LIFETIME_MS
        assert (await line.ask(EnrolRequest(serial_number="EX-1"))).response_code == "58"


async def test_the_end_of_an_enrolment_is_no_failed_handshake(autojump_clock):
    async with open_host() as rig:
        line = await rig.sign_on(code_till(rig))
        await trio.sleep(100)
        assert await line.is_over()
        assert rig.count("handshakes_total", result="failed") + rig.count("handshakes_total", result="timeout") == 0


async def test_an_enrolment_has_the_time_of_one_handshake(autojump_clock):
    """Whatever it asks in between: one code must not hold many connections for long."""
    async with open_host() as rig:
        line = await rig.sign_on(code_till(rig))
        for _ in range(ENROL_REQUESTS_MAX - 1):
            await trio.sleep(1.5)
            await line.ask(ECHO)
        assert await line.is_over()
        assert trio.current_time() == 5
        await wait_all_tasks_blocked()
        rig.assert_at_rest()


async def test_an_enrolment_may_ask_a_few_times_and_no_more():
    async with open_host() as rig:
        line = await rig.sign_on(code_till(rig))
        for _ in range(ENROL_REQUESTS_MAX):
            assert isinstance(await line.ask(ECHO), Reject)
        assert await line.is_over()


async def test_an_enrolment_request_that_cannot_be_read_is_rejected(logs):
    async with open_host() as rig:
        line = await rig.sign_on(code_till(rig))
        frame = forge(line.connection, 0x0999, b"\0", flags=1)
        expect_reject(line)
        await line.stream.send_all(frame)
        reject = await line.hear()
        assert isinstance(reject, Reject)
        assert (reject.rejected_mti, reject.response_code) == (0x0999, "40")
        assert rig.count("frames_rejected_total", reason="type") == 1
        assert [entry["event"] for entry in logs] == ["request refused"]
        assert (await line.ask(EnrolRequest(serial_number="EX-1"))).response_code == "00"


@pytest.mark.parametrize("noise", [b"", b"noise on the line"])
async def test_an_enrolment_that_leaves_or_makes_noise_is_over(noise, logs):
    async with open_host() as rig:
        line = await rig.sign_on(code_till(rig))
        if noise:
            await line.stream.send_all(noise)
            assert await line.is_over()
        await line.stream.aclose()
        await wait_all_tasks_blocked()
        rig.assert_at_rest()
        assert rig.count("handshakes_total", result="failed") == 0
        assert rig.count("frames_rejected_total", reason="sync") == bool(noise)
        assert [entry["event"] for entry in logs] == (["noise discarded"] if noise else [])
