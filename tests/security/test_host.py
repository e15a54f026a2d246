"""A1, A2, A9: the attacks of this folder against a whole host: its journal is the same after all of them.

What the host says to somebody it does not know, or no longer, or not under this key, differs in nothing from what it
says to a terminal that is as good as any, until the moment it closes.
"""

from __future__ import annotations

import msgspec
import pytest
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from protocol import RemoteProtocolError, Role, TerminalNumber
from protocol.framing import close_frame
from protocol.messages import LAYOUTS, Auth, Challenge, Message, Ready, Reject
from protocol.state import Kind
from server.handlers import money
from tests.protocol.moments import bits
from tests.protocol.pair import forge, with_good_crc
from tests.protocol.samples import SAMPLE_OF
from tests.server.host import CARD, OTHER_CARD, HostRig, Line, open_host
from tests.server.ledger.campus import contents
from tests.wire import Till, query_of, reversal_of

REASONS = ("sync", "version", "flags", "length", "crc", "terminal", "sequence", "tag", "type", "field", "state")


@pytest.fixture(autouse=True)
def quiet():
    """Thousands of refusals are a line each in the host's log."""
    with capture_logs():
        yield


def rejected(rig: HostRig) -> int:
    """Refused frames, whatever the reason."""
    return int(sum(rig.count("frames_rejected_total", reason=reason) for reason in (*REASONS, "truncated")))


def books(rig: HostRig) -> dict:
    """Every row about money, people and cards: all but those about terminals, which were seen."""
    return {name: rows for name, rows in contents(rig.store).items() if not name.startswith("terminal")}


async def deliver(line: Line, data: bytes) -> bytes:
    """Send bytes and the end of the line; all that the host says to them."""
    await line.stream.send_all(data)
    await line.stream.send_eof()
    return await line.rest()


def requests_of(till: Till) -> dict[str, Message]:
    """Every request there is, about a card that has money, so that each would change something if it were taken."""
    found = {}
    for layout in LAYOUTS.values():
        message = SAMPLE_OF[layout.message]
        if layout.kind in (Kind.REQUEST, Kind.SIGN_OFF):
            known = {"payer": CARD, "amount_fen": 100, "stan": 1, "batch": 1}
            changes = {name: value for name, value in known.items() if name in message.__struct_fields__}
            found[layout.title] = msgspec.structs.replace(message, **changes)
    return found


NUMBER = TerminalNumber(3, 1)


WRITTEN_DOWN = {
    *(kind.layout.title for kind in money.KINDS),
    *("reversal", "offline sale", "settlement"),
    *("password change", "tellers"),  # wrong passwords, which are counted
}
"""Requests that leave something behind when they are whole, be it a refusal: it shows if an altered one was taken."""


@pytest.mark.slow
@pytest.mark.parametrize("title", requests_of(Till(NUMBER, bytes(32))))
async def test_every_bit_of_a_request_on_its_way_to_the_host(title):
    """A1: a man in the middle turns each bit of a request, the CRC made right: nothing posted, no answer, counted."""
    async with open_host() as rig:
        till = rig.enrol()
        request = requests_of(till)[title]
        before = books(rig)
        tries = 0
        size = len((await rig.sign_on(till)).connection.send(request))
        for index in range(8 * (size - 4)):
            line = await rig.sign_on(till)
            frame = bytearray(line.connection.send(request))
            frame[index // 8] ^= 1 << index % 8
            assert await deliver(line, with_good_crc(bytes(frame))) == b""
            tries += 1
        assert books(rig) == before
        assert rejected(rig) >= tries
        await wait_all_tasks_blocked()
        answer = await (await rig.sign_on(till)).ask(request)
        assert (books(rig) != before) == (title in WRITTEN_DOWN)
        assert isinstance(answer, LAYOUTS[request.layout.answer_key].message | Reject)


async def record(rig: HostRig, till: Till) -> list[bytes]:
    """What an eavesdropper has of a terminal's own frames: a sale, its copy, a query, a reversal."""
    line = rig.line(till)
    frames = [await line.say(till.hello())]
    assert isinstance(await line.hear(), Challenge)
    frames.append(await line.say(Auth()))
    assert isinstance(await line.hear(), Ready)
    sale = till.sale(CARD, 250)
    for message in (sale, sale, query_of(sale), till.sale(OTHER_CARD, 70), reversal_of(sale)):
        frames.append(await line.say(message))
        assert isinstance(await line.hear(), Message)
    await line.stream.aclose()
    return frames


async def test_recordings_played_again_to_the_same_host():
    """A1: whole sessions, from each frame on, and each frame into an open session of its own or another terminal."""
    async with open_host() as rig:
        tills = [rig.enrol(), rig.enrol()]
        recordings = [await record(rig, till) for till in tills]
        before, answered = books(rig), 0
        for till in tills:
            for frames in recordings:
                for start in range(len(frames)):
                    line = rig.line(till)
                    said = await deliver(line, b"".join(frames[start:]))
                    answered += len(said) > 0
                    assert len(said) in (0, 66)  # a CHALLENGE at most, which anybody gets for a HELLO
                for frame in frames:
                    for data in (frame, into_session(frame, till, 2)):
                        line = await rig.sign_on(till)
                        assert await deliver(line, data) == b""
        assert answered == 4  # the recordings that begin with a HELLO
        assert books(rig) == before
        assert [(await rig.sign_on(till)).connection.state.value for till in tills] == ["ready"] * 2


def into_session(frame: bytes, till: Till, sequence: int) -> bytes:
    """The frame under another terminal and sequence number, its CRC made right."""
    return close_frame(frame[:8] + till.number.to_int().to_bytes(4, "big") + sequence.to_bytes(4, "big"), frame[16:-4])


async def test_answers_reflected_and_sessions_spliced():
    """A1: what the host has said, back to the host; one terminal's sealed sale under another's header."""
    async with open_host() as rig:
        tills = [rig.enrol(), rig.enrol()]
        lines = [await rig.sign_on(till) for till in tills]
        frames = []
        for line in lines:
            await line.say(line.till.sale(CARD))
            frames.append(bytes(await line.stream.receive_some()))
        before = books(rig)
        for frame in frames:
            for till in tills:
                for data in (frame, into_session(frame, till, 2), into_session(frame[:3] + b"\1" + frame[4:], till, 2)):
                    assert await deliver(await rig.sign_on(till), data) == b""
        one, other = [await rig.sign_on(till) for till in tills]
        sales = [line.connection.send(line.till.sale(CARD)) for line in (one, other)]
        assert await deliver(one, close_frame(sales[0][:16], sales[1][16:-4])) == b""
        assert await deliver(other, close_frame(sales[1][:16], sales[0][16:-4])) == b""
        assert books(rig) == before


async def test_a_key_of_an_older_version_opens_nothing():
    """A2: enrolled anew, the old key is worth nothing, under its own version or the new one."""
    async with open_host() as rig:
        old = rig.enrol()
        enrolled = rig.host.admin.terminals.enrol(str(old.number), rig.merchant_id)
        new = Till(old.number, bytes.fromhex(enrolled["root_key"]), enrolled["key_version"])
        assert new.key_version > old.key_version
        before = books(rig)
        for version in (old.key_version, new.key_version, 0, 65535):
            stale = Till(old.number, old.root_key, version)
            assert (await forced_in(rig, stale)) == [66, 0]
            await proves_nothing(rig, stale)
        assert (await forced_in(rig, Till(new.number, new.root_key, old.key_version))) == [66, 0]
        assert books(rig) == before
        assert (await (await rig.sign_on(new)).sell(new.sale(CARD))).response_code == "00"


async def test_a_revoked_terminal_gets_no_further_in():
    """A2: revoked while it sells: the session ends, and no new one comes of its key or its frames."""
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        assert (await line.sell(till.sale(CARD))).response_code == "00"
        recorded = line.connection.send(till.sale(CARD))
        rig.host.admin.terminals.revoke(str(till.number))
        await wait_all_tasks_blocked()
        before = books(rig)
        assert await line.rest() == b""
        await proves_nothing(rig, till)
        assert (await forced_in(rig, till)) == [66, 0]
        assert await deliver(rig.line(till), recorded) == b""
        assert books(rig) == before


async def proves_nothing(rig: HostRig, till: Till) -> None:
    """To this terminal, under this key, the host cannot prove itself: it does not use that key, nor any other of it."""
    line = rig.line(till)
    await line.say(till.hello())
    with pytest.raises(RemoteProtocolError, match="proof of the host's key"):
        await line.hear()
    await line.stream.aclose()


async def forced_in(rig: HostRig, till: Till, *, source: str = "10.0.0.1") -> list[int]:
    """A terminal that does not look at the host's proof: how many bytes the host says to HELLO, and to AUTH."""
    line = rig.line(till, source)
    await line.say(till.hello())
    challenge = bytes(await line.stream.receive_some())
    auth = Auth(cryptogram=bytes(range(16)))
    await line.stream.send_all(forge(line.connection, 0x0800, auth.layout.encode(auth), flags=0))
    rest = await line.rest()
    return [len(challenge), len(rest)]


# -------------------------------------------------------------------------------------------- A9: nothing to learn


async def strangers(rig: HostRig) -> dict[str, Till]:
    """Everybody who is not to be let in, and one who would be, under another key."""
    known, revoked, other = rig.enrol(), rig.enrol(), rig.enrol()
    rig.host.admin.terminals.revoke(str(revoked.number))
    rig.host.admin.terminals.enrol(str(other.number), rig.merchant_id)
    coded = rig.enrol()
    rig.host.admin.terminals.enrol(str(coded.number), rig.merchant_id, with_code=True)
    damaged = rig.enrol()
    rig.store.execute(
        "UPDATE terminals SET wrapped_key = ? WHERE terminal_id = ?", (bytes(40), damaged.number.to_int())
    )
    return {
        "known, with another key": Till(known.number, bytes(32), known.key_version),
        "known, with another version": Till(known.number, known.root_key, known.key_version + 1),
        "known, version 0 without a code": Till(known.number, known.root_key, 0),
        "revoked": revoked,
        "revoked, version 0": Till(revoked.number, revoked.root_key, 0),
        "with the key it had before": other,
        "with another one-time code": Till(coded.number, bytes(32), 0),
        "whose stored key is damaged": damaged,
        "number nobody has": Till(TerminalNumber(9, 9), bytes(32), 1),
        "the host's own number": Till(TerminalNumber(0, 0), bytes(32), 1),
        "number nobody has, version 0": Till(TerminalNumber(9, 9), bytes(32), 0),
    }


async def test_every_refusal_before_authentication_looks_the_same():
    """A9: the same frames of the same sizes and flags with the same facts in them, then the same silent close."""
    async with open_host() as rig:
        seen = {}
        for who, till in (await strangers(rig)).items():
            line = rig.line(till)
            await line.say(till.hello())
            challenge = bytes(await line.stream.receive_some())
            auth = Auth(cryptogram=bytes(range(16)))
            await line.stream.send_all(forge(line.connection, 0x0800, auth.layout.encode(auth), flags=0))
            rest = await line.rest()
            await proves_nothing(rig, till)
            assert challenge[8:12] == till.number.to_int().to_bytes(4, "big")
            # What is left when number, Rs, cryptogram and CRC are taken away; Rs and cryptogram never repeat.
            seen[who] = (challenge[:8], challenge[12:18], challenge[34:46], len(challenge), rest)
            assert challenge[18:34] not in (bytes(16), till.root_key[:16])
        assert len(set(seen.values())) == 1, seen
        await wait_all_tasks_blocked()
        rig.assert_at_rest()


@pytest.mark.parametrize("size", range(0, 65, 5))
async def test_a_first_frame_that_is_cut_or_changed_is_one_silent_close(size):
    """A9: whatever is wrong with the first bytes, there is no word about it."""
    async with open_host() as rig:
        till = rig.enrol()
        hello = till.connection().send(till.hello())
        assert await deliver(rig.line(till), hello[:size]) == b""
        if size:
            changed = next(bits(hello, size, size + 1))
            assert await deliver(rig.line(till), changed) == b""


def test_the_terminals_side_says_nothing_either():
    """A9: to a host that proves nothing a terminal sends nothing more than its HELLO."""
    till = Till(TerminalNumber(3, 58), bytes(32))
    for wrong in (bytes(16), bytes(range(16))):
        connection = till.connection()
        connection.send(till.hello())
        body = Challenge(host_challenge=bytes(16), host_time_ms=0, epoch=1, cryptogram=wrong)
        frame = close_frame(
            bytes.fromhex("464b01020810002e") + till.number.to_int().to_bytes(4, "big") + bytes(4),
            body.layout.encode(body),
        )
        connection.receive_data(frame)
        with pytest.raises(Exception, match="proof of the host's key"):
            connection.next_event()
        assert connection.role is Role.TERMINAL
        with pytest.raises(Exception, match="closed"):
            connection.send(Auth())
