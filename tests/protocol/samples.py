"""One good message of every kind, example keys, and what Hypothesis needs to make others.

The keys are plainly examples: consecutive bytes. No terminal is ever enrolled with them.
"""

import re

from hypothesis import strategies as st

from protocol import TerminalNumber
from protocol.messages import (
    LAYOUTS,
    Auth,
    Challenge,
    EchoAnswer,
    EchoRequest,
    EnrolAnswer,
    EnrolRequest,
    EntryMode,
    Hello,
    KeyAnswer,
    KeyRequest,
    Layout,
    Message,
    QueryAnswer,
    QueryRequest,
    Ready,
    Reject,
    ReversalAnswer,
    ReversalRequest,
    SaleAnswer,
    SaleRequest,
    SignOffAnswer,
    SignOffRequest,
    TransactionState,
    UploadAnswer,
    UploadRequest,
    UploadVerdict,
)
from protocol.messages.fields import PAYER_SIZE
from protocol.security import wrap_root_key

ROOT_KEY = bytes(range(32))
OTHER_KEY = bytes(range(32, 64))
ENROL_CODE = bytes(range(0x80, 0x90))
TERMINAL = TerminalNumber(3, 58)
TERMINAL_CHALLENGE = bytes(range(0x40, 0x50))
HOST_CHALLENGE = bytes(range(0x60, 0x70))
PAYER = bytes.fromhex("04a1b2c3d4e5f6")
NOW_MS = 1_795_000_000_123
NOW_S = NOW_MS // 1000

HELLO = Hello(key_version=1, terminal_challenge=TERMINAL_CHALLENGE, last_epoch=6, firmware="example 1.0")
CHALLENGE = Challenge(host_challenge=HOST_CHALLENGE, host_time_ms=NOW_MS, epoch=7)
READY = Ready(
    host_time_ms=NOW_MS,
    business_day=20261118,
    config_version=12,
    sale_limit_fen=20_000,
    last_batch=17,
    last_stan=122,
    merchant_number=204,
    merchant_name="第二食堂　面食窗口",
    history=2,
    restored_at_s=NOW_S - 3_600,
    next_key_version=3,
)
SALE = SaleRequest(
    stan=123,
    batch=17,
    amount_fen=1250,
    operator=5,
    entry_mode=EntryMode.CARD,
    payer=PAYER,
    claimed_at_s=NOW_S,
)
SALE_ANSWER = SaleAnswer(
    stan=123,
    batch=17,
    amount_fen=1250,
    response_code="00",
    rrn=9_000_000_001,
    balance_fen=8_750,
    posted_at_ms=NOW_MS,
)
REVERSAL = ReversalRequest(
    stan=123,
    batch=17,
    amount_fen=1250,
    operator=5,
    entry_mode=EntryMode.CARD,
    payer=PAYER,
    claimed_at_s=NOW_S,
    reason="98",
)
UPLOAD = UploadRequest(
    stan=123,
    batch=17,
    amount_fen=1250,
    operator=5,
    entry_mode=EntryMode.CARD,
    payer=PAYER,
    claimed_at_s=NOW_S,
    rrn=9_000_000_001,
    balance_fen=8_750,
    posted_at_ms=NOW_MS,
)
UPLOAD_ANSWER = UploadAnswer(
    stan=123, batch=17, amount_fen=1250, verdict=UploadVerdict.RESTORED, response_code="00", rrn=8_999_999_001
)
REJECT = Reject(
    rejected_mti=0x0200,
    rejected_processing_code=0x00,
    response_code="30",
    offset=23,
    field="amount_fen",
    expected="1..999999999",
    got="0",
)

KEY_REQUEST = KeyRequest(key_version=READY.next_key_version)
KEY_ANSWER = KeyAnswer(
    response_code="00",
    key_version=READY.next_key_version,
    wrapped_key=wrap_root_key(ROOT_KEY, TERMINAL, READY.next_key_version, OTHER_KEY),
)

SAMPLES: list[Message] = [
    HELLO,
    CHALLENGE,
    Auth(),
    READY,
    SignOffRequest(),
    SignOffAnswer(),
    EnrolRequest(serial_number="EX-0001"),
    EnrolAnswer(response_code="00", key_version=1, root_key=ROOT_KEY),
    KEY_REQUEST,
    KEY_ANSWER,
    EchoRequest(claimed_at_s=NOW_S),
    EchoAnswer(host_time_ms=NOW_MS, business_day=20261118, config_version=12),
    SALE,
    SALE_ANSWER,
    REVERSAL,
    ReversalAnswer(
        stan=123,
        batch=17,
        reversed_fen=1250,
        response_code="00",
        rrn=9_000_000_002,
        balance_fen=10_000,
        posted_at_ms=NOW_MS,
    ),
    QueryRequest(stan=123, batch=17, amount_fen=1250, payer=PAYER, claimed_at_s=NOW_S),
    QueryAnswer(
        stan=123,
        batch=17,
        state=TransactionState.APPROVED,
        response_code="00",
        amount_fen=1250,
        rrn=9_000_000_001,
        balance_fen=8_750,
        posted_at_ms=NOW_MS,
    ),
    UPLOAD,
    UPLOAD_ANSWER,
    REJECT,
]
SAMPLE_OF = {type(message): message for message in SAMPLES}
ALL_LAYOUTS = list(LAYOUTS.values())


def layout_id(layout: Layout) -> str:
    return layout.message.__name__


def sample_id(message: Message) -> str:
    return type(message).__name__


CODE_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def texts(size: int) -> st.SearchStrategy[str]:
    """Text that fits `size` bytes of UTF-8, without C0 and C1 control characters, half of it Chinese."""
    letters = st.one_of(
        st.characters(codec="utf-8", exclude_categories=["Cc"]),
        st.sampled_from("食堂面饭卡一二三　ABC 123￥"),
    )
    return st.text(letters, max_size=size).map(lambda value: cut_to_bytes(value, size))


def cut_to_bytes(value: str, size: int) -> str:
    return value.encode()[:size].decode("utf-8", "ignore")


def values_of(layout: Layout, name: str) -> st.SearchStrategy:
    """Good values of one field, made from what the field says of itself in words: so the words are tested too."""
    [field] = [field for field in layout.fields if field.name == name]
    if found := re.fullmatch(r"(\d+)\.\.(\d+)", field.expected):
        return st.integers(int(found[1]), int(found[2]))
    if field.expected == "a signed 64-bit integer":
        return st.integers(-(2**63), 2**63 - 1)
    if field.expected.startswith("two characters"):
        return st.text(CODE_ALPHABET, min_size=2, max_size=2)
    if found := re.fullmatch(r"(\d+) bytes", field.expected):
        return st.binary(min_size=int(found[1]), max_size=int(found[1]))
    if found := re.match(r"at most (\d+) bytes of UTF-8", field.expected):
        return texts(int(found[1]))
    if field.expected.startswith("length 1"):
        return st.binary(min_size=1, max_size=PAYER_SIZE)
    enumeration = type(getattr(SAMPLE_OF[layout.message], name))
    assert field.expected == ", ".join(f"{value.value} {value.name.lower()}" for value in enumeration)
    return st.sampled_from(enumeration)


def messages_of(layout: Layout) -> st.SearchStrategy:
    return st.builds(layout.message, **{field.name: values_of(layout, field.name) for field in layout.fields})


def any_message() -> st.SearchStrategy:
    return st.sampled_from(ALL_LAYOUTS).flatmap(messages_of)
