"""Requests for money on the host's floor. Hashes are stored with each transfer for ever: their recipe is pinned."""

from __future__ import annotations

from hashlib import sha256

import pytest

from protocol.messages import (
    CompletionRequest,
    CompletionVoidRequest,
    EntryMode,
    FollowUpRequest,
    PointsSaleRequest,
    PointsVoidRequest,
    PreAuthRequest,
    PreAuthVoidRequest,
    RefundRequest,
    SaleRequest,
    TopUpRequest,
    TopUpVoidRequest,
    TransactionKind,
    UploadRequest,
    VoidRequest,
)
from protocol.payment_code import make_code, step_at
from protocol.pin_block import card_digits, encode_pin_block
from server.handlers import money, upload
from server.ledger.model import (
    CODE_INVALID,
    CODE_STALE,
    Completion,
    Decision,
    Identity,
    Kind,
    Outcome,
    PointsSale,
    PreAuth,
    Refund,
    Sale,
    TopUp,
    TransferState,
    Void,
)
from tests.server.callers import KEYS, NOW_MS, SECRETS, caller_of

SALE_HASH = "5b8b698e8ba4ac533bdb6a174bd17c20"
"""The first half of: printf 'sale 1250 5 1 04a1b2c3d4e5f6 1795000000' | sha256sum"""
CARD = bytes.fromhex("04a1b2c3d4e5f6")
SAID = {"stan": 123, "batch": 17, "amount_fen": 1250, "operator": 5, "payer": CARD, "claimed_at_s": 1_795_000_000}
ORIGINAL = {"original_batch": 16, "original_stan": 99}
TERMINAL_ID = 0x0003_003A
NUMBER = "0000000042"

COMMANDS = {
    SaleRequest: Sale,
    VoidRequest: Void,
    RefundRequest: Refund,
    PreAuthRequest: PreAuth,
    PreAuthVoidRequest: Void,
    CompletionRequest: Completion,
    CompletionVoidRequest: Void,
    TopUpRequest: TopUp,
    TopUpVoidRequest: Void,
    PointsSaleRequest: PointsSale,
    PointsVoidRequest: Void,
}

each_request = pytest.mark.parametrize("request_type", list(money.KINDS), ids=lambda kind: kind.__name__)
each_follow_up = pytest.mark.parametrize(
    "request_type", [kind for kind in money.KINDS if issubclass(kind, FollowUpRequest)], ids=lambda kind: kind.__name__
)


def request_of(request_type, **changes):
    original = ORIGINAL if issubclass(request_type, FollowUpRequest) else {}
    return request_type(**{**SAID, **original, **changes})


def command_of(request, terminal_id=TERMINAL_ID, **caller):
    return money.to_command_of(money.KINDS[type(request)])(caller_of(terminal_id, **caller), request)


@each_request
def test_the_command_carries_what_the_request_says(request_type):
    command = command_of(request_of(request_type))
    assert type(command) is COMMANDS[request_type]
    assert command.identity == Identity(TERMINAL_ID, 17, 123)
    assert (command.token, command.amount_fen) == (CARD, 1250)
    assert (command.operator, command.claimed_at_s) == (5, 1_795_000_000)
    assert (command.pin_verifier, command.code_step) == (b"", 0)


@each_follow_up
def test_a_follow_up_names_its_original(request_type):
    own = command_of(request_of(request_type))
    assert own.original == Identity(TERMINAL_ID, 16, 99)
    others = command_of(request_of(request_type, original_terminal=7))
    assert others.original == Identity(7, 16, 99)
    if isinstance(own, Void):
        assert own.kind == Kind(money.KINDS[request_type])


def test_the_hash_of_a_sale_is_what_it_always_was():
    assert command_of(request_of(SaleRequest)).request_hash.hex() == SALE_HASH


@each_request
def test_the_recipe_of_every_hash(request_type):
    name = money.KINDS[request_type].name.lower()
    text = f"{name} 1250 5 1 {CARD.hex()} 1795000000"
    if issubclass(request_type, FollowUpRequest):
        text += f" {TERMINAL_ID} 16 99"
    assert command_of(request_of(request_type)).request_hash == sha256(text.encode()).digest()[:16]


@each_request
@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 1251},
        {"operator": 6},
        {"entry_mode": EntryMode.CODE},
        {"payer": CARD[:-1]},
        {"claimed_at_s": 1_795_000_001},
    ],
    ids=lambda change: next(iter(change)),
)
def test_anything_else_said_is_another_request(request_type, change):
    first, other = (command_of(request_of(request_type, **more)) for more in ({}, change))
    assert first.request_hash != other.request_hash


@each_follow_up
@pytest.mark.parametrize("change", [{"original_terminal": 7}, {"original_batch": 15}, {"original_stan": 98}], ids=str)
def test_another_original_is_another_request(request_type, change):
    first, other = (command_of(request_of(request_type, **more)) for more in ({}, change))
    assert first.request_hash != other.request_hash


@each_request
def test_the_pin_is_no_content(request_type):
    """The same request, sent again in a new session, has another block; and a PIN could be guessed by its hash."""
    first, again = (
        command_of(request_of(request_type, **more))
        for more in ({}, {"pin_block": encode_pin_block(KEYS.pin_key, "839214", card_digits(CARD), bytes(8))})
    )
    assert first.request_hash == again.request_hash
    assert again.pin_verifier == SECRETS.pin_verifier(CARD, "839214")


def test_no_two_kinds_have_one_hash():
    assert len({command_of(request_of(kind)).request_hash for kind in money.KINDS}) == len(money.KINDS)


def test_where_and_under_which_number_is_not_part_of_the_content_of_a_sale():
    hashes = {
        command_of(request_of(SaleRequest)).request_hash,
        command_of(request_of(SaleRequest, stan=1, batch=1)).request_hash,
        command_of(request_of(SaleRequest), terminal_id=2).request_hash,
    }
    assert len(hashes) == 1


@each_request
def test_an_upload_has_the_hash_of_its_request(request_type):
    """After a restore the terminal says what it said then; its own number may stand where 0 stood before."""
    request = request_of(request_type)
    original = {**ORIGINAL, "original_terminal": TERMINAL_ID} if issubclass(request_type, FollowUpRequest) else {}
    uploaded = UploadRequest(
        **SAID,
        **original,
        kind=money.KINDS[request_type],
        charged_fen=1200,
        points=3,
        rrn=9,
        balance_fen=1,
        posted_at_ms=2,
    )
    command = upload.to_command(caller_of(TERMINAL_ID), uploaded)
    asked = command_of(request)
    assert command.request_hash == asked.request_hash
    assert (command.kind, command.charged_fen, command.points) == (Kind(money.KINDS[request_type]), 1200, 3)
    assert command.original == getattr(asked, "original", None)


# --- Payment codes


def code_at(now_ms=NOW_MS, number=NUMBER):
    return make_code(SECRETS.code_secret(number), number, now_ms // 1000).encode()


@pytest.mark.parametrize("request_type", [SaleRequest, PreAuthRequest, PointsSaleRequest], ids=lambda one: one.__name__)
def test_a_code_becomes_its_cards_number_and_its_step(request_type):
    command = command_of(request_of(request_type, payer=code_at(), entry_mode=EntryMode.CODE))
    assert (command.token, command.code_step) == (NUMBER.encode(), step_at(NOW_MS // 1000))
    for later_ms, step in ((60_000, CODE_STALE), (3_600_000, CODE_INVALID)):
        late = command_of(
            request_of(request_type, payer=code_at(), entry_mode=EntryMode.CODE), now_ms=NOW_MS + later_ms
        )
        assert (late.token, late.code_step) == (NUMBER.encode(), step)
        assert late.request_hash == command.request_hash


@each_follow_up
def test_a_follow_up_of_a_code_sale_needs_no_fresh_code(request_type):
    request = request_of(request_type, payer=code_at(), entry_mode=EntryMode.CODE)
    command = command_of(request, now_ms=NOW_MS + 3_600_000)
    assert (command.token, command.code_step) == (NUMBER.encode(), 0)


# --- Answers


@each_request
def test_the_answer_says_what_was_decided_and_booked(request_type):
    to_answer, request = money.to_answer_of(request_type), request_of(request_type)
    outcome = Outcome(Decision.APPROVED, 1250, 8750, 17, 99, TransferState.APPROVED, charged_fen=1125, points=11)
    answer = to_answer(request, outcome)
    assert answer.layout.answers(request.layout)
    assert (answer.stan, answer.batch, answer.amount_fen, answer.response_code) == (123, 17, 1250, "00")
    assert (answer.charged_fen, answer.points) == (1125, 11)
    assert (answer.balance_fen, answer.rrn, answer.posted_at_ms) == (8750, 17, 99)
    assert to_answer(request, Outcome(Decision.CARD_UNKNOWN)).amount_fen == 1250


def test_every_kind_of_transaction_has_its_request():
    assert {*money.KINDS.values()} == {*TransactionKind} - {TransactionKind.OFFLINE_SALE}
