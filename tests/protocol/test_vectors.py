"""The golden vectors, read as anybody else would read them, in both directions; and checked without our own code."""

import json

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol import (
    Connection,
    Discarded,
    Framer,
    Reason,
    Refused,
    RemoteProtocolError,
    Role,
    State,
    TerminalNumber,
)
from protocol.codec import decode, encode
from protocol.framing import Frame, build_header, close_frame
from protocol.messages import LAYOUTS, Auth, Challenge, Hello, Message
from protocol.messages.fields import Field
from protocol.security import Seal
from tests.protocol.make_vectors import FILES, FOLDER, fields_of, text_of
from tests.protocol.reference import aes_block, aes_cmac, aes_wrap, crc32c, sp_800_108, xor

FILE = {name: json.loads((FOLDER / name).read_text(encoding="utf-8")) for name in FILES}
KEY_CHANGE = FILE["key_change.json"]
SESSIONS = {name: FILE[name] for name in ("session.json", "functions.json", "settlement.json", "enrolment.json")} | {
    f"key_change.json {part}": KEY_CHANGE[part] for part in ("before", "after")
}
SESSIONS["offline.json"] = FILE["offline.json"]["session"]
MESSAGES = FILE["messages.json"]["messages"]
BAD = FILE["bad.json"]["cases"]
every_session = pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
every_message = pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["message"])


def message_of(vector: dict) -> Message:
    """A message from the fields of a vector: each value is turned back by the type of a good one."""
    layout = LAYOUTS[int(vector["mti"], 16), int(vector["processing_code"], 16)]
    assert layout.message.__name__ == vector["message"]
    return layout.message(**{field.name: value_of(field, vector["fields"][field.name]) for field in layout.fields})


def value_of(field: Field, value):
    if field.row is not None:
        return tuple(field.row(**{c.name: value_of(c, row[c.name]) for c in field.columns}) for row in value)
    if field.expected.endswith(" bytes") or field.expected.startswith("length "):
        return bytes.fromhex(value)
    if isinstance(value, str) and (".." in field.expected or "signed" in field.expected):
        return int(value)
    if field.from_wire is not None and isinstance(value, int):
        return field.from_wire(value)
    return value


@pytest.mark.parametrize("name", FILES)
def test_they_are_what_the_script_makes(name):
    """After a deliberate change: python -m tests.protocol.make_vectors, and read the difference."""
    assert (FOLDER / name).read_text(encoding="utf-8") == text_of(name)


def test_keys_are_plainly_examples():
    for session in SESSIONS.values():
        root = bytes.fromhex(session.get("enrolment_code", session["root_key"]))
        assert root == bytes(range(root[0], root[0] + len(root)))


class TestWithoutOurOwnCode:
    @pytest.mark.parametrize("case", FILE["keys.json"]["derivations"], ids=lambda case: case["label"])
    def test_derivation(self, case):
        key, context = bytes.fromhex(case["key"]), bytes.fromhex(case["context"])
        assert sp_800_108(key, case["label"].encode(), context, case["size"]).hex() == case["output"]

    @every_session
    def test_session(self, session):
        raw = {name: bytes.fromhex(value) for name, value in session.items() if name not in TEXTS}
        frames = [bytes.fromhex(frame["frame"]) for frame in session["frames"]]
        terminal = bytes.fromhex("0003003a")
        context = terminal + raw["terminal_challenge"] + raw["host_challenge"]
        if "enrolment_code" in raw:
            assert sp_800_108(2 * raw["enrolment_code"], b"FK1 enrol", terminal, 32) == raw["root_key"]
        assert sp_800_108(raw["root_key"], b"FK1 mac", terminal, 16) == raw["mac_key"]
        assert sp_800_108(raw["root_key"], b"FK1 t2h", context, 16) == raw["key_terminal_to_host"]
        assert sp_800_108(raw["root_key"], b"FK1 h2t", context, 16) == raw["key_host_to_terminal"]
        hello, challenge = frames[0][:-4], frames[1][:-4]
        assert raw["host_cryptogram_input"] == b"S" + hello + challenge[:-16] + bytes(16)
        assert raw["terminal_cryptogram_input"] == b"T" + hello + challenge
        assert aes_cmac(raw["mac_key"], raw["host_cryptogram_input"]) == raw["host_cryptogram"] == challenge[-16:]
        assert aes_cmac(raw["mac_key"], raw["terminal_cryptogram_input"]) == frames[2][17:33]
        for vector, frame in zip(session["frames"], frames, strict=True):
            assert frame[-4:] == crc32c(frame[:-4]).to_bytes(4, "big")
            assert frame[8:16] == terminal + vector["sequence"].to_bytes(4, "big")
            body = frame[16:-4]
            if frame[3] & 1:
                key = raw["key_terminal_to_host" if vector["sender"] == "terminal" else "key_host_to_terminal"]
                body = AESGCM(key).decrypt(bytes(8) + frame[12:16], body, frame[:16])
            assert body.hex() == vector["body"]

    def test_key_change(self):
        raw = {name: bytes.fromhex(KEY_CHANGE[name]) for name in KEY_CHANGE if name.endswith("_key")}
        context = bytes.fromhex("0003003a") + KEY_CHANGE["key_version"].to_bytes(2, "big")
        assert sp_800_108(raw["root_key"], b"FK1 wrap", context, 32) == raw["wrapping_key"]
        assert aes_wrap(raw["wrapping_key"], raw["new_root_key"]) == raw["wrapped_key"]
        [answer] = [frame for frame in KEY_CHANGE["before"]["frames"] if frame["message"] == "KeyAnswer"]
        assert answer["fields"]["wrapped_key"] == KEY_CHANGE["wrapped_key"]
        assert [KEY_CHANGE[part]["root_key"] for part in ("before", "after")] == [
            KEY_CHANGE["root_key"],
            KEY_CHANGE["new_root_key"],
        ]

    def test_pin_block(self):
        """ISO 9564-1 format 4, from the text of the standard."""
        case = FILE["pin_block.json"]
        raw = {
            name: bytes.fromhex(value) for name, value in case.items() if name not in ("about", "pin", "card_digits")
        }
        session = FILE["session.json"]
        context = bytes.fromhex("0003003a" + session["terminal_challenge"] + session["host_challenge"])
        assert raw["pin_key"] == sp_800_108(bytes.fromhex(session["root_key"]), b"FK1 pin", context, 16)
        assert case["card_digits"] == f"{int.from_bytes(raw['payer'], 'big') % 10**19:019d}"
        assert raw["pin_field"].hex() == f"4{len(case['pin']):x}{case['pin']}".ljust(16, "a") + raw["random_fill"].hex()
        assert raw["card_field"].hex() == f"7{case['card_digits']}".ljust(32, "0")
        assert raw["pin_field_enciphered"] == aes_block(raw["pin_key"], raw["pin_field"])
        block = aes_block(raw["pin_key"], xor(raw["pin_field_enciphered"], raw["card_field"]))
        assert block == raw["pin_block"]
        voids = [vector for vector in FILE["functions.json"]["frames"] if vector["message"] == "VoidRequest"]
        assert [vector["fields"]["pin_block"] for vector in voids] == [case["pin_block"]]

    def test_offline_chain(self):
        case = FILE["offline.json"]
        key = bytes.fromhex(case["saf_key"])
        assert sp_800_108(bytes.fromhex(case["session"]["root_key"]), b"FK1 saf", bytes.fromhex("0003003a"), 16) == key
        sent = [vector for vector in case["session"]["frames"] if vector["message"] == "OfflineSaleRequest"]
        last = bytes(16)
        for number, (record, vector) in enumerate(zip(case["records"], sent, strict=True), 1):
            data = last + number.to_bytes(4, "big") + bytes.fromhex(record["record"])
            assert record["previous_tag"] == last.hex()
            last = aes_cmac(key, data)
            assert record["tag"] == last.hex()
            tail = number.to_bytes(4, "big").hex() + record["previous_tag"] + record["tag"]
            assert vector["body"] == "00" + record["record"] + tail

    @every_message
    def test_message(self, vector):
        key, nonce = (bytes.fromhex(FILE["messages.json"][name]) for name in ("key", "nonce"))
        for name in ("frame_in_clear", "frame_sealed"):
            frame = bytes.fromhex(vector[name])
            assert frame[-4:] == crc32c(frame[:-4]).to_bytes(4, "big")
            body = frame[16:-4]
            assert len(body) == int.from_bytes(frame[6:8], "big")
            if frame[3] & 1:
                body = AESGCM(key).decrypt(nonce, body, frame[:16])
            assert body.hex() == vector["body"]


TEXTS = {"about", "terminal", "frames"}


class TestMessages:
    def test_every_message_is_there(self):
        assert {vector["message"] for vector in MESSAGES} == {layout.message.__name__ for layout in LAYOUTS.values()}

    @every_message
    def test_build(self, vector):
        message = message_of(vector)
        assert encode(message).hex() == vector["body"]
        layout, terminal = message.layout, TerminalNumber.parse(FILE["messages.json"]["terminal"])
        clear = build_header(layout.flags & ~1, layout.mti, layout.size, terminal, FILE["messages.json"]["sequence"])
        assert close_frame(clear, encode(message)).hex() == vector["frame_in_clear"]
        header = build_header(
            layout.flags | 1, layout.mti, layout.size + 16, terminal, FILE["messages.json"]["sequence"]
        )
        sealed = Seal(bytes.fromhex(FILE["messages.json"]["key"])).close(7, header, encode(message))
        assert close_frame(header, sealed).hex() == vector["frame_sealed"]

    @every_message
    def test_parse(self, vector):
        framer = Framer()
        framer.feed(bytes.fromhex(vector["frame_in_clear"]))
        frame = framer.next_frame()
        assert isinstance(frame, Frame)
        message = decode(frame.mti, frame.body)
        assert message == message_of(vector)
        assert fields_of(message) == vector["fields"]
        assert str(message.layout.sender) == vector["sender"]


class TestSessions:
    @every_session
    def test_a_terminal_and_a_host_say_exactly_this(self, session):
        ends = ends_of(session)
        for vector in session["frames"]:
            sender = Role(vector["sender"])
            message = message_of(vector)
            if isinstance(message, Challenge | Auth):
                message = type(message)(**{**as_dict(message), "cryptogram": bytes(16)})
            assert ends[sender].send(message).hex() == vector["frame"]
            assert heard(ends[sender.peer], vector, session) == message_of(vector)

    @every_session
    def test_a_host_alone_follows_the_recording(self, session):
        host = ends_of(session)[Role.HOST]
        for vector in session["frames"]:
            if vector["sender"] == "terminal":
                assert heard(host, vector, session) == message_of(vector)
            else:
                assert host.send(message_of(vector)).hex() == vector["frame"]
        assert host.state is State.CLOSED


def as_dict(message: Message) -> dict:
    return {name: getattr(message, name) for name in message.__struct_fields__}


def ends_of(session: dict) -> dict[Role, Connection]:
    terminal = TerminalNumber.parse(session["terminal"])
    key = bytes.fromhex(session["root_key"])
    return {
        Role.TERMINAL: Connection(Role.TERMINAL, terminal=terminal, root_key=key),
        Role.HOST: Connection(Role.HOST),
    }


def heard(receiver: Connection, vector: dict, session: dict) -> Message:
    receiver.receive_data(bytes.fromhex(vector["frame"]))
    event = receiver.next_event()
    assert isinstance(event, Message)
    if isinstance(event, Hello):
        receiver.use_key(bytes.fromhex(session["root_key"]))
    return event


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["name"].replace(" ", "_"))
def test_bad_frames(case):
    session = FILE["session.json"]
    ends = ends_of(session)
    sale = next(vector for vector in session["frames"] if vector["message"] == "SaleRequest")
    for vector in session["frames"][:4]:
        if ends[Role.HOST].state is State(case["state"]):
            break
        sender = Role(vector["sender"])
        ends[sender].send(message_of(vector))
        heard(ends[sender.peer], vector | {"frame": vector["frame"]}, session)
    if case["state"] == "requested":
        data = ends[Role.TERMINAL].send(message_of(sale))
        heard(ends[Role.HOST], {"frame": data.hex()}, session)
    receiver = ends[Role(case["receiver"])]
    assert receiver.state is State(case["state"])
    receiver.receive_data(bytes.fromhex(case["bytes"]))
    receiver.receive_data(b"")
    if case["outcome"] == "closed":
        with pytest.raises(RemoteProtocolError) as caught:
            receiver.next_event()
        error = caught.value
        assert (error.reason, error.field, error.offset) == (case["reason"], case["field"], case["offset"])
        assert receiver.state is State.CLOSED
        return
    event = receiver.next_event()
    if case["outcome"] == "rejected":
        assert isinstance(event, Refused)
        assert (event.reject.response_code, event.error.reason) == (case["code"], case["reason"])
        assert (event.reject.field, event.reject.offset) == (case["field"], case["offset"])
    else:
        assert isinstance(event, Discarded)
        assert (event.reason, event.size) == (case["reason"], case["size"])
        assert receiver.state is State(case["state"])


def test_every_kind_of_refusal_has_a_vector():
    assert {case["outcome"] for case in BAD} == {"closed", "discarded", "rejected"}
    reasons = {case["reason"] for case in BAD}
    assert reasons == set(Reason)
