"""What payers know and carry: PINs, telephones that show payment codes; and what guesses at them should come to.

The codes are computed here anew, from RFC 6238 and docs/protocol.md; nothing is shared with the host but the meaning.
"""

from __future__ import annotations

import hmac
from collections import Counter
from hashlib import sha256
from random import Random
from typing import Final

from tests.simulation.oracle import Content

CODE: Final = 2
"""Entry mode of a payment code."""
STEP_S: Final = 15
STALE_STEPS: Final = 40
"""A code that was good ten minutes ago is old, and no guess."""
CARD_TRIES: Final = 5
"""Wrong PINs until a card takes none."""
TERMINAL_PINS: Final = 20
TERMINAL_CODES: Final = 100
"""Wrong PINs, and codes that are none, within an hour until a terminal takes none."""
HOUR_MS: Final = 3_600_000
ON_ITS_WAY_MS: Final = 10_000
"""A code is looked at when it arrives, and its answer says when it was decided: at most so much later."""


def draw_pin(rng: Random) -> str:
    """Four digits, or more; with so many no two are the same by chance."""
    return str(rng.randrange(10_000_000, 10**12)) if rng.random() < 0.7 else f"{rng.randrange(10_000):04}"


def code_at(secret: bytes, number: str, at_s: int) -> bytes:
    """What a telephone shows at this time: a mark, the card's number, and a one-time password of ten digits."""
    mac = hmac.new(secret, (at_s // STEP_S).to_bytes(8, "big"), sha256).digest()
    at = mac[31] % 16
    word = int.from_bytes(mac[at : at + 4], "big") % 2**31
    return f"91{number}{word:010}".encode()


def token_of(content: Content) -> bytes:
    """Whose card: a payment code names it by its number."""
    payer = content.payer
    return payer[2:12] if content.entry_mode == CODE and len(payer) == 22 else payer


class Guesses:
    """What was tried at cards and terminals, and what that comes to: every method but `set_pin` says a response code.
    To be told of everything in the order in which it was decided."""

    def __init__(self, phones: dict[bytes, bytes], jumps_ms: list[tuple[int, int]]) -> None:
        self._phones = phones
        """Number -> secret."""
        self._jumps_ms = jumps_ms
        """What the host's clock showed before and after, each time it was set."""
        self._pins: dict[bytes, str] = {}
        self._tries: Counter[bytes] = Counter()
        self._wrong: dict[int, tuple[int, int, int]] = {}
        """Terminal -> wrong PINs, codes that were none, and since when."""
        self._steps: dict[bytes, int] = {}
        """Number -> step of the newest code that has paid."""

    def set_pin(self, token: bytes, pin: str) -> None:
        """The office gives a card a PIN, or none; what was tried is forgotten."""
        self._pins[token] = pin
        self._tries[token] = 0

    def pin(self, terminal_id: int, token: bytes, keyed: str, at_ms: int, *, required: bool) -> str:
        """A PIN was keyed, or was not though it may have had to be."""
        right = self._pins.get(token, "")
        if not right or not (required or keyed):
            return "00"
        if self._tries[token] >= CARD_TRIES:
            return "75"
        pins, codes, since_ms = self._of(terminal_id, at_ms)
        if pins >= TERMINAL_PINS:
            return "38"
        if not keyed:
            return "1A"
        if keyed == right:
            self._tries[token] = 0
            return "00"
        self._tries[token] += 1
        self._wrong[terminal_id] = pins + 1, codes, since_ms
        return "75" if self._tries[token] >= CARD_TRIES else "55"

    def _of(self, terminal_id: int, at_ms: int) -> tuple[int, int, int]:
        pins, codes, since_ms = self._wrong.get(terminal_id, (0, 0, at_ms))
        return (pins, codes, since_ms) if since_ms <= at_ms < since_ms + HOUR_MS else (0, 0, at_ms)

    def code(self, terminal_id: int, content: Content, at_ms: int, said: str) -> str:
        """Something was shown for a code, or a telephone's number was said as if it were a card's. Where it depends on
        a moment that nobody knows, what was `said` holds."""
        is_code = content.entry_mode == CODE
        if not is_code and content.payer not in self._phones:
            return "00"
        pins, codes, since_ms = self._of(terminal_id, at_ms)
        if codes >= TERMINAL_CODES:
            return "38"
        step = self._step(content, at_ms, said) if is_code else None
        if step is None and is_code and self._is_old(content, at_ms):
            return "F2"
        if step is None:
            self._wrong[terminal_id] = pins, codes + 1, since_ms
            return "F2"
        return "F3" if step <= self._steps.get(token_of(content), 0) else "00"

    def paid(self, content: Content, at_ms: int) -> None:
        """The code has paid: neither it nor an older one does again."""
        if content.entry_mode == CODE:
            step = self._step(content, at_ms, "00")
            if step is not None:
                self._steps[token_of(content)] = step

    def _step(self, content: Content, at_ms: int, said: str) -> int | None:
        """The step this is the code of, if it was good when it came."""
        moments = [at_ms, *(before for before, after in self._jumps_ms if after <= at_ms < after + ON_ITS_WAY_MS)]
        found = {self._good_at(content, ms - ago) for ms in moments for ago in (0, ON_ITS_WAY_MS)}
        good = [step for step in found if step is not None]
        return None if not good or (None in found and said == "F2") else max(good)

    def _is_old(self, content: Content, at_ms: int) -> bool:
        """Whether this was good a while before it came."""
        moments = [at_ms, *(before for before, after in self._jumps_ms if after <= at_ms < after + ON_ITS_WAY_MS)]
        found = (self._good_at(content, ms - ago, STALE_STEPS) for ms in moments for ago in (0, ON_ITS_WAY_MS))
        return any(step is not None for step in found)

    def _good_at(self, content: Content, at_ms: int, back: int = 1) -> int | None:
        token, now = token_of(content), at_ms // 1_000 // STEP_S
        secret = self._phones.get(token)
        if secret is None:
            return None
        steps = range(max(0, now - back), now + 1)
        return next((s for s in steps if code_at(secret, token.decode(), s * STEP_S) == content.payer), None)
