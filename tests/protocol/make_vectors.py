"""Makes the golden vectors: `python -m tests.protocol.make_vectors` writes tests/protocol/vectors/*.json.

They are language-neutral: hex, decimal integers (as text above 2**53), and names. Whoever writes a terminal can test it
against them; here they are tests, examples of the documentation, and seeds for fuzzing. What they hold may grow; a
change of what stands there already is a change of the wire.
"""

import json
from enum import IntEnum
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol import Connection, Discarded, Refused, RemoteProtocolError, Role, State
from protocol.framing import build_header, close_frame
from protocol.limits import TAG_SIZE
from protocol.messages import (
    LAYOUTS,
    Auth,
    EchoAnswer,
    EchoRequest,
    EnrolAnswer,
    EnrolRequest,
    EntryMode,
    KeyAnswer,
    KeyRequest,
    Layout,
    Message,
    QueryAnswer,
    QueryRequest,
    RefundRequest,
    ReversalAnswer,
    SignOffAnswer,
    SignOffRequest,
    TopUpAnswer,
    TransactionState,
    UploadVerdict,
)
from protocol.messages.fields import Field
from protocol.messages.link import NO_CRYPTOGRAM
from protocol.messages.money import TransactionKind
from protocol.messages.offline import RECORD_SIZE, OfflineVerdict
from protocol.pin_block import card_digits, card_field, pin_field
from protocol.security import (
    LABEL_ENROL,
    LABEL_HOST_TO_TERMINAL,
    LABEL_MAC,
    LABEL_PIN,
    LABEL_SAF,
    LABEL_TERMINAL_TO_HOST,
    LABEL_WRAP,
    Seal,
    derive,
    root_key_from_enrol_code,
    wrapping_key,
)
from tests.protocol.example import (
    ENROL_CODE,
    HOST_CHALLENGE,
    NOW_MS,
    NOW_S,
    OTHER_KEY,
    PAYER,
    PIN,
    PIN_BLOCK,
    PIN_FILL,
    PIN_KEY,
    ROOT_KEY,
    SAF_KEY,
    TERMINAL,
    TERMINAL_CHALLENGE,
)
from tests.protocol.pair import ConnectionPair, forge, with_good_crc
from tests.protocol.samples import (
    CHALLENGE,
    HELLO,
    KEY_ANSWER,
    KEY_REQUEST,
    OF_THE_SALE,
    READY,
    REJECT,
    REVERSAL,
    SALE,
    SALE_ANSWER,
    SAMPLE_OF,
    SAMPLES,
    UPLOAD,
    UPLOAD_ANSWER,
    answered,
    asked,
)
from tests.protocol.samples_of_service import OFFLINE_ANSWER, OFFLINE_SALES, SETTLEMENT

FOLDER = Path(__file__).parent / "vectors"
EXACT_IN_JSON = 2**53  # above it many JSON readers lose digits
CONTEXT = TERMINAL.to_int().to_bytes(4, "big")


def plain(value):
    """A field's value as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, int) and abs(value) > EXACT_IN_JSON:
        return str(value)
    if isinstance(value, tuple):
        return [{name: plain(getattr(row, name)) for name in row.__struct_fields__} for row in value]
    return value


def fields_of(message: Message) -> dict:
    return {name: plain(getattr(message, name)) for name in message.__struct_fields__}


def name_of(message: Message) -> str:
    return type(message).__name__


def type_of(message: Message) -> dict:
    layout = message.layout
    return {
        "message": name_of(message),
        "mti": f"{layout.mti:04x}",
        "processing_code": f"{layout.processing_code:02x}",
        "sender": str(layout.sender),
    }


# --------------------------------------------------------------------------------------------------- keys


def make_keys() -> dict:
    session = CONTEXT + TERMINAL_CHALLENGE + HOST_CHALLENGE
    cases = [
        ("K_mac: cryptograms of the handshake", ROOT_KEY, LABEL_MAC, CONTEXT, 16),
        ("K_t2h: frames from terminal to host", ROOT_KEY, LABEL_TERMINAL_TO_HOST, session, 16),
        ("K_h2t: frames from host to terminal", ROOT_KEY, LABEL_HOST_TO_TERMINAL, session, 16),
        ("root key of an enrolment session", ENROL_CODE + ENROL_CODE, LABEL_ENROL, CONTEXT, 32),
        ("K_wrap: carries the root key of version 3", ROOT_KEY, LABEL_WRAP, CONTEXT + bytes([0, 3]), 32),
        ("K_pin: PIN blocks of this session", ROOT_KEY, LABEL_PIN, session, 16),
        ("K_saf: the chain of offline records", ROOT_KEY, LABEL_SAF, CONTEXT, 16),
    ]
    return {
        "about": "SP 800-108 in counter mode, AES-256-CMAC: every block is"
        " CMAC(key, counter as u32 | label | 00 | context | length in bits as u32). Example keys.",
        "derivations": [
            {
                "name": name,
                "key": key.hex(),
                "label": label.decode(),
                "context": context.hex(),
                "size": size,
                "output": derive(key, label, context, size).hex(),
            }
            for name, key, label, context, size in cases
        ],
    }


def make_pin_block() -> dict:
    """One PIN on its way into a PIN block, step by step, in the session of session.json."""
    field, card = pin_field(PIN, PIN_FILL), card_field(card_digits(PAYER))
    encryptor = Cipher(algorithms.AES(PIN_KEY), modes.ECB()).encryptor()  # noqa: S305 - the bare cipher, as ISO 9564-1 has it
    first = encryptor.update(field)
    return {
        "about": "A PIN block of ISO 9564-1 format 4 under K_pin: E(E(PIN field) XOR card field). Example keys.",
        "pin": PIN,
        "payer": PAYER.hex(),
        "card_digits": card_digits(PAYER),
        "random_fill": PIN_FILL.hex(),
        "pin_key": PIN_KEY.hex(),
        "pin_field": field.hex(),
        "pin_field_enciphered": first.hex(),
        "card_field": card.hex(),
        "pin_block": PIN_BLOCK.hex(),
    }


# ----------------------------------------------------------------------------------------------- sessions


def make_session(about: str, key: bytes, conversation: list[tuple[Role, Message]], **more: str) -> dict:
    """A whole session, frame by frame. Messages of the handshake get their cryptograms."""
    pair = ConnectionPair(terminal_key=key, host_key=key)
    heard = [pair.send(sender, message) for sender, message in conversation]
    frames = [line.data for line in pair.lines]
    hello, challenge = frames[0][:-4], frames[1][:-4]
    session_context = CONTEXT + TERMINAL_CHALLENGE + HOST_CHALLENGE
    return {
        "about": about,
        "terminal": str(TERMINAL),
        **more,
        "root_key": key.hex(),
        "terminal_challenge": TERMINAL_CHALLENGE.hex(),
        "host_challenge": HOST_CHALLENGE.hex(),
        "mac_key": derive(key, LABEL_MAC, CONTEXT).hex(),
        "key_terminal_to_host": derive(key, LABEL_TERMINAL_TO_HOST, session_context).hex(),
        "key_host_to_terminal": derive(key, LABEL_HOST_TO_TERMINAL, session_context).hex(),
        "host_cryptogram_input": (b"S" + hello + challenge[: -len(NO_CRYPTOGRAM)] + NO_CRYPTOGRAM).hex(),
        "host_cryptogram": challenge[-len(NO_CRYPTOGRAM) :].hex(),
        "terminal_cryptogram_input": (b"T" + hello + challenge).hex(),
        "terminal_cryptogram": frames[2][-20:-4].hex(),
        "frames": [
            {
                **type_of(message),
                "sequence": int.from_bytes(data[12:16], "big"),
                "fields": fields_of(message),
                "body": message.layout.encode(message).hex(),
                "frame": data.hex(),
            }
            for message, data in zip(heard, frames, strict=True)
        ],
    }


HANDSHAKE = [(Role.TERMINAL, HELLO), (Role.HOST, CHALLENGE), (Role.TERMINAL, Auth()), (Role.HOST, READY)]
TOO_MUCH = msgspec.structs.replace(SALE, stan=124, amount_fen=19_900)
DECLINED = msgspec.structs.replace(
    SALE_ANSWER, stan=124, amount_fen=19_900, response_code="51", charged_fen=0, points=0, rrn=9_000_000_002
)
PAYMENT_CODE = b"2860012345678901"
REVERSED = msgspec.structs.replace(
    REVERSAL, stan=122, amount_fen=800, entry_mode=EntryMode.CODE, payer=PAYMENT_CODE, claimed_at_s=NOW_S - 60
)
NEVER_SEEN = QueryAnswer(
    stan=122,
    batch=17,
    state=TransactionState.NEVER_SEEN,
    response_code="25",
    amount_fen=800,
    rrn=0,
    balance_fen=0,
    posted_at_ms=0,
)
DONE = ReversalAnswer(
    stan=122,
    batch=17,
    reversed_fen=0,
    response_code="00",
    rrn=9_000_000_000,
    balance_fen=10_000,
    posted_at_ms=NOW_MS,
)


def make_day() -> dict:
    conversation = [
        *HANDSHAKE[:3],
        (Role.HOST, msgspec.structs.replace(READY, last_stan=121)),
        (Role.TERMINAL, QueryRequest(stan=122, batch=17, amount_fen=800, payer=PAYMENT_CODE, claimed_at_s=NOW_S - 60)),
        (Role.HOST, NEVER_SEEN),
        (Role.TERMINAL, REVERSED),
        (Role.HOST, DONE),
        (Role.TERMINAL, SALE),
        (Role.HOST, SALE_ANSWER),
        (Role.TERMINAL, TOO_MUCH),
        (Role.HOST, DECLINED),
        (Role.TERMINAL, SAMPLE_OF[EchoRequest]),
        (Role.HOST, SAMPLE_OF[EchoAnswer]),
        (Role.TERMINAL, SignOffRequest()),
        (Role.HOST, SignOffAnswer()),
    ]
    about = (
        "A whole session: handshake; query for sale 122, open since the last session ended, and its reversal;"
        " a sale approved, a sale declined; echo test; sign-off."
    )
    return make_session(about, ROOT_KEY, conversation)


def made_session(about: str, said: list[Message], **ready: int) -> dict:
    """A session of the example terminal, from handshake to sign-off."""
    conversation = [
        *HANDSHAKE[:3],
        (Role.HOST, msgspec.structs.replace(READY, **ready)),
        *((message.layout.sender, message) for message in said),
        (Role.TERMINAL, SignOffRequest()),
        (Role.HOST, SignOffAnswer()),
    ]
    return make_session(about, ROOT_KEY, conversation)


def make_functions() -> dict:
    return made_session(
        "What follows the sale of session.json, in a session of its own: every other kind of request for money, and the"
        " answer to each.",
        OF_THE_SALE,
        last_stan=123,
    )


def make_settlement() -> dict:
    return made_session(
        "The settlement of a batch of five records of which the host has one with another amount: totals, upload,"
        " differences, close.",
        SETTLEMENT,
    )


def make_offline() -> dict:
    """Two records made offline, their tags, and the session in which they go up."""
    answers = [
        OFFLINE_ANSWER,
        msgspec.structs.replace(
            OFFLINE_ANSWER,
            stan=141,
            amount_fen=1_200,
            verdict=OfflineVerdict.STOPPED,
            response_code="41",
            rrn=9_000_000_021,
            charged_fen=0,
            next_saf_sequence=3,
            last_tag=OFFLINE_SALES[1].tag,
        ),
    ]
    said = [message for pair in zip(OFFLINE_SALES, answers, strict=True) for message in pair]
    return {
        "about": "Two sales made offline and chained under K_saf: tag = CMAC(previous tag | saf_sequence as u32 |"
        " record). The second is of a stopped card.",
        "saf_key": SAF_KEY.hex(),
        "records": [
            {
                "saf_sequence": sale.saf_sequence,
                "previous_tag": sale.previous_tag.hex(),
                "record": sale.layout.encode(sale)[1 : 1 + RECORD_SIZE].hex(),
                "tag": sale.tag.hex(),
            }
            for sale in OFFLINE_SALES
        ],
        "session": made_session("The session in which both records go up.", said, last_stan=139),
    }


def make_enrolment() -> dict:
    conversation = [
        (Role.TERMINAL, msgspec.structs.replace(HELLO, key_version=0, last_epoch=0)),
        *HANDSHAKE[1:],
        (Role.TERMINAL, SAMPLE_OF[EnrolRequest]),
        (Role.HOST, EnrolAnswer(response_code="00", key_version=1, root_key=OTHER_KEY)),
        (Role.TERMINAL, SignOffRequest()),
        (Role.HOST, SignOffAnswer()),
    ]
    key = root_key_from_enrol_code(ENROL_CODE, TERMINAL)
    about = "Enrolment with a one-time code: key version 0, the code stands in for the root key."
    return make_session(about, key, conversation, enrolment_code=ENROL_CODE.hex())


def make_key_change() -> dict:
    fetched = [
        *HANDSHAKE,
        (Role.TERMINAL, KEY_REQUEST),
        (Role.HOST, KEY_ANSWER),
        (Role.TERMINAL, SignOffRequest()),
        (Role.HOST, SignOffAnswer()),
    ]
    proved = [
        (Role.TERMINAL, msgspec.structs.replace(HELLO, key_version=KEY_REQUEST.key_version)),
        *HANDSHAKE[1:3],
        (Role.HOST, msgspec.structs.replace(READY, next_key_version=0)),
        (Role.TERMINAL, SAMPLE_OF[EchoRequest]),
        (Role.HOST, SAMPLE_OF[EchoAnswer]),
        (Role.TERMINAL, SignOffRequest()),
        (Role.HOST, SignOffAnswer()),
    ]
    return {
        "about": "A root key changed over the wire: version 1 fetches version 3, keeps both, and proves it.",
        "key_version": KEY_REQUEST.key_version,
        "root_key": ROOT_KEY.hex(),
        "new_root_key": OTHER_KEY.hex(),
        "wrapping_key": wrapping_key(ROOT_KEY, TERMINAL, KEY_REQUEST.key_version).hex(),
        "wrapped_key": KEY_ANSWER.wrapped_key.hex(),
        "before": make_session("The session under the old key, in which the new one is fetched.", ROOT_KEY, fetched),
        "after": make_session(
            "The first session under the new key. From READY on the old one is gone.", OTHER_KEY, proved
        ),
    }


# ----------------------------------------------------------------------------------------------- messages


def pinned(layout: Layout) -> str:
    """All of a layout that stands on the wire, in one line."""
    fields = [f"{field.name}@{layout.offset_of(field.name)}+{field.size}{columns_of(field)}" for field in layout.fields]
    about = [f"{layout.mti:04X}/{layout.processing_code:02X}", layout.title, layout.sender, layout.flags, layout.size]
    return " ".join(map(str, about + fields))


def columns_of(field: Field) -> str:
    """What stands in a row of rows."""
    return f"[{' '.join(f'{column.name}+{column.size}' for column in field.columns)}]" if field.row else ""


def make_layouts() -> dict:
    return {
        "about": "Every message in one line: MTI and processing code, title, sender, flags, size of its body, then"
        " name, offset in the frame and size of each field, and in brackets what is in each row of a field of rows.",
        "layouts": [pinned(layout) for layout in LAYOUTS.values()],
    }


MORE_MESSAGES = [
    msgspec.structs.replace(SALE, stan=1, batch=1, amount_fen=1, operator=0, payer=b"\0", claimed_at_s=0),
    msgspec.structs.replace(
        SALE,
        stan=999_999,
        batch=999_999,
        amount_fen=999_999_999,
        operator=65_535,
        entry_mode=EntryMode.CODE,
        payer=b"286001234567890123456789",
        claimed_at_s=2**32 - 1,
    ),
    msgspec.structs.replace(SALE_ANSWER, response_code="51", balance_fen=0),
    msgspec.structs.replace(SALE_ANSWER, response_code="09", rrn=0, balance_fen=0, posted_at_ms=0),
    msgspec.structs.replace(SALE_ANSWER, rrn=2**64 - 1, balance_fen=-(2**63), posted_at_ms=2**64 - 1),
    msgspec.structs.replace(SALE_ANSWER, balance_fen=2**63 - 1, response_code="A7"),
    NEVER_SEEN,
    msgspec.structs.replace(NEVER_SEEN, state=TransactionState.IN_PROGRESS, response_code="09"),
    msgspec.structs.replace(NEVER_SEEN, state=TransactionState.DECLINED, response_code="94"),
    QueryRequest(stan=1, batch=1, amount_fen=1, payer=b"\0", claimed_at_s=0),
    QueryRequest(
        stan=999_999, batch=999_999, amount_fen=999_999_999, payer=b"286001234567890123456789", claimed_at_s=2**32 - 1
    ),
    DONE,
    msgspec.structs.replace(SALE_ANSWER, response_code="55", charged_fen=0, points=0, balance_fen=0),
    asked(
        RefundRequest,
        999_999,
        999_999_999,
        original_terminal=2**32 - 1,
        original_batch=999_999,
        original_stan=999_999,
        pin_block=b"\xff" * 16,
    ),
    asked(RefundRequest, 1, 1, original_terminal=0, original_batch=1, original_stan=1),
    answered(TopUpAnswer, 1, 1, charged_fen=2**32 - 1, points=2**32 - 1),
    msgspec.structs.replace(READY, merchant_name="", sale_limit_fen=0),
    msgspec.structs.replace(READY, merchant_name="一二三四五六七八九十食堂面饭汤菜"),
    msgspec.structs.replace(HELLO, key_version=0, firmware=""),
    EnrolAnswer(response_code="58", key_version=0, root_key=bytes(32)),
    EnrolRequest(serial_number="123456789012345678901234"),
    KeyRequest(key_version=65_535),
    KeyAnswer(response_code="58", key_version=1),
    msgspec.structs.replace(UPLOAD, rrn=2**64 - 1, balance_fen=-(2**63), posted_at_ms=2**64 - 1),
    *(
        msgspec.structs.replace(UPLOAD, kind=kind, original_batch=0, original_stan=0)
        for kind in (TransactionKind.SALE, TransactionKind.OFFLINE_SALE)
    ),
    msgspec.structs.replace(UPLOAD_ANSWER, verdict=UploadVerdict.KNOWN),
    msgspec.structs.replace(UPLOAD_ANSWER, verdict=UploadVerdict.REVERSED, response_code="68"),
    msgspec.structs.replace(UPLOAD_ANSWER, verdict=UploadVerdict.CONFLICT, response_code="94", rrn=0),
    msgspec.structs.replace(UPLOAD_ANSWER, verdict=UploadVerdict.NOT_OPEN, response_code="58", rrn=0),
    msgspec.structs.replace(UPLOAD_ANSWER, verdict=UploadVerdict.UNDECIDED, response_code="09", rrn=0),
]


def make_messages() -> dict:
    """Each message in clear, and sealed with an example key as frame number 7 of a session."""
    key, sequence = bytes(range(0xF0, 0x100)), 7
    vectors = []
    for message in [*SAMPLES, *MORE_MESSAGES]:
        layout = message.layout
        body = layout.encode(message)
        header = build_header(layout.flags | 1, layout.mti, len(body) + TAG_SIZE, TERMINAL, sequence)
        clear_header = build_header(layout.flags & ~1, layout.mti, len(body), TERMINAL, sequence)
        vectors.append(
            {
                **type_of(message),
                "fields": fields_of(message),
                "body": body.hex(),
                "frame_in_clear": close_frame(clear_header, body).hex(),
                "frame_sealed": close_frame(header, Seal(key).close(sequence, header, body)).hex(),
            }
        )
    return {
        "about": "Every message in clear and sealed. On the wire HELLO, CHALLENGE and AUTH are in clear and all others"
        " sealed; here both forms of all stand for tests. Example key.",
        "terminal": str(TERMINAL),
        "sequence": sequence,
        "key": key.hex(),
        "nonce": sequence.to_bytes(12, "big").hex(),
        "messages": vectors,
    }


# --------------------------------------------------------------------------------------------- bad frames


def changed(frame: bytes, offset: int, value: bytes, *, repair: bool = True) -> bytes:
    data = frame[:offset] + value + frame[offset + len(value) :]
    return with_good_crc(data) if repair else data


def flipped(frame: bytes, offset: int) -> bytes:
    return changed(frame, offset, bytes([frame[offset] ^ 1]))


def outcome_of(receiver: Connection, data: bytes) -> dict:
    """What the receiver makes of the bytes: the first thing that is not noise, or the noise."""
    receiver.receive_data(data)
    receiver.receive_data(b"")
    try:
        event = receiver.next_event()
    except RemoteProtocolError as error:
        return {"outcome": "closed", "reason": str(error.reason), **evidence(error)}
    if isinstance(event, Refused):
        code = event.reject.response_code
        return {"outcome": "rejected", "reason": str(event.error.reason), **evidence(event.error), "code": code}
    assert isinstance(event, Discarded), event
    return {"outcome": "discarded", "reason": str(event.reason), "size": event.size}


def evidence(error) -> dict:
    return {"field": error.field, "offset": error.offset}


def make_bad() -> dict:
    cases = []

    def bad(name: str, state: State, receiver: Role, make) -> None:
        """`make` gets the pair and gives the bytes the receiver hears."""
        pair = (
            ConnectionPair().to_state(state) if state is not State.REQUESTED else ConnectionPair().to_state(State.READY)
        )
        if state is State.REQUESTED:
            pair.send(Role.TERMINAL, SALE)
        data = make(pair)
        outcome = outcome_of(pair.ends[receiver], data)
        cases.append({"name": name, "state": str(state), "receiver": str(receiver), "bytes": data.hex(), **outcome})

    def hello(pair):
        return pair.terminal.send(HELLO)

    def sale(pair, body=None, mti=0x0200, flags=1):
        return forge(pair.terminal, mti, SALE.layout.encode(SALE) if body is None else body, flags=flags)

    def answer(pair, message=SALE_ANSWER):
        return forge(pair.host, message.layout.mti, message.layout.encode(message), flags=message.layout.flags)

    def reflected(pair):
        return changed(pair.terminal.send(Auth()), 17, pair.lines[1].data[-20:-4])

    body = SALE.layout.encode(SALE)
    host, terminal = Role.HOST, Role.TERMINAL
    connected, ready, requested = State.CONNECTED, State.READY, State.REQUESTED
    bad("sync word wrong", connected, host, lambda pair: changed(hello(pair), 0, b"KF"))
    bad("version 2", connected, host, lambda pair: changed(hello(pair), 2, b"\2"))
    bad("reserved flag bit", connected, host, lambda pair: changed(hello(pair), 3, b"\x08"))
    bad("first body above 76 bytes", connected, host, lambda pair: changed(hello(pair), 6, b"\0\x4d"))
    bad("wrong CRC", connected, host, lambda pair: changed(hello(pair), 61, bytes(4), repair=False))
    bad("frame cut short", connected, host, lambda pair: hello(pair)[:-1])
    bad("HELLO sealed flag set", connected, host, lambda pair: changed(hello(pair), 3, b"\1"))
    bad("HELLO response flag set", connected, host, lambda pair: changed(hello(pair), 3, b"\2"))
    bad("HELLO sequence 1", connected, host, lambda pair: changed(hello(pair), 12, b"\0\0\0\1"))
    bad("HELLO lowest version 0", connected, host, lambda pair: changed(hello(pair), 17, b"\0"))
    bad("HELLO versions 2..2", connected, host, lambda pair: changed(hello(pair), 17, b"\2\2"))
    bad("HELLO firmware with a control character", connected, host, lambda pair: changed(hello(pair), 45, b"\x1b"))
    bad("unknown message type", connected, host, lambda pair: changed(hello(pair), 16, b"\x99"))
    bad("sale before the handshake", connected, host, lambda pair: sale(pair, flags=0))
    bad("HELLO sent to the terminal", State.HELLO_SENT, terminal, lambda pair: pair.lines[0].data)
    bad(
        "CHALLENGE with another cryptogram",
        State.HELLO_SENT,
        terminal,
        lambda pair: flipped(pair.host.send(CHALLENGE), 50),
    )
    bad(
        "CHALLENGE for another terminal",
        State.HELLO_SENT,
        terminal,
        lambda pair: flipped(pair.host.send(CHALLENGE), 11),
    )
    bad("AUTH with another cryptogram", State.CHALLENGED, host, lambda pair: flipped(pair.terminal.send(Auth()), 17))
    bad("AUTH repeating the host's cryptogram", State.CHALLENGED, host, reflected)
    bad("READY with a changed tag", State.AUTH_SENT, terminal, lambda pair: flipped(pair.host.send(READY), 110))
    bad("sale with one bit changed, CRC repaired", ready, host, lambda pair: flipped(sale(pair), 24))
    bad(
        "sale with one bit changed, CRC not repaired",
        ready,
        host,
        lambda pair: changed(sale(pair), 24, b"\0", repair=False),
    )
    bad("sale under another terminal number", ready, host, lambda pair: flipped(sale(pair), 11))
    bad("sale with the sequence of the next", ready, host, lambda pair: flipped(sale(pair), 15))
    bad("sale in clear", ready, host, lambda pair: close_frame(build_header(0, 0x0200, len(body), TERMINAL, 2), body))
    tagless = close_frame(build_header(1, 0x0200, 15, TERMINAL, 2), bytes(15))
    bad("sealed body shorter than a tag", ready, host, lambda pair: tagless)
    bad("sale sealed under the response flag", ready, host, lambda pair: sale(pair, flags=3))
    bad("junk between frames", ready, host, lambda pair: b"\0\0noise\0")
    bad("body above 4096 bytes", ready, host, lambda pair: changed(sale(pair), 6, b"\x10\x01"))
    bad("sale with STAN 0", ready, host, lambda pair: sale(pair, body[:1] + bytes(3) + body[4:]))
    bad("sale with STAN 1000000", ready, host, lambda pair: sale(pair, body[:1] + b"\x0f\x42\x40" + body[4:]))
    bad("sale with amount 0", ready, host, lambda pair: sale(pair, body[:7] + bytes(4) + body[11:]))
    bad(
        "sale with amount above the limit",
        ready,
        host,
        lambda pair: sale(pair, body[:7] + b"\x3b\x9a\xca\0" + body[11:]),
    )
    bad("sale with entry mode 3", ready, host, lambda pair: sale(pair, body[:13] + b"\3" + body[14:]))
    bad("sale with payer of length 0", ready, host, lambda pair: sale(pair, body[:14] + bytes(25) + body[39:]))
    bad("sale with payer of length 25", ready, host, lambda pair: sale(pair, body[:14] + b"\x19" + body[15:]))
    bad("sale with bytes behind the payer", ready, host, lambda pair: sale(pair, body[:38] + b"\1" + body[39:]))
    bad("sale one byte short", ready, host, lambda pair: sale(pair, body[:-1]))
    bad("sale one byte long", ready, host, lambda pair: sale(pair, body + b"\0"))
    bad("empty body", ready, host, lambda pair: sale(pair, b""))
    bad("unknown processing code", ready, host, lambda pair: sale(pair, b"\x99" + body[1:]))
    bad("unknown MTI", ready, host, lambda pair: sale(pair, mti=0x0999))
    bad(
        "an answer sent by the terminal",
        ready,
        host,
        lambda pair: sale(pair, SALE_ANSWER.layout.encode(SALE_ANSWER), 0x0210),
    )
    bad("a second request before the answer", requested, host, sale)
    bad("an answer to another request", requested, terminal, lambda pair: answer(pair, DONE))
    bad("an answer nobody asked for", ready, terminal, answer)
    lower_case = SALE_ANSWER.layout.encode(SALE_ANSWER)[:11] + b"a0" + bytes(32)
    bad(
        "an answer with a lower-case code",
        requested,
        terminal,
        lambda pair: forge(pair.host, 0x0210, lower_case, flags=3),
    )
    bad("a reject nobody asked for", ready, terminal, lambda pair: answer(pair, REJECT))
    return {
        "about": "Bytes that are refused. Bring the receiver into `state` with the frames of session.json (handshake,"
        " then in `requested` the first sale), give it the bytes and then the end of the stream. closed: the"
        " connection ends without a word. discarded: the bytes are dropped and the session goes on. rejected: the host"
        " answers with a reject that names code, field and offset. Offsets count from the sync word.",
        "cases": cases,
    }


FILES = {
    "layouts.json": make_layouts,
    "keys.json": make_keys,
    "pin_block.json": make_pin_block,
    "session.json": make_day,
    "functions.json": make_functions,
    "offline.json": make_offline,
    "settlement.json": make_settlement,
    "enrolment.json": make_enrolment,
    "key_change.json": make_key_change,
    "messages.json": make_messages,
    "bad.json": make_bad,
}


def text_of(name: str) -> str:
    return json.dumps(FILES[name](), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in FILES:
        (FOLDER / name).write_text(text_of(name), encoding="utf-8")
