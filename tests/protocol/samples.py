"""One good message of every kind, and what Hypothesis needs to make others."""

import re
from typing import get_type_hints

import msgspec
from hypothesis import strategies as st

from protocol import TerminalNumber
from protocol.messages import (
    LAYOUTS,
    Auth,
    Challenge,
    CompletionAnswer,
    CompletionRequest,
    CompletionVoidAnswer,
    CompletionVoidRequest,
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
    PointsSaleAnswer,
    PointsSaleRequest,
    PointsVoidAnswer,
    PointsVoidRequest,
    PreAuthAnswer,
    PreAuthRequest,
    PreAuthVoidAnswer,
    PreAuthVoidRequest,
    QueryAnswer,
    QueryRequest,
    Ready,
    RefundAnswer,
    RefundRequest,
    Reject,
    ReversalAnswer,
    ReversalRequest,
    SaleAnswer,
    SaleRequest,
    SignOffAnswer,
    SignOffRequest,
    TopUpAnswer,
    TopUpRequest,
    TopUpVoidAnswer,
    TopUpVoidRequest,
    TransactionState,
    UploadAnswer,
    UploadRequest,
    UploadVerdict,
    VoidAnswer,
    VoidRequest,
)
from protocol.messages.fields import PAYER_SIZE, Field
from protocol.messages.money import TransactionKind
from protocol.security import wrap_root_key
from tests.protocol.example import (
    HOST_CHALLENGE,
    NOW_MS,
    NOW_S,
    OTHER_KEY,
    PAYER,
    PIN_BLOCK,
    ROOT_KEY,
    TERMINAL,
    TERMINAL_CHALLENGE,
)
from tests.protocol.samples_of_service import SERVICE_SAMPLES

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
    charged_fen=1_000,
    points=10,
    rrn=9_000_000_001,
    balance_fen=9_000,
    posted_at_ms=NOW_MS,
)
ORIGINAL = {"original_batch": SALE.batch, "original_stan": SALE.stan}
"""What a request names that is about the sale above."""


def asked(kind: type[Message], stan: int, amount_fen: int, **more: object) -> Message:
    """A money request as the sale above, of another kind."""
    values = msgspec.structs.asdict(SALE) | {"stan": stan, "amount_fen": amount_fen} | more
    return kind(**values)


def answered(kind: type[Message], stan: int, amount_fen: int, **more: object) -> Message:
    """A money answer as that to the sale above, to another request."""
    values = msgspec.structs.asdict(SALE_ANSWER) | {"stan": stan, "amount_fen": amount_fen, "points": 0}
    return kind(**(values | {"charged_fen": amount_fen} | more))


OF_THE_SALE: list[Message] = [
    asked(VoidRequest, 124, 1250, **ORIGINAL, pin_block=PIN_BLOCK),
    answered(VoidAnswer, 124, 1250, charged_fen=1_000, points=10, rrn=9_000_000_002, balance_fen=10_000),
    asked(RefundRequest, 125, 400, **ORIGINAL, original_terminal=TerminalNumber(3, 59).to_int()),
    answered(RefundAnswer, 125, 400, rrn=9_000_000_003, balance_fen=10_400),
    asked(PreAuthRequest, 126, 5_000, pin_block=PIN_BLOCK),
    answered(PreAuthAnswer, 126, 5_000, rrn=9_000_000_004, balance_fen=5_400),
    asked(PreAuthVoidRequest, 127, 5_000, original_batch=17, original_stan=126),
    answered(PreAuthVoidAnswer, 127, 5_000, rrn=9_000_000_005, balance_fen=10_400),
    asked(CompletionRequest, 128, 4_200, original_batch=17, original_stan=126),
    answered(CompletionAnswer, 128, 4_200, points=42, rrn=9_000_000_006, balance_fen=6_200),
    asked(CompletionVoidRequest, 129, 4_200, original_batch=17, original_stan=128),
    answered(CompletionVoidAnswer, 129, 4_200, points=42, rrn=9_000_000_007, balance_fen=5_400),
    asked(TopUpRequest, 130, 10_000),
    answered(TopUpAnswer, 130, 10_000, charged_fen=11_000, rrn=9_000_000_008, balance_fen=21_400),
    asked(TopUpVoidRequest, 131, 10_000, original_batch=17, original_stan=130),
    answered(TopUpVoidAnswer, 131, 10_000, charged_fen=11_000, rrn=9_000_000_009, balance_fen=10_400),
    asked(PointsSaleRequest, 132, 50),
    answered(PointsSaleAnswer, 132, 50, points=50, rrn=9_000_000_010, balance_fen=12),
    asked(PointsVoidRequest, 133, 50, original_batch=17, original_stan=132),
    answered(PointsVoidAnswer, 133, 50, points=50, rrn=9_000_000_011, balance_fen=62),
]
"""Every other kind of request for money, and the answer to each."""

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
    stan=125,
    batch=17,
    amount_fen=1250,
    operator=5,
    entry_mode=EntryMode.CARD,
    payer=PAYER,
    claimed_at_s=NOW_S,
    kind=TransactionKind.REFUND,
    **ORIGINAL,
    charged_fen=1250,
    points=10,
    rrn=9_000_000_001,
    balance_fen=8_750,
    posted_at_ms=NOW_MS,
)
UPLOAD_ANSWER = UploadAnswer(
    stan=125, batch=17, amount_fen=1250, verdict=UploadVerdict.RESTORED, response_code="00", rrn=8_999_999_001
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
    *OF_THE_SALE,
    REVERSAL,
    ReversalAnswer(
        stan=123,
        batch=17,
        reversed_fen=1_000,
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
        charged_fen=1_000,
        points=10,
        rrn=9_000_000_001,
        balance_fen=9_000,
        posted_at_ms=NOW_MS,
    ),
    UPLOAD,
    UPLOAD_ANSWER,
    *SERVICE_SAMPLES,
    REJECT,
]
SAMPLE_OF = {type(message): message for message in SAMPLES}
ALL_LAYOUTS = list(LAYOUTS.values())


def rows_in(message: Message) -> dict[str, tuple[dict[str, object], ...]]:
    """The fields of rows of a message, each row by the names of its columns."""
    return {
        field.name: tuple(msgspec.structs.asdict(row) for row in getattr(message, field.name))
        for field in message.layout.fields
        if field.row is not None
    }


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


def values_of(field: Field, owner: type) -> st.SearchStrategy:
    """Good values of one field, made from what the field says of itself in words: so the words are tested too.

    `owner` is the message or the row that has the field: its annotations name the enumeration of a choice.
    """
    if field.row is not None:
        found = re.match(r"a count 0\.\.(\d+)", field.expected)
        assert found is not None
        return st.lists(rows_of(field), max_size=int(found[1])).map(tuple)
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
    enumeration = get_type_hints(owner)[field.name]
    words = ", ".join(f"{value.value} {value.name.lower()}" for value in enumeration)
    if field.expected != words:  # too long for a reject: the words stand in the note
        assert field.note.endswith(f": {words}")
        assert field.expected == ", ".join(str(value.value) for value in enumeration)
    return st.sampled_from(enumeration)


def rows_of(field: Field) -> st.SearchStrategy:
    """One good row of a field of rows."""
    assert field.row is not None
    return st.builds(field.row, **{column.name: values_of(column, field.row) for column in field.columns})


def messages_of(layout: Layout) -> st.SearchStrategy:
    return st.builds(layout.message, **{field.name: values_of(field, layout.message) for field in layout.fields})


def any_message() -> st.SearchStrategy:
    return st.sampled_from(ALL_LAYOUTS).flatmap(messages_of)
