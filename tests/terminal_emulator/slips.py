"""Records and figures to be printed, for tests of slips and of what printers get."""

from hypothesis import strategies as st

from protocol import TerminalNumber
from protocol.messages.money import EntryMode, TransactionKind
from terminal_emulator.i18n import translator
from terminal_emulator.record import Merchant, Record, RecordState
from terminal_emulator.slip import Copy, Row, Slip, record_slip

TERMINAL = TerminalNumber(3, 58)
MERCHANT = Merchant(100001, "一食堂")
CLAIMED_S = 1_795_000_000
RECORD = Record(
    batch=1,
    stan=123,
    amount_fen=1250,
    payer=bytes.fromhex("04a1b2c3d4beef"),
    claimed_at_s=CLAIMED_S,
    operator=1,
    state=RecordState.APPROVED,
    response_code="00",
    rrn=4711,
    balance_fen=8750,
    posted_at_ms=1_795_000_001_500,
)

RECORDS = st.builds(
    Record,
    kind=st.sampled_from(TransactionKind),
    batch=st.integers(1, 999_999),
    stan=st.integers(1, 999_999),
    amount_fen=st.integers(1, 999_999_999),
    discount_fen=st.integers(0, 999_999_999),
    payer=st.binary(min_size=1, max_size=24),
    claimed_at_s=st.integers(0, 2**32 - 1),
    operator=st.integers(0, 0xFFFF),
    entry_mode=st.sampled_from(EntryMode),
    original_terminal=st.integers(0, 2**32 - 1),
    original_batch=st.integers(0, 999_999),
    original_stan=st.integers(0, 999_999),
    state=st.sampled_from(RecordState),
    response_code=st.sampled_from(["", "00", "51", "ZZ"]),
    charged_fen=st.none() | st.integers(0, 2**32 - 1),
    points=st.integers(0, 2**32 - 1),
    rrn=st.integers(0, 2**64 - 1),
    balance_fen=st.integers(-(2**63), 2**63 - 1),
    posted_at_ms=st.integers(0, 2**64 - 1),
)
MERCHANTS = st.none() | st.builds(Merchant, st.integers(0, 2**32 - 1), st.text(max_size=48))


def slip(record=RECORD, copy=Copy.MERCHANT, language="zh", merchant=MERCHANT, **options) -> Slip:
    return record_slip(record, TERMINAL, merchant, copy, translator(language), **options)


def plain_slip(*lines: str, stan: int = 1, copy: Copy = Copy.MERCHANT) -> Slip:
    return Slip(copy=copy, stan=stan, rows=tuple(map(Row, lines)))
