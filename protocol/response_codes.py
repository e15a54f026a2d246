"""Response codes (ISO 8583 field 39): the ones the host of wire version 1 gives, and what a terminal makes of each.

F1 and up are Fanka's own. docs/protocol.md is generated from this table. A terminal treats a code that is not in it as
declined.
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
        ResponseCode(
            "12", _C, "original is of another day, batch, terminal or kind", "refund it, or void it where it was made"
        ),
        ResponseCode("14", _C, "card or code unknown", _SHOW),
        ResponseCode("1A", _C, "PIN required", "let the payer key it in; send a new request, under a new number"),
        ResponseCode("21", _C, "voided, refunded, completed or reversed before", "show it; nothing is left to be done"),
        ResponseCode(
            "25",
            _C,
            "original not found",
            "to a query: send the reversal, a late original is then declined; to a void or refund: check the voucher",
        ),
        ResponseCode(
            "30", _C, "format error in the request", "do not send it again; report field and offset of the reject"
        ),
        ResponseCode(
            "38", _D, "too many wrong PINs or codes at this terminal", "take no PIN for an hour; call the manager"
        ),
        ResponseCode(
            "40", _C, "message type unknown to this host", "do not send it again; the host is older than the terminal"
        ),
        ResponseCode("41", _D, "card reported lost, or on the stop list", "keep the card"),
        ResponseCode("51", _C, "insufficient funds", "show the balance; take another card or cash"),
        ResponseCode("54", _C, "card closed or expired", _SHOW),
        ResponseCode(
            "55",
            _C,
            "wrong PIN or password",
            "let the payer key it in again; send a new request, under a new number",
        ),
        ResponseCode("57", _C, "card is bound to other merchants", _SHOW),
        ResponseCode("58", _D, "not permitted to this terminal or in this session", "stop; call the manager"),
        ResponseCode("61", _C, "above the limit, or above what is left of the original", _SHOW),
        ResponseCode("62", _C, "card frozen", _SHOW),
        ResponseCode("64", _C, "names another amount or payer than its original", "call the manager: records differ"),
        ResponseCode("65", _C, "above the limit of one meal or day", _SHOW),
        ResponseCode(
            "68", _C, "came too late: it was reversed before it came", "key the sale in again, under a new number"
        ),
        ResponseCode(
            "75",
            _D,
            "too many wrong PINs with this card, or wrong passwords",
            "the office has to let the card or the person try again",
        ),
        ResponseCode("77", _D, "batch is settled", "begin a new batch; key it in again"),
        ResponseCode("79", _B, "records before this one are missing", "send those first, then this again"),
        ResponseCode(
            "94", _C, "the number was used before, with other content", "skip ahead to a new batch; key in again"
        ),
        ResponseCode("95", _C, "batch does not balance", "send its records; a supervisor closes it with what differs"),
        ResponseCode("96", _B, "fault of the host: nothing decided", "as 09"),
        ResponseCode("97", _D, "terminal not registered", "stop; call the manager"),
        ResponseCode("A0", _D, "offline record is not authentic", "keep the record; call the manager"),
        ResponseCode("F1", _C, "too long ago for a refund", "show it; call the manager"),
        ResponseCode("F2", _C, "payment code is invalid or too old", "let the payer show a new one"),
        ResponseCode("F3", _C, "payment code was used before", "let the payer show a new one"),
        ResponseCode("F4", _C, "what was held has expired", "take it as a sale"),
        ResponseCode("F5", _C, "number or password may not be used", "let the operator choose another"),
        ResponseCode("F6", _C, "not the account that paid the original", "take any card or code of whoever paid"),
        ResponseCode(
            "F7", _C, "the password it needs was not checked just before", "ask for the password; send a new request"
        ),
    )
}

NON_FINAL: Final = frozenset(code for code, entry in RESPONSE_CODES.items() if not entry.final)
"""Answers that decide nothing: a terminal goes on as if there had been none."""


def meaning(code: str) -> str:
    """A code in words; one that is not in the table is a refusal of some kind."""
    entry = RESPONSE_CODES.get(code)
    return "declined, reason unknown" if entry is None else entry.meaning
