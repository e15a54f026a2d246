"""Whatever a function asks or says fits the LCD whole, in both languages: a cut word puzzles, a cut amount lies.

Every function is led through again and again by somebody who keys anything, and a host that answers anything; amounts
and numbers are as long as they can be.
"""

import random
from typing import Any

import pytest
from msgspec.structs import replace

from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages import (
    BalanceAnswer,
    BalanceRequest,
    EntryMode,
    LookupAnswer,
    LookupRequest,
    OperatorRole,
    ParametersAnswer,
    ParametersRequest,
    PasswordAnswer,
    PasswordChangeAnswer,
    PasswordChangeRequest,
    PasswordRequest,
    ProductAnswer,
    ProductRequest,
    QueryAnswer,
    QueryRequest,
    SignOnAnswer,
    SignOnRequest,
    TellerAnswer,
    TellerRequest,
    TransactionState,
)
from protocol.messages.balance import CardStatus
from protocol.messages.money import TransactionKind
from terminal_emulator.columns import columns
from terminal_emulator.dialog import (
    MENU_ROWS,
    Amount,
    Ask,
    Card,
    Confirm,
    Digits,
    Menu,
    Open,
    Pages,
    Payer,
    Runner,
    Show,
    Stop,
    Transact,
)
from terminal_emulator.functions import FUNCTIONS, sign_on
from terminal_emulator.i18n import LANGUAGES, translator
from terminal_emulator.panels import PANEL_COLUMNS, PANEL_LINES, panel
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import RecordState
from terminal_emulator.texts import ADVICE
from tests.terminal_emulator.functions.talk import record_of, texts_of, till_of
from tests.terminal_emulator.till import CARD
from tools.catalogues import texts_in_source

WALKS = 40
"""Through each function: enough to meet every prompt of the longest, as `test_the_walks_lead_everywhere` shows."""

STEPS_MAX = 40
LONGEST = {"amount_fen": MAX_AMOUNT_FEN, "charged_fen": MAX_AMOUNT_FEN, "balance_fen": MAX_AMOUNT_FEN}
CODES = ["00", "00", "00", "1A", "55", "51", *ADVICE]
NOT_ON_THE_LCD = {"slip.py", "slip_day.py", "screen.py"}


def answer_of(request: Any, chance: random.Random) -> Any:
    """What some host might say; None: nothing."""
    code = "00" if chance.random() < 0.7 else chance.choice(CODES)
    if chance.random() < 0.1:
        return None
    match request:
        case PasswordRequest():
            return PasswordAnswer(response_code=code, must_change=chance.randrange(2))
        case PasswordChangeRequest():
            return PasswordChangeAnswer(response_code=code)
        case SignOnRequest():
            role = chance.choice(list(OperatorRole))
            return SignOnAnswer(response_code=code, role=role, must_change=chance.randrange(2), business_day=20261118)
        case TellerRequest(operator=operator):
            return TellerAnswer(response_code=code, operator=min(operator + 40, 99), name="王五")
        case ParametersRequest():
            return ParametersAnswer(response_code=code, config_version=2**32 - 1)
        case ProductRequest():
            return ProductAnswer(response_code=code, name="第一食堂的红烧牛肉面", price_fen=MAX_AMOUNT_FEN)
        case BalanceRequest():
            status = chance.choice(list(CardStatus))
            long = {"balance_fen": -MAX_AMOUNT_FEN, "held_fen": MAX_AMOUNT_FEN, "points": MAX_AMOUNT_FEN}
            return BalanceAnswer(response_code=code, card_status=status, **long)
        case QueryRequest(stan=stan, batch=batch, amount_fen=amount_fen):
            state = chance.choice(list(TransactionState))
            same = {"stan": stan, "batch": batch, "amount_fen": amount_fen}
            return QueryAnswer(state=state, response_code=code, rrn=1, balance_fen=0, posted_at_ms=0, **same)
        case LookupRequest():
            return LookupAnswer(
                response_code=code,
                state=chance.choice([TransactionState.APPROVED] * 5 + [*TransactionState]),
                kind=chance.choice([TransactionKind.SALE, TransactionKind.PREAUTH] * 6 + [*TransactionKind]),
                original_batch=999_999,
                original_stan=999_999,
                remaining_fen=chance.choice([0, MAX_AMOUNT_FEN - 1, MAX_AMOUNT_FEN - 1]),
                business_day=20261118,
                amount_fen=MAX_AMOUNT_FEN,
                charged_fen=MAX_AMOUNT_FEN,
            )
    return None


def reply_to(prompt: Any, chance: random.Random) -> Any:
    """What somebody might key, and what might come of it."""
    match prompt:
        case Menu(rows=rows):
            return chance.choice([*(key for key, _ in rows), None])
        case Digits(masked=True):
            return chance.choice(["123456", "123456", "654321"])
        case Digits(low=low, high=high, optional=optional):
            texts = ["9" * high, str(chance.randrange(1, 25)).zfill(low)[:high]]
            return chance.choice([*texts, ""] if optional else texts)
        case Amount():
            return chance.choice([1, 1250, MAX_AMOUNT_FEN - 1, MAX_AMOUNT_FEN])
        case Card(may_scan=may_scan):
            scanned = Payer(b"9" * 22, EntryMode.CODE)
            return chance.choice([Payer(CARD), scanned]) if may_scan else Payer(CARD)
        case Confirm():
            return True
        case Ask(message):
            return answer_of(message, chance)
        case Transact(record):
            state = chance.choice([RecordState.APPROVED, RecordState.DECLINED, RecordState.REVERSING])
            code = chance.choice(CODES[3:]) if state is RecordState.DECLINED else "00"
            return replace(record, state=state, response_code=code, balance_fen=MAX_AMOUNT_FEN)
    return None


def full_till(language: str, chance: random.Random) -> Any:
    """A terminal that has seen everything."""
    stans = iter(range(1, 999))
    records = [
        record_of(next(stans), kind, **LONGEST, state=state, response_code=chance.choice(CODES))
        for kind in TransactionKind
        for state in chance.sample([RecordState.APPROVED, *RecordState], 2)
    ]
    till = till_of(*records, record_of(999_999, **LONGEST), language=language)
    till.keep(Parameters(repeat_guard=True, config_version=2**32 - 1, discount_limit_percent=chance.choice([0, 50])))
    till.business_day = 20261118
    return till


def walk(name: str, language: str, seed: int):
    """The prompts of one way through a function."""
    chance = random.Random(seed)
    till = full_till(language, chance)
    if chance.randrange(2):
        till.keep(replace(till.sign_on, is_on=True, verifier=bytes(32), key_version=1))
    dialog = FUNCTIONS[name].dialog(till)
    reply = None
    try:
        for _ in range(STEPS_MAX):
            prompt = dialog.send(reply)
            yield till, prompt
            if isinstance(prompt, Open):
                return
            reply = reply_to(prompt, chance)
    except (StopIteration, Stop):
        pass


def too_wide(prompt: Any) -> list[str]:
    """What of a prompt would be cut. Beside the title of a menu of several pages stands the number of the page."""
    wide = [text for text in texts_of(prompt) if columns(text) > PANEL_COLUMNS]
    if isinstance(prompt, Menu) and len(prompt.rows) > MENU_ROWS and columns(prompt.title) > PANEL_COLUMNS - 4:
        wide.append(f"{prompt.title} and the number of the page")
    if len(getattr(prompt, "lines", ())) > PANEL_LINES - isinstance(prompt, Confirm):
        wide.append(f"lines: {prompt.lines}")
    return wide + [f"a page: {page}" for page in getattr(prompt, "pages", ()) if len(page) > PANEL_LINES]


@pytest.fixture
def quick_lock(monkeypatch):
    monkeypatch.setattr(sign_on, "SCRYPT_N", 2)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_prompt_of_every_function_fits(name, language, quick_lock):
    seen = {text for seed in range(WALKS) for _, prompt in walk(name, language, seed) for text in too_wide(prompt)}
    assert sorted(seen) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_panel_adds_fits(language):
    _ = translator(language)
    added: list[str] = []

    def note(text: str) -> str:
        added.append(_(text))
        return _(text)

    questions = [Digits("", "", 1, 2), Amount("", ""), Card(""), Card("", may_scan=True), Confirm(()), Ask(None, "")]
    for prompt in questions:
        panel(Runner(iter_of(prompt)), note)
    assert len(added) >= len(questions)
    assert [text for text in added if columns(text) > PANEL_COLUMNS] == []


def iter_of(prompt: Any):
    yield prompt


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_but_those_of_slips_is_wider_than_the_lcd(language):
    """Also those of screens that no walk has come to."""
    _ = translator(language)
    texts = [text for text, module in texts_in_source().items() if module.rpartition("/")[2] not in NOT_ON_THE_LCD]
    assert len(texts) > 200
    assert [text for text in texts if columns(_(text)) > PANEL_COLUMNS and "{" not in text] == []


def test_the_walks_lead_everywhere(quick_lock):
    """The random ways do meet what there is to be met: every kind of prompt, and most functions to a last word."""
    kinds, ended = set(), set()
    for name in FUNCTIONS:
        for seed in range(WALKS):
            for _, prompt in walk(name, "en", seed):
                kinds.add(type(prompt))
                if isinstance(prompt, Show | Pages | Transact):
                    ended.add(name)
    assert kinds >= {Menu, Digits, Amount, Card, Confirm, Show, Pages, Transact, Ask}
    assert set(FUNCTIONS) - ended <= {"fixed_amount_on"}
