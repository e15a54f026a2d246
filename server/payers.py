"""Who pays, as far as the shell must know: from what a terminal has read to what the ledger's rules compare.

A PIN block is opened under K_pin of the very session it came in and becomes a verifier at once; a payment code becomes
the number of its card and the step it is of. The ledger sees neither a PIN nor a key, and this page sees no account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from protocol.messages import EntryMode
from protocol.messages.money import NO_PIN_BLOCK
from protocol.payment_code import STALE_STEPS, is_virtual_number, matching_step, parse_code
from protocol.pin_block import PinBlockError, card_digits, decode_pin_block
from protocol.security import same_bytes
from server.host_secrets import HostSecrets
from server.ledger.model import CODE_INVALID, CODE_STALE

NO_CODE: Final = 0
CARD: Final = EntryMode.CARD  # looked up once: every sale asks
UNREADABLE_PIN: Final = bytes(32)
"""In place of a verifier: a block of another session, card or key. It is no PIN's, so it counts as a wrong one."""


class SessionKeys(NamedTuple):
    """The keys of a terminal's session that requests may need: of its PIN blocks, and of its offline records."""

    pin_key: bytes = b""
    saf_key: bytes = b""

    def __repr__(self) -> str:
        return "<SessionKeys>"


NO_KEYS: Final = SessionKeys()


class Payers:
    """See the module's docstring."""

    def __init__(self, secrets: HostSecrets, now_ms: Callable[[], int]) -> None:
        self._secrets = secrets
        self._now_ms = now_ms

    def pin_verifier(self, keys: SessionKeys, payer: bytes, token: bytes, pin_block: bytes) -> bytes:
        """What the ledger compares with the card's own verifier; empty if no PIN was keyed."""
        if same_bytes(pin_block, NO_PIN_BLOCK):
            return b""
        if not keys.pin_key:
            return UNREADABLE_PIN
        try:
            pin = decode_pin_block(keys.pin_key, pin_block, card_digits(payer))
        except PinBlockError:
            return UNREADABLE_PIN
        return self._secrets.pin_verifier(token, pin)

    def code_step(self, entry_mode: EntryMode, payer: bytes) -> int:
        """The step of a code that is good now; CODE_STALE if it was a moment ago; CODE_INVALID for any other; NO_CODE
        for a card.

        The number of a virtual card is no secret, so it must not pay as if it were a card's. The ledger takes a step
        once, and counts how often a terminal shows codes that are none.
        """
        if entry_mode is CARD:
            return CODE_INVALID if is_virtual_number(payer) else NO_CODE
        code = parse_code(payer)
        if code is None:
            return CODE_INVALID
        secret, now_s = self._secrets.code_secret(code.number), self._now_ms() // 1000
        step = matching_step(secret, code.dynamic, now_s)
        if step is not None:
            return step
        stale = matching_step(secret, code.dynamic, now_s, STALE_STEPS) is not None
        return CODE_STALE if stale else CODE_INVALID


class Caller(NamedTuple):
    """Whose request it is, and what its payer is checked with."""

    terminal_id: int
    keys: SessionKeys
    payers: Payers


def token_of(entry_mode: EntryMode, payer: bytes) -> bytes:
    """The ledger's token of a payer, whether or not a code is still good: an earlier request may have named it."""
    if entry_mode is CARD:
        return payer
    code = parse_code(payer)
    return payer if code is None else code.token
