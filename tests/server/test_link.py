"""Sessions of a whole host over memory streams: who gets in, who is closed, and what a peer can see of it."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from protocol import PEER_CLOSED, RemoteProtocolError, TerminalNumber
from protocol.messages import Auth, Challenge, Hello, Ready, Reject, SignOffAnswer, SignOffRequest
from server.admission import PEER_PATIENCE_S
from server.ledger import rollback
from server.ledger.ledger import Ledger
from server.ledger.registry import Registry
from server.ledger.store import StoreAway
from server.link import LAST_ANSWER_S
from server.session import BURST_S
from tests.protocol.pair import forge
from tests.server.host import BUSINESS_DAY, CARD, MERCHANT, START_FEN, START_MS, SlowLedger, open_host
from tests.wire import ECHO, Till, query_of

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
            config_version=rig.host.admin.config_version(),
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
        assert [entry["event"] for entry in logs] == ["session opened", "session ended"]


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
        assert rig.count("rollback_seen_total") == 1
        assert rollback.noted(rig.store) == rollback.Rollback(till.number.to_int(), 5, 1, START_MS)
        await line.ask(ECHO)  # money must flow all the same


async def test_a_rollback_is_seen_on_a_full_disk_too(logs):
    async with open_host() as rig:
        till = rig.enrol()
        rig.fill_disk()
        line = rig.line(till)
        await line.ask(Hello(key_version=1, terminal_challenge=bytes(16), last_epoch=5))
        assert isinstance(await line.ask(Auth()), Ready)
        assert rig.count("rollback_seen_total") == 1


async def test_a_recovery_by_hand_is_told_to_terminals_without_a_restart():
    """They connect again, and see an epoch above all they have ever seen."""
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        opened = await rig.gate.call(rig.host.admin.ledger.recover)
        assert await line.is_over()
        again = rig.line(till)
        challenge = await again.ask(Hello(key_version=1, terminal_challenge=bytes(16), last_epoch=900_000))
        assert challenge.epoch == opened["epoch"] > 1_000_000
        ready = await again.ask(Auth())
        assert ready.history == 2
        assert rig.count("rollback_seen_total") == 0


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
        stranger = Till(till.number, bytes(32))
        with pytest.raises(RemoteProtocolError, match="proof of the host's key"):
            await rig.sign_on(stranger)
        assert (await line.sell(till.sale(CARD))).response_code == "00"
        assert rig.count("session_takeovers_total") == 0


async def test_a_request_in_flight_at_a_takeover_is_decided_and_its_copy_gets_the_answer(autojump_clock):
    ledger = SlowLedger()
    async with open_host(executor=ledger) as rig:
        till = rig.enrol()
        older, newer = await rig.sign_on(till), rig.line(till)
        ledger.delay_s = 1
        assert isinstance(await newer.ask(till.hello()), Challenge)
        await newer.say(Auth())
        await wait_all_tasks_blocked()
        sale = till.sale(CARD, 700)
        await older.say(sale)
        assert isinstance(await newer.hear(), Ready)
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


async def test_more_connections_than_allowed_are_closed_at_once(autojump_clock):
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
        assert rig.link.admission.under_way == 0


async def test_accepting_pauses_while_too_many_handshakes_are_under_way(autojump_clock):
    async with open_host(pending_handshakes=3) as rig:
        streams = [rig.connect(f"10.0.1.{number}") for number in range(3)]
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            ready = trio.Event()
            nursery.start_soon(accept_one, rig, ready)
            await trio.sleep(PEER_PATIENCE_S * 0.9)
            assert not ready.is_set()
            await streams[1].aclose()
            await wait_all_tasks_blocked()
            assert ready.is_set()


async def test_a_handshake_that_never_ends_frees_its_place_by_its_deadline(autojump_clock):
    async with open_host(pending_handshakes=3) as rig:
        streams = [rig.connect(f"10.0.1.{number}") for number in range(2)]
        assert [await stream.receive_some() for stream in streams] == [b"", b""]
        assert trio.current_time() == 5
        await wait_all_tasks_blocked()
        rig.assert_at_rest()


async def accept_one(rig, ready):
    await rig.link.wait_ready_to_accept()
    ready.set()


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
        assert rig.count("sessions") == 1


async def test_what_was_sent_before_a_revocation_is_decided_and_what_comes_after_it_moves_nothing(autojump_clock):
    ledger = SlowLedger()
    async with open_host(executor=ledger) as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        ledger.delay_s = 1
        before, after = till.sale(CARD, 100), till.sale(CARD, 100)
        async with trio.open_nursery() as nursery:
            await line.say(before)
            await wait_all_tasks_blocked()
            nursery.start_soon(rig.gate.call, rig.host.admin.terminals.revoke, str(till.number))
            assert (await line.hear()).response_code == "00"
            await line.say(after)
            assert await line.is_over()
        await trio.sleep(5)
        answers = [await rig.host.service.handle(till.number, query_of(sale)) for sale in (before, after)]
        assert [(answer.state.name, answer.response_code) for answer in answers] == [
            ("APPROVED", "00"),
            ("DECLINED", "58"),
        ]
        assert rig.balance_fen() == START_FEN - 100


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
            # A name no READY can carry, put there by hand: building the frame fails, and that is our fault.
            rig.store.execute("UPDATE merchants SET name = char(7)")
        again = rig.line(till)
        assert isinstance(await again.ask(till.hello()), Challenge)
        await again.say(Auth())
        assert await again.rest() == b""
        [entry] = [entry for entry in logs if entry["event"] == "connection failed"]
        assert entry["terminal"] == str(till.number)
        assert rig.count("handshakes_total", result="failed") == 1
        for alive, owner in ((line, till), (other_line, other)):
            assert (await alive.sell(owner.sale(CARD))).response_code == "00"


@pytest.mark.parametrize("asked", ["find_terminal", "newest_identity"])
async def test_whoever_calls_while_the_database_is_away_is_hung_up_on_and_calls_again(logs, monkeypatch, asked):
    """No fault of ours, so no traceback: terminals, and strangers, call all the time."""

    def away(*_):
        raise StoreAway("PostgreSQL: not reachable")

    async with open_host() as rig:
        till = rig.enrol()
        with monkeypatch.context() as patched:
            patched.setattr(Registry if asked == "find_terminal" else Ledger, asked, away)
            line = rig.line(till)
            await line.say(till.hello())
            if asked == "newest_identity":
                assert isinstance(await line.hear(), Challenge)
                await line.say(Auth())
            assert await line.rest() == b""
        assert [entry for entry in logs if entry["event"] == "connection failed"] == []
        assert rig.count("ledger_faults_total", kind="StoreAway") == 1
        assert rig.count("handshakes_total", result="failed") == 1
        line = await rig.sign_on(till)
        assert (await line.sell(till.sale(CARD))).response_code == "00"


async def test_a_damaged_key_looks_like_any_wrong_one_from_outside(logs, autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        with rig.store.transaction():
            rig.store.execute("UPDATE terminals SET wrapped_key = zeroblob(40)")
        line = rig.line(till)
        await line.say(till.hello())
        assert (await line.rest())[:2] == b"FK", "a stranger sees a CHALLENGE too"
        [entry] = [entry for entry in logs if entry["event"] == "terminal not admitted"]
        assert "damaged" in entry["got"]


async def test_a_revoked_terminal_hears_the_answer_it_waits_for_and_then_the_end(autojump_clock):
    """Cut off at once, it would show "not charged" for a sale that is booked, and could never reverse it."""
    executor = SlowLedger()
    async with open_host(executor=executor) as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        executor.delay_s = LAST_ANSWER_S / 2
        await line.say(till.sale(CARD))
        await wait_all_tasks_blocked()
        rig.link.revoke(till.number.to_int())
        answer = await line.hear()
        assert answer.response_code == "00"
        assert await line.is_over()
        assert rig.count("sessions_ended_total", reason="revoked") == 1


async def test_a_revocation_does_not_wait_longer_than_it_may(autojump_clock):
    executor = SlowLedger()
    async with open_host(executor=executor) as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        executor.delay_s = 30
        await line.say(till.sale(CARD))
        await wait_all_tasks_blocked()
        began_s = trio.current_time()
        rig.link.revoke(till.number.to_int())
        assert await line.is_over()
        assert trio.current_time() - began_s == pytest.approx(LAST_ANSWER_S)


async def test_a_terminal_that_asks_too_fast_is_slowed_down_and_costs_only_itself(autojump_clock):
    async with open_host(requests_per_s=10) as rig:
        till, other = rig.enrol(), rig.enrol()
        line, other_line = await rig.sign_on(till), await rig.sign_on(other)
        began_s = trio.current_time()
        for _ in range(120):
            assert (await line.sell(till.sale(CARD))).response_code in ("00", "51", "65")
        assert trio.current_time() - began_s == pytest.approx((120 - BURST_S * 10) / 10, abs=0.2)
        assert rig.count("requests_slowed_total") == pytest.approx(100, abs=1)
        before_s = trio.current_time()
        await other_line.sell(other.sale(CARD))
        assert trio.current_time() == before_s


async def test_requests_that_cannot_be_read_are_slowed_down_too(autojump_clock):
    async with open_host(requests_per_s=10) as rig:
        line = await rig.sign_on(rig.enrol())
        for _ in range(40):
            frame = forge(line.connection, 0x0999, b"\0", flags=1)
            line.connection.send(ECHO)
            await line.stream.send_all(frame)
            assert isinstance(await line.hear(), Reject)
        assert trio.current_time() == pytest.approx((40 - BURST_S * 10) / 10, abs=0.2)
        assert rig.count("requests_slowed_total") >= 19
