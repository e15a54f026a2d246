"""Who asks, and whether they may: what every request about money is refused for, in one order.

A reversal that came first, terminal, merchant, batch, payment code, card, the merchants it is bound to, password,
limits, PIN, and last the balance. A wrong PIN or code is counted by the refusal itself, in the same commit.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final, NamedTuple

import msgspec

from server.ledger.batch import Batch
from server.ledger.model import (
    CODE_INVALID,
    CODE_STALE,
    Account,
    AccountKind,
    Asked,
    Card,
    Decision,
    Inquiry,
    SaleLimits,
    Side,
    Status,
    Terminal,
)
from server.ledger.tariff import HOUR_MS, NO_CLASS, Tariff, meal_key

CARD_REFUSALS: Final[dict[int, Decision]] = {
    Status.LOST: Decision.CARD_LOST,
    Status.FROZEN: Decision.CARD_FROZEN,
}
"""Every other state but ACTIVE counts as closed, one that a later version may have written included."""

PIN_TRIES_MAX: Final = 5
"""Wrong PINs until a card takes none any more: a PIN has at least 10,000 values."""
TERMINAL_PIN_TRIES_MAX: Final = 20
"""Wrong PINs an hour at one terminal: somebody tries out cards. More than honest fingers make at lunch."""
TERMINAL_CODE_TRIES_MAX: Final = 100
"""Invalid payment codes an hour at one terminal: a guess hits once in 2**30. Codes whose time has just gone by are
shown all the time, and are none of these."""


class Asker(NamedTuple):
    """Terminal, card and the account behind it, as far as they are known."""

    terminal: Terminal | None
    card: Card | None
    payer: Account | None


def asker_of(batch: Batch, terminal_id: int, token: bytes) -> Asker:
    """Who asks."""
    card = batch.cards.get(token)
    return Asker(batch.terminals.get(terminal_id), card, payer_of(batch, card))


def payer_of(batch: Batch, card: Card | None) -> Account | None:
    """Whose card it is, whatever has become of the card since; None if nobody is known."""
    payer = batch.accounts.get(card.account_id) if card is not None else None
    return payer if payer is not None and payer.kind == AccountKind.CUSTOMER else None


def terminal_refusal(terminal: Terminal | None) -> Decision:
    """Whether this terminal may ask at all."""
    if terminal is None:
        return Decision.TERMINAL_UNKNOWN
    if terminal.status != Status.ACTIVE:
        return Decision.TERMINAL_REVOKED
    if terminal.merchant_status != Status.ACTIVE:
        return Decision.MERCHANT_CLOSED
    return Decision.APPROVED


def card_refusal(card: Card | None, payer: Account | None) -> Decision:
    """Whether somebody is behind this card, and it is in use."""
    if card is None or payer is None:
        return Decision.CARD_UNKNOWN
    if card.status != Status.ACTIVE:
        return CARD_REFUSALS.get(card.status, Decision.CARD_CLOSED)
    return Decision.APPROVED


def limit_refusal(
    amount_fen: int, card: Card, payer: Account, today: int, limits: SaleLimits, tariff: Tariff, meal_id: int
) -> Decision:
    """Whether this much may be paid: at once, in this meal, on this day. A card's limit, its class's, the host's."""
    group = tariff.class_of(card.class_id) if tariff.classes else NO_CLASS
    sale_limit_fen = card.sale_limit_fen or group.sale_limit_fen or limits.sale_limit_fen
    if sale_limit_fen and amount_fen > sale_limit_fen:
        return Decision.OVER_SALE_LIMIT
    meal_limit_fen = card.meal_limit_fen or group.meal_limit_fen or tariff.meal_limit_fen
    if meal_limit_fen and meal_id:
        eaten_fen = payer.meal_fen if payer.meal_key == meal_key(today, meal_id) else 0
        if eaten_fen + amount_fen > meal_limit_fen:
            return Decision.OVER_MEAL_LIMIT
    day_limit_fen = card.day_limit_fen or group.day_limit_fen or limits.day_limit_fen
    if day_limit_fen and spent_on(payer, today) + amount_fen > day_limit_fen:
        return Decision.OVER_DAY_LIMIT
    return Decision.APPROVED


def spent_on(payer: Account, today: int) -> int:
    """What the account has spent on this business day, in fen."""
    return payer.spent_fen if payer.spent_day == today else 0


def who(batch: Batch, asked: Asked, asker: Asker) -> Decision:
    """Everything but limits, PIN and balance. Status ACTIVE is 0."""
    if (asked.identity, Side.REVERSAL) in batch.transfers:
        return Decision.REVERSED_BEFORE
    terminal, card, payer = asker
    if terminal is None or terminal.status or terminal.merchant_status:
        return terminal_refusal(terminal)
    if asked.identity.batch <= terminal.closed_batch:
        return Decision.BATCH_CLOSED
    if asked.code_step:
        decision = code_refusal(batch, asked, asker)
        if decision:
            return decision
    if card is None or payer is None or card.status:
        return card_refusal(card, payer)
    if card.is_bound and (card.token, terminal.merchant_id) not in batch.bindings:
        return Decision.NOT_BOUND
    return Decision.APPROVED


def who_with_password(batch: Batch, asked: Asked, asker: Asker) -> Decision:
    """The same of what takes somebody's password at the till."""
    decision = who(batch, asked, asker)
    if decision or not asked.lacks_password:
        return decision
    assert asker.terminal is not None  # `who` has refused everything else
    is_wanted = batch.tariff.checks_passwords(asker.terminal.merchant_id)
    return Decision.PASSWORD_MISSING if is_wanted else Decision.APPROVED


def paying(batch: Batch, asked: Asked, asker: Asker, amount_fen: int) -> Decision:
    """Who asks, whether so much may be paid, and the PIN if it takes one. All but the balance."""
    decision = who(batch, asked, asker)
    if decision:
        return decision
    terminal, card, payer = asker
    assert terminal is not None
    assert card is not None
    assert payer is not None  # `who` has refused everything else
    decision = limit_refusal(amount_fen, card, payer, batch.today, batch.limits, batch.tariff, batch.meal_id)
    if decision or not card.pin_verifier:
        return decision
    tariff = batch.tariff
    sales = payer.day_count if payer.spent_day == batch.today else 0
    is_required = 0 < tariff.pin_above_fen < amount_fen or 0 < tariff.pin_after_sales <= sales
    return pin_refusal(batch, asked.pin_verifier, terminal, card, is_required=is_required)


def served(batch: Batch, asked: Asked, asker: Asker) -> Decision:
    """Who asks, and the PIN if one was keyed in: for what takes no money from the payer."""
    decision = who_with_password(batch, asked, asker)
    if decision:
        return decision
    terminal, card, _ = asker
    assert terminal is not None
    assert card is not None  # `who` has refused everything else
    return pin_refusal(batch, asked.pin_verifier, terminal, card, is_required=False)


# --- PINs and codes


def wrong_pins(terminal: Terminal, now_ms: int) -> tuple[int, int, int]:
    """Wrong PINs and codes of this terminal, and since when they are counted: an hour, then anew."""
    if terminal.pin_window_ms <= now_ms < terminal.pin_window_ms + HOUR_MS:
        return terminal.pin_wrong, terminal.code_wrong, terminal.pin_window_ms
    return 0, 0, now_ms


def pin_refusal(batch: Batch, verifier: bytes, terminal: Terminal, card: Card, *, is_required: bool) -> Decision:
    """Whether the PIN is right, if it is asked for or was keyed in. A card without a PIN takes none."""
    if not card.pin_verifier or not (is_required or verifier):
        return Decision.APPROVED
    if card.pin_tries >= PIN_TRIES_MAX:
        return Decision.PIN_LOCKED
    pins, codes, since_ms = wrong_pins(terminal, batch.now_ms)
    if pins >= TERMINAL_PIN_TRIES_MAX:
        return Decision.TERMINAL_PIN_LOCKED
    if not verifier:
        return Decision.PIN_REQUIRED
    if compare_digest(verifier, card.pin_verifier):
        if card.pin_tries:
            batch.set_card(msgspec.structs.replace(card, pin_tries=0))
        return Decision.APPROVED
    batch.set_card(msgspec.structs.replace(card, pin_tries=card.pin_tries + 1))
    batch.set_terminal(msgspec.structs.replace(terminal, pin_wrong=pins + 1, code_wrong=codes, pin_window_ms=since_ms))
    return Decision.PIN_LOCKED if card.pin_tries + 1 >= PIN_TRIES_MAX else Decision.PIN_WRONG


def code_refusal(batch: Batch, asked: Asked | Inquiry, asker: Asker) -> Decision:
    """Whether a payment code is one, and new: each is taken once."""
    terminal, _, payer = asker
    assert terminal is not None
    pins, codes, since_ms = wrong_pins(terminal, batch.now_ms)
    if codes >= TERMINAL_CODE_TRIES_MAX:
        return Decision.TERMINAL_PIN_LOCKED
    if asked.code_step == CODE_STALE:
        return Decision.CODE_INVALID
    if asked.code_step == CODE_INVALID:
        batch.set_terminal(
            msgspec.structs.replace(terminal, pin_wrong=pins, code_wrong=codes + 1, pin_window_ms=since_ms)
        )
        return Decision.CODE_INVALID
    if payer is not None and asked.code_step <= payer.code_step:
        return Decision.CODE_USED
    return Decision.APPROVED


def use_code(batch: Batch, asked: Asked, payer: Account) -> None:
    """The code has paid: it and every older one is worth nothing any more."""
    if asked.code_step > 0:
        payer.code_step = asked.code_step
        batch.dirty[payer.account_id] = payer
