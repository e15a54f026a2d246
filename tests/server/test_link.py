"""Sessions of a whole host over memory streams: who gets in, who is closed, and what a peer can see of it."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from protocol import PEER_CLOSED, Connection, Role, TerminalNumber
from protocol.limits import HEADER_SIZE
from protocol.messages import Auth, Challenge, EnrolRequest, Hello, Ready, Reject, SignOffAnswer, SignOffRequest
from protocol.security import root_key_from_enrol_code
from server.link import cut_text
from server.operations.terminals import CODE_LIFETIME_MS
from tests.protocol.pair import forge
from tests.server.host import BUSINESS_DAY, CARD, MERCHANT, START_FEN, START_MS, SlowLedger, open_host
from tests.wire import ECHO, Till, query_of


def events(logs, *names):
    return [entry["event"] for entry in logs if entry["event"] in names]


# --- The handshake


async def test_a_session_opens_with_what_the_terminal_needs_to_know():
    async with open_host() as rig:
        till = rig.enrol()
        line = rig.line(till)
        challenge = await line.ask(till.hello())
        assert isinstance(challenge, Challenge)
        assert (challenge.host_time_ms, challenge.epoch) == (START_MS, 1)
        ready = await line.ask(Auth())
        assert ready == Ready(
            host_time_ms=START_MS,
            business_day=BUSINESS_DAY,
            config_version=1,
            sale_limit_fen=50_000,
            last_batch=0,
            last_stan=0,
            merchant_number=rig.merchant_id,
            merchant_name=MERCHANT,
        )
        assert (rig.count("sessions"), rig.count("connections")) == (1, 1)
        assert rig.count("handshakes_total", result="ready") == 1


async def test_ready_tells_the_newest_transaction_the_host_has():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        till.batch, till.stan = 3, 41
        await line.sell(till.sale(CARD))
        ready = await rig.line(till).shake_hands()
        assert (ready.last_batch, ready.last_stan) == (3, 42)


async def test_a_session_serves_until_the_terminal_signs_off(logs):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        sale = till.sale(CARD)
        answer = await line.sell(sale)
        assert (await line.ask(query_of(sale))).rrn == answer.rrn
        await line.ask(ECHO)
        assert await line.ask(SignOffRequest()) == SignOffAnswer()
        assert await line.is_over()
        rig.assert_at_rest()
        assert rig.count("sessions_ended_total", reason="signed_off") == 1
        assert events(logs, "session opened", "session ended") == ["session opened", "session ended"]


async def test_a_frame_may_come_in_any_pieces():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        for byte in line.connection.send(till.sale(CARD)):
            await line.stream.send_all(bytes([byte]))
            await wait_all_tasks_blocked()
        assert (await line.hear()).response_code == "00"


async def test_requests_sent_without_waiting_are_answered_in_order():
    """A terminal must not, but whoever does gets one whole answer per request, and nothing else."""
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        frames = b""
        for _ in range(3):
            sale = till.sale(CARD, 10)
            frames += forge(line.connection, 0x0200, sale.layout.encode(sale), flags=1)
            line.connection._sent += 1
        await line.stream.send_all(frames)
        await wait_all_tasks_blocked()
        assert rig.balance_fen() == START_FEN - 30
        assert rig.transfers() == 2 + 3


@pytest.mark.parametrize("said", [b"", b"F", b"FK", b"FK\x01\x00\x08\x00\x00"])
async def test_a_visitor_who_leaves_costs_nothing(said):
    async with open_host() as rig:
        stream = rig.connect()
        if said:
            await stream.send_all(said)
        await stream.aclose()
        await wait_all_tasks_blocked()
        rig.assert_at_rest()


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
        challenge = await stream.receive_some()
        self.note(started_s, challenge)
        # It cannot verify the host's proof: it has no key the host knows. It goes on regardless.
        guess = Connection(Role.TERMINAL, terminal=self.till.number, root_key=bytes(32))
        guess.send(self.till.hello())
        await stream.send_all(auth_frame(self.till.number))
        while data := await stream.receive_some():
            self.note(started_s, data)
        self.note(started_s, b"")
        return self

    def note(self, started_s, data):
        self.seen.append((trio.current_time() - started_s, len(data)))


def auth_frame(number):
    """An AUTH frame with a made-up cryptogram."""
    from protocol.framing import build_header, close_frame

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
        assert len(events(logs, "terminal not admitted")) == (1 if expected else 0)
        rig.assert_at_rest()


async def test_the_challenge_of_the_host_is_new_each_time():
    async with open_host() as rig:
        till = rig.enrol()
        challenges = set()
        for _ in range(3):
            challenge = await rig.line(till).ask(till.hello())
            challenges.add(challenge.host_challenge)
        assert len(challenges) == 3


async def test_a_recorded_handshake_opens_nothing():
    async with open_host() as rig:
        till = rig.enrol()
        line = rig.line(till)
        hello = await line.say(till.hello())
        assert isinstance(await line.hear(), Challenge)
        auth = await line.say(Auth())
        assert isinstance(await line.hear(), Ready)
        stream = rig.connect()
        await stream.send_all(hello)
        await stream.receive_some()
        await stream.send_all(auth)
        assert await stream.receive_some() == b""
        assert rig.count("frames_rejected_total", reason="tag") == 1
        await line.ask(ECHO)  # and the real session goes on


async def test_a_terminal_that_has_seen_a_later_epoch_is_an_alarm(logs):
    async with open_host() as rig:
        till = rig.enrol()
        line = rig.line(till)
        await line.ask(Hello(key_version=1, terminal_challenge=bytes(16), last_epoch=5))
        assert isinstance(await line.ask(Auth()), Ready)
        [alarm] = [entry for entry in logs if entry["log_level"] == "error"]
        assert "old backup" in alarm["event"]
        assert (alarm["expected"], alarm["got"]) == ("at most 1", 5)


@pytest.mark.parametrize("version", [(2, 9), (200, 255)])
async def test_a_terminal_of_another_version_is_closed(version):
    async with open_host() as rig:
        line = rig.line(rig.enrol())
        hello = Hello(
            lowest_version=version[0], highest_version=version[1], key_version=1, terminal_challenge=bytes(16)
        )
        await line.say(hello)
        assert await line.rest() == b""
        assert rig.count("frames_rejected_total", reason="version") == 1


# --- Takeover


async def test_the_newer_session_wins(logs):
    async with open_host() as rig:
        till = rig.enrol()
        older = await rig.sign_on(till)
        newer = await rig.sign_on(till, "10.0.0.2")
        assert await older.is_over()
        assert (await newer.sell(till.sale(CARD))).response_code == "00"
        rig.assert_at_rest(sessions=1)
        assert rig.count("session_takeovers_total") == 1
        assert rig.count("sessions_ended_total", reason="takeover") == 1
        [warning] = [entry for entry in logs if entry["log_level"] == "warning"]
        assert (warning["terminal"], warning["event"][:18]) == (str(till.number), "session taken over")


async def test_only_who_has_the_key_can_take_over():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        await Stranger(rig, Till(till.number, bytes(32))).visit()
        assert (await line.sell(till.sale(CARD))).response_code == "00"
        assert rig.count("session_takeovers_total") == 0


async def test_a_request_in_flight_at_a_takeover_is_decided_and_its_copy_gets_the_answer(autojump_clock):
    ledger = SlowLedger()
    async with open_host(executor=ledger) as rig:
        till = rig.enrol()
        older, newer = await rig.sign_on(till), rig.line(till)
        ledger.delay_s = 2
        sale = till.sale(CARD, 700)
        await older.say(sale)
        await wait_all_tasks_blocked()
        await newer.shake_hands()
        assert await older.is_over()
        answer = await newer.sell(sale)
        assert (answer.response_code, answer.balance_fen) == ("00", START_FEN - 700)
        assert rig.balance_fen() == START_FEN - 700
        assert rig.transfers() == 2 + 1


async def test_two_takeovers_at_once_leave_one_session(autojump_clock):
    ledger = SlowLedger()
    async with open_host(executor=ledger) as rig:
        till = rig.enrol()
        lines = [rig.line(till) for _ in range(4)]
        ledger.delay_s = 1
        async with trio.open_nursery() as nursery:
            for line in lines:
                nursery.start_soon(try_to_sign_on, line)
        await wait_all_tasks_blocked()
        rig.assert_at_rest(sessions=1)
        assert rig.count("session_takeovers_total") == 3
        alive = [line for line in lines if line.connection.state == "ready" and not await is_closed(line)]
        assert len(alive) == 1


async def try_to_sign_on(line):
    """Up to READY, or until somebody newer takes over."""
    assert isinstance(await line.ask(line.till.hello()), Challenge)
    await line.say(Auth())
    await line.hear()


async def is_closed(line):
    with trio.move_on_after(0.01):
        return await line.hear() is PEER_CLOSED
    return False


async def test_the_end_of_an_old_session_does_not_unregister_the_new_one():
    async with open_host() as rig:
        till = rig.enrol()
        await rig.sign_on(till)
        await rig.sign_on(till)
        await wait_all_tasks_blocked()
        assert rig.count("sessions") == 1
        rig.host.admin.terminals.revoke(str(till.number))
        await wait_all_tasks_blocked()
        assert rig.count("sessions") == 0


# --- Limits


async def test_more_connections_than_allowed_are_closed_at_once():
    async with open_host(connections=3) as rig:
        lines = [await rig.sign_on(rig.enrol()) for _ in range(2)]
        waiting = rig.connect()
        assert await rig.connect().receive_some() == b""
        assert rig.count("connections_refused_total", reason="full") == 1
        await waiting.aclose()
        await wait_all_tasks_blocked()
        lines.append(await rig.sign_on(rig.enrol()))
        for line in lines:
            await line.ask(ECHO)


async def test_one_source_may_have_so_many_handshakes_under_way(autojump_clock):
    async with open_host(pending_handshakes_per_source=2) as rig:
        crowd = [rig.connect("10.0.0.9") for _ in range(2)]
        await wait_all_tasks_blocked()
        assert await rig.connect("10.0.0.9").receive_some() == b""
        assert rig.count("connections_refused_total", reason="source") == 1
        # Another source is served, and an open session counts no more.
        tills = [rig.enrol() for _ in range(4)]
        for till in tills:
            await (await rig.sign_on(till)).ask(ECHO)
        await crowd[0].aclose()
        await wait_all_tasks_blocked()
        await rig.sign_on(tills[0], "10.0.0.9")
        await trio.sleep(6)
        assert rig.link._handshakes == {}


async def test_accepting_pauses_while_too_many_handshakes_are_under_way(autojump_clock):
    async with open_host(pending_handshakes=3) as rig:
        streams = [rig.connect(f"10.0.1.{number}") for number in range(3)]
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as scope:
            await rig.link.wait_ready_to_accept()
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.link.wait_ready_to_accept)
            await wait_all_tasks_blocked()
            await streams[1].aclose()
        # A handshake that never ends frees its place by its deadline: nobody waits for ever.
        rig.connect("10.0.1.9")
        await wait_all_tasks_blocked()
        await rig.link.wait_ready_to_accept()
        assert trio.current_time() - autojump_start(rig) <= 6


def autojump_start(_rig):
    return 0.0


async def test_an_open_session_is_no_handshake_any_more():
    async with open_host(pending_handshakes=1, pending_handshakes_per_source=1) as rig:
        for _ in range(3):
            await rig.sign_on(rig.enrol())
            await rig.link.wait_ready_to_accept()
        assert rig.count("sessions") == 3


# --- Revocation


async def test_a_revoked_terminals_session_is_cut():
    async with open_host() as rig:
        till, other = rig.enrol(), rig.enrol()
        line, other_line = await rig.sign_on(till), await rig.sign_on(other)
        await rig.gate.call(rig.host.admin.terminals.revoke, str(till.number))
        assert await line.is_over()
        assert rig.count("sessions_ended_total", reason="revoked") == 1
        assert (await other_line.sell(other.sale(CARD))).response_code == "00"
        again = rig.line(till)
        await again.say(till.hello())
        await again.stream.receive_some()
        await again.stream.send_all(auth_frame(till.number))
        assert await again.stream.receive_some() == b""


async def test_a_request_in_flight_at_a_revocation_is_decided_and_nothing_later(autojump_clock):
    ledger = SlowLedger()
    async with open_host(executor=ledger) as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        ledger.delay_s = 1
        await line.say(till.sale(CARD, 100))
        await wait_all_tasks_blocked()
        await rig.gate.call(rig.host.admin.terminals.revoke, str(till.number))
        assert await line.is_over()
        await trio.sleep(5)
        assert rig.balance_fen() == START_FEN - 100
        assert (await rig.host.service.handle(till.number, till.sale(CARD, 100))).response_code == "58"


async def test_a_terminal_revoked_during_its_handshake_gets_no_session(logs):
    async with open_host() as rig:
        till = rig.enrol()
        line = rig.line(till)
        assert isinstance(await line.ask(till.hello()), Challenge)
        await rig.gate.call(rig.host.admin.terminals.revoke, str(till.number))
        await line.say(Auth())
        assert await line.rest() == b""
        rig.assert_at_rest()
        assert rig.count("handshakes_total", result="ready") == 0


async def test_a_terminal_given_a_new_key_during_its_handshake_gets_no_session():
    async with open_host() as rig:
        till = rig.enrol()
        line = rig.line(till)
        assert isinstance(await line.ask(till.hello()), Challenge)
        await rig.gate.call(rig.host.admin.terminals.enrol, str(till.number))
        await line.say(Auth())
        assert await line.rest() == b""
        rig.assert_at_rest()


async def test_revoking_who_is_not_here_is_nothing():
    async with open_host() as rig:
        rig.link.revoke(TerminalNumber(60_000, 60_000).to_int())


# --- Enrolment by code


def code_till(rig, number=TerminalNumber(5, 5), serial_number=""):
    """A terminal that has nothing but a one-time code."""
    offered = rig.host.admin.terminals.enrol(str(number), rig.merchant_id, serial_number, with_code=True)
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


# --- Bytes after authentication


async def test_an_authentic_request_that_cannot_be_read_is_rejected_and_the_session_goes_on(logs):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        frame = forge(line.connection, 0x0999, b"\x00", flags=1)
        line.connection.send(ECHO)
        await line.stream.send_all(frame)
        reject = await line.hear()
        assert isinstance(reject, Reject)
        assert (reject.rejected_mti, reject.response_code) == (0x0999, "40")
        assert rig.count("frames_rejected_total", reason="type") == 1
        [entry] = [entry for entry in logs if entry["event"] == "request refused"]
        assert "expected" in entry["error"]
        assert (await line.sell(till.sale(CARD))).response_code == "00"


async def test_noise_is_dropped_counted_and_logged_with_what_was_expected(logs):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        await line.stream.send_all(b"noise" * 100)
        await line.ask(ECHO)
        assert rig.count("frames_rejected_total", reason="sync") >= 1
        entry = next(entry for entry in logs if entry["event"] == "noise discarded")
        assert (entry["expected"], entry["got"]) == ("464b", b"no".hex())


async def test_a_violation_ends_the_session_without_a_word(logs):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        frame = await line.say(ECHO)
        await line.hear()
        await line.stream.send_all(frame)
        assert await line.rest() == b""
        assert rig.count("frames_rejected_total", reason="sequence") == 1
        assert rig.count("sessions_ended_total", reason="protocol") == 1
        [entry] = [entry for entry in logs if entry["event"] == "frame refused"]
        assert entry["authenticated"]
        assert entry["error"] == "sequence: sequence at offset 12: expected 3, got 2"


# --- Faults of our own


async def test_a_fault_of_ours_ends_one_connection_and_approves_nothing(logs):
    async with open_host() as rig:
        till, other = rig.enrol(), rig.enrol()
        line, other_line = await rig.sign_on(till), await rig.sign_on(other)
        with rig.store.transaction():
            # Not a key under this KEK: `unwrap` raises, as it would for a damaged row.
            rig.store.execute(
                "UPDATE terminals SET wrapped_key = zeroblob(40) WHERE terminal_id = ?", (till.number.to_int(),)
            )
        again = rig.line(till)
        await again.say(till.hello())
        assert await again.rest() == b""
        [entry] = [entry for entry in logs if entry["event"] == "connection failed"]
        assert entry["terminal"] == str(till.number)
        assert rig.count("handshakes_total", result="failed") == 1
        for alive, owner in ((line, till), (other_line, other)):
            assert (await alive.sell(owner.sale(CARD))).response_code == "00"


def test_text_is_cut_between_characters():
    assert cut_text("食堂", 6) == "食堂"
    assert cut_text("食堂", 5) == "食"
    assert cut_text("食堂", 2) == ""
    assert cut_text("a食", 3) == "a"


def test_the_first_frame_of_a_stranger_is_small():
    assert HEADER_SIZE + 76 + 4 == 96
