"""Samples of what is no request for money: people and passwords, look-ups, what a terminal downloads, offline sales."""

from hashlib import sha256

from msgspec.structs import replace

from protocol import TerminalNumber
from protocol.messages import Message
from protocol.messages.balance import BalanceAnswer, BalanceRequest, CardStatus
from protocol.messages.lookup import LookupAnswer, LookupRequest
from protocol.messages.money import TransactionKind
from protocol.messages.offline import NO_TAG, OfflineSaleAnswer, OfflineSaleRequest, OfflineVerdict, tag_of
from protocol.messages.parameters import Meal, ParametersAnswer, ParametersRequest, Profile
from protocol.messages.password import (
    PasswordAnswer,
    PasswordChangeAnswer,
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
)
from protocol.messages.product import ProductAnswer, ProductRequest
from protocol.messages.query import TransactionState
from protocol.messages.settlement import (
    BatchEndAnswer,
    BatchEndRequest,
    BatchUploadAnswer,
    BatchUploadRequest,
    DifferenceKind,
    DifferenceRow,
    DifferencesAnswer,
    DifferencesRequest,
    RecordRow,
    RecordStanding,
    SettlementAnswer,
    SettlementCloseAnswer,
    SettlementCloseRequest,
    SettlementRequest,
    SettlementResult,
    differences_digest,
    fingerprint,
    totals_of,
)
from protocol.messages.sign_on import OperatorRole, SignOnAnswer, SignOnRequest
from protocol.messages.stop_list import StopAction, StopListAnswer, StopListRequest, StopRow
from protocol.messages.tellers import TellerAction, TellerAnswer, TellerRequest
from tests.protocol.example import NOW_MS, NOW_S, PAYER, PIN_BLOCK, SAF_KEY

DAY = 20261118


def chained(*records: OfflineSaleRequest) -> tuple[OfflineSaleRequest, ...]:
    """The records with numbers and tags, as a terminal gives them: each tag goes into the next."""
    made: list[OfflineSaleRequest] = []
    for number, record in enumerate(records, 1):
        previous = made[-1].tag if made else NO_TAG
        record = replace(record, saf_sequence=number, previous_tag=previous)
        made.append(replace(record, tag=tag_of(SAF_KEY, record)))
    return tuple(made)


OFFLINE_SALE = OfflineSaleRequest(
    stan=140,
    batch=17,
    amount_fen=850,
    operator=5,
    payer=PAYER,
    claimed_at_s=NOW_S,
    stop_list_version=31,
    saf_sequence=1,
    previous_tag=NO_TAG,
    tag=NO_TAG,
)
OFFLINE_SALES = chained(
    OFFLINE_SALE, replace(OFFLINE_SALE, stan=141, amount_fen=1_200, payer=b"\x04\x11\x22\x33", claimed_at_s=NOW_S + 40)
)
OFFLINE_ANSWER = OfflineSaleAnswer(
    stan=140,
    batch=17,
    amount_fen=850,
    verdict=OfflineVerdict.ACCEPTED,
    response_code="00",
    rrn=9_000_000_020,
    charged_fen=850,
    points=8,
    points_balance=-35,
    next_saf_sequence=2,
    last_tag=OFFLINE_SALES[0].tag,
)

RECORDS = (
    RecordRow(123, TransactionKind.SALE, RecordStanding.APPROVED, 1_250, 1_000, 9_000_000_001, 12),
    RecordRow(124, TransactionKind.VOID, RecordStanding.APPROVED, 1_250, 1_000, 9_000_000_002, 12),
    RecordRow(125, TransactionKind.SALE, RecordStanding.APPROVED, 800, 800, 9_000_000_003),
    RecordRow(126, TransactionKind.SALE, RecordStanding.DECLINED, 19_900, 0, 0),
    RecordRow(127, TransactionKind.TOPUP, RecordStanding.REVERSED, 10_000, 0, 9_000_000_004),
)
"""A batch as its terminal has it."""
DIFFERENCE = DifferenceRow(
    stan=125,
    difference=DifferenceKind.AMOUNT,
    kind=TransactionKind.SALE,
    terminal_standing=RecordStanding.APPROVED,
    terminal_fen=800,
    host_standing=RecordStanding.APPROVED,
    host_fen=700,
    rrn=9_000_000_003,
)
UNBALANCED = SettlementAnswer(
    batch=17,
    result=SettlementResult.UNBALANCED,
    response_code="95",
    next_batch=17,
    totals=totals_of([*RECORDS[:2], replace(RECORDS[2], amount_fen=700, charged_fen=700)]),
)
CLOSED = {
    "batch": 17,
    "response_code": "00",
    "next_batch": 18,
    "settlement": 9,
    "closed_at_ms": NOW_MS,
    "digest": bytes.fromhex("5ea1ed0fda7a1234"),
}
BALANCED = SettlementAnswer(**CLOSED, result=SettlementResult.BALANCED, totals=totals_of(RECORDS))
SETTLEMENT: list[Message] = [
    SettlementRequest(
        batch=17, operator=1, claimed_at_s=NOW_S, fingerprint=fingerprint(RECORDS), totals=totals_of(RECORDS)
    ),
    UNBALANCED,
    BatchUploadRequest(batch=17, part=1, records=RECORDS),
    BatchUploadAnswer(batch=17, part=1, response_code="00", next_part=2),
    BatchEndRequest(batch=17, records=5),
    BatchEndAnswer(batch=17, response_code="00", differences=1, next_part=0),
    DifferencesRequest(batch=17, page=1),
    DifferencesAnswer(batch=17, page=1, response_code="00", pages=1, differences=(DIFFERENCE,)),
    SettlementCloseRequest(
        batch=17,
        operator=1,
        claimed_at_s=NOW_S + 90,
        differences=1,
        differences_digest=differences_digest([DIFFERENCE]),
    ),
    SettlementCloseAnswer(
        **CLOSED, result=SettlementResult.CLOSED_WITH_DIFFERENCES, differences=1, totals=UNBALANCED.totals
    ),
]
"""A batch that does not balance, from the totals to the new batch."""

SERVICE_SAMPLES: list[Message] = [
    SignOnRequest(operator=1, password="0000"),
    SignOnAnswer(
        response_code="00",
        role=OperatorRole.TELLER,
        must_change=1,
        operator_name="王芳",
        host_time_ms=NOW_MS,
        business_day=DAY,
        batch=17,
        config_version=12,
        stop_list_version=31,
        merchant_number=204,
        merchant_name="第二食堂　面食窗口",
    ),
    PasswordRequest(purpose=PasswordPurpose.SUPERVISOR, password="123456"),
    PasswordAnswer(response_code="00", must_change=0),
    PasswordChangeRequest(purpose=PasswordPurpose.OPERATOR, operator=1, old_password="0000", new_password="2468"),
    PasswordChangeAnswer(response_code="00"),
    TellerRequest(action=TellerAction.ADD, supervisor_password="123456", operator=2, name="李强", new_password="1357"),
    TellerAnswer(response_code="00", operator=2, name="李强"),
    ParametersRequest(),
    ParametersAnswer(
        config_version=12,
        profile=Profile.CANTEEN,
        repeat_guard=1,
        sale_limit_fen=20_000,
        offline_sale_limit_fen=5_000,
        offline_card_limit_fen=10_000,
        offline_total_limit_fen=500_000,
        offline_count_limit=200,
        pin_limit_fen=10_000,
        discount_limit_percent=20,
        refund_days=180,
        utc_offset_minutes=480,
        meals=(
            Meal(meal=1, start_minute=390, end_minute=540, name="早餐"),
            Meal(meal=2, start_minute=660, end_minute=810, name="午餐"),
            Meal(meal=3, start_minute=1020, end_minute=1170, name="晚餐"),
        ),
    ),
    StopListRequest(version=29),
    StopListAnswer(
        version=31,
        newest=31,
        changes=(
            StopRow(token_hash=sha256(PAYER).digest()[:8], action=StopAction.STOPPED),
            StopRow(token_hash=sha256(b"\x04\x11\x22\x33").digest()[:8], action=StopAction.ALLOWED),
        ),
    ),
    BalanceRequest(operator=5, payer=PAYER, pin_block=PIN_BLOCK),
    BalanceAnswer(response_code="00", balance_fen=9_000, held_fen=5_000, points=62, card_status=CardStatus.ACTIVE),
    LookupRequest(original_terminal=TerminalNumber(3, 59).to_int(), original_batch=17, original_stan=123),
    LookupAnswer(
        response_code="00",
        state=TransactionState.APPROVED,
        kind=TransactionKind.SALE,
        original_terminal=TerminalNumber(3, 59).to_int(),
        original_batch=17,
        original_stan=123,
        amount_fen=1_250,
        charged_fen=1_000,
        remaining_fen=600,
        rrn=9_000_000_001,
        posted_at_ms=NOW_MS,
        business_day=DAY,
    ),
    ProductRequest(code="6901234567892"),
    ProductAnswer(response_code="00", name="红烧牛肉面", price_fen=1_250),
    OFFLINE_SALES[0],
    OFFLINE_ANSWER,
    *SETTLEMENT,
]
