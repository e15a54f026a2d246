"""Response codes (ISO 8583 field 39): the ones the host of wire version 1 gives, and what a terminal makes of each.

docs/protocol.md is generated from this table. A terminal treats a code that is not in it as declined.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class CodeClass(StrEnum):
    """What kind of answer a code is; the letters are those of UnionPay terminals."""

    APPROVED = "A"
    UNDECIDED = "B"  # nothing has been decided by this answer
    DECLINED = "C"
    ATTENDED = "D"  # declined, and somebody has to do something about it


class ResponseCode(msgspec.Struct, frozen=True):
    """One code: what it means, and what the terminal does."""

    code: str
    code_class: CodeClass
    meaning: str
    terminal_does: str

    @property
    def final(self) -> bool:
        """Whether the answer holds for ever for this identity."""
        return self.code_class is not CodeClass.UNDECIDED


_A, _B, _C, _D = CodeClass.APPROVED, CodeClass.UNDECIDED, CodeClass.DECLINED, CodeClass.ATTENDED
_SHOW: Final = "show the reason; take another card or cash"

RESPONSE_CODES: Final[dict[str, ResponseCode]] = {
    entry.code: entry
    for entry in (
        ResponseCode("00", _A, "approved", "show, print, keep the record"),
        ResponseCode("03", _D, "merchant closed", "stop selling; call the manager"),
        ResponseCode(
            "09", _B, "host is busy: nothing decided", "wait, send the same request again; then as if unanswered"
        ),
        ResponseCode("14", _C, "card or code unknown", _SHOW),
        ResponseCode("25", _C, "original never seen", "send the reversal: a late original is then declined"),
        ResponseCode(
            "30", _C, "format error in the request", "do not send it again; report field and offset of the reject"
        ),
        ResponseCode(
            "40", _C, "message type unknown to this host", "do not send it again; the host is older than the terminal"
        ),
        ResponseCode("41", _D, "card reported lost", "keep the card"),
        ResponseCode("51", _C, "insufficient funds", "show the balance; take another card or cash"),
        ResponseCode("54", _C, "card closed or expired", _SHOW),
        ResponseCode("58", _D, "not permitted to this terminal or in this session", "stop; call the manager"),
        ResponseCode("61", _C, "above the limit of one sale", _SHOW),
        ResponseCode("62", _C, "card frozen", _SHOW),
        ResponseCode(
            "64", _C, "reversal names another amount or payer than its original", "call the manager: records differ"
        ),
        ResponseCode("65", _C, "above the limit of one day", _SHOW),
        ResponseCode(
            "68", _C, "came too late: it was reversed before it came", "key the sale in again, under a new number"
        ),
        ResponseCode(
            "94", _C, "the number was used before, with other content", "skip ahead to a new batch; key in again"
        ),
        ResponseCode("96", _B, "fault of the host: nothing decided", "as 09"),
        ResponseCode("97", _D, "terminal not registered", "stop; call the manager"),
    )
}

NON_FINAL: Final = frozenset(code for code, entry in RESPONSE_CODES.items() if not entry.final)
"""Answers that decide nothing: a terminal goes on as if there had been none."""


def meaning(code: str) -> str:
    """A code in words; one that is not in the table is a refusal of some kind."""
    entry = RESPONSE_CODES.get(code)
    return "declined, reason unknown" if entry is None else entry.meaning
