"""What a terminal says: response codes as words, each with what to do next; amounts, times and card numbers as text.

Every advice is two lines of an LCD: why, and what the cashier does about it. Unknown codes get a general one, as
ISO 8583 wants it. A new code is one line here, plus its two texts in the catalogues.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

from protocol.messages.money import TransactionKind
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.record import RecordState

CHINA_OFFSET_MINUTES: Final = 8 * 60
CHINA_TIME: Final = timezone(timedelta(minutes=CHINA_OFFSET_MINUTES), "CST")
"""The one time zone of mainland China, without summer time. Slips show it unless told otherwise."""

CARD_DIGITS_SHOWN: Final = 4
"""Of a card's number slips and screens show no more than this, as everywhere in the trade."""

OWN_CODE_SIZE: Final = 22
OWN_CODE_CARD_END: Final = 12
"""A payment code of ours is "91", ten digits that name the virtual card, and ten that change."""


KIND_TEXT: Final = {
    TransactionKind.SALE: N_("Sale"),
    TransactionKind.VOID: N_("Void"),
    TransactionKind.REFUND: N_("Refund"),
    TransactionKind.PREAUTH: N_("Pre-auth"),
    TransactionKind.PREAUTH_VOID: N_("Pre-auth void"),
    TransactionKind.COMPLETION: N_("Completion"),
    TransactionKind.COMPLETION_VOID: N_("Complet. void"),
    TransactionKind.TOPUP: N_("Top-up"),
    TransactionKind.TOPUP_VOID: N_("Top-up void"),
    TransactionKind.POINTS_SALE: N_("Points sale"),
    TransactionKind.POINTS_VOID: N_("Points void"),
    TransactionKind.OFFLINE_SALE: N_("Offline sale"),
}
"""What a transaction is called, on the LCD and on slips."""

SHORT_TEXT: Final = KIND_TEXT | {
    TransactionKind.PREAUTH_VOID: N_("PA. void"),
    TransactionKind.COMPLETION: N_("Complete"),
    TransactionKind.COMPLETION_VOID: N_("Com.void"),
    TransactionKind.TOPUP_VOID: N_("Top.void"),
    TransactionKind.POINTS_SALE: N_("Pts.sale"),
    TransactionKind.POINTS_VOID: N_("Pts.void"),
    TransactionKind.OFFLINE_SALE: N_("Off.sale"),
}
"""The same in eight columns: on an LCD a voucher number, or an amount below 10,000.00, has room beside it."""

COUNTS_POINTS: Final = frozenset({TransactionKind.POINTS_SALE, TransactionKind.POINTS_VOID})
"""Their amounts and balances are points, not money."""

MOVED_TEXT: Final = {
    TransactionKind.SALE: N_("Charged"),
    TransactionKind.OFFLINE_SALE: N_("Charged"),
    TransactionKind.COMPLETION: N_("Charged"),
    TransactionKind.VOID: N_("Given back"),
    TransactionKind.REFUND: N_("Given back"),
    TransactionKind.COMPLETION_VOID: N_("Given back"),
    TransactionKind.TOPUP: N_("Credited"),
    TransactionKind.TOPUP_VOID: N_("Debited"),
}
"""What became of the money, where discount or bonus make it another sum than the amount. Not of holds and points."""

STATE_TEXT: Final = {
    RecordState.PENDING: N_("Result unknown"),
    RecordState.APPROVED: N_("Approved"),
    RecordState.DECLINED: N_("Declined"),
    RecordState.REVERSING: N_("Undone, reversal"),
    RecordState.REVERSED: N_("Reversed"),
    RecordState.REPEATING: N_("Result unknown"),
    RecordState.OFFLINE: N_("Not uploaded yet"),
    RecordState.REFUSED: N_("Upload refused"),
}
"""What became of a transaction, on the LCD and on slips. Of REVERSING and REPEATING the slip says more below."""


class Advice(NamedTuple):
    """msgids of two LCD lines: what happened and what the cashier does next."""

    reason: str
    action: str


_OFFICE: Final = N_("Go to card desk")
_OTHER_CARD: Final = N_("Other card/cash")
_MANAGER: Final = N_("Call the manager")
_SIGN_ON: Final = N_("Sign on again")
_AGAIN: Final = N_("Key it in again")
_NEW_CODE: Final = N_("Show a new code")
_LATER: Final = N_("Try again soon")

UNKNOWN_CODE: Final = Advice(N_("Not accepted"), _OTHER_CARD)

ADVICE: Final[dict[str, Advice]] = {
    "01": Advice(N_("Refer to issuer"), _OFFICE),
    "03": Advice(N_("Invalid merchant"), _MANAGER),
    "04": Advice(N_("Card is blocked"), N_("Keep the card")),
    "05": Advice(N_("Not honoured"), _OTHER_CARD),
    "06": Advice(N_("Host error"), _MANAGER),
    "09": Advice(N_("Host is busy"), N_("Please wait")),
    "12": Advice(N_("Not valid here"), _MANAGER),
    "13": Advice(N_("Invalid amount"), _AGAIN),
    "14": Advice(N_("Unknown card"), _OTHER_CARD),
    "15": Advice(N_("Unknown issuer"), _OTHER_CARD),
    "1A": Advice(N_("PIN required"), _AGAIN),
    "19": Advice(N_("Not processed"), _AGAIN),
    "20": Advice(N_("Invalid answer"), _AGAIN),
    "21": Advice(N_("Undone already"), N_("Check voucher no")),
    "22": Advice(N_("Host error"), _MANAGER),
    "25": Advice(N_("Sale not found"), N_("Check the number")),
    "30": Advice(N_("Message error"), _MANAGER),
    "34": Advice(N_("Suspected fraud"), N_("Keep the card")),
    "38": Advice(N_("No PINs here now"), _MANAGER),
    "40": Advice(N_("Not supported"), _MANAGER),
    "41": Advice(N_("Card is lost"), N_("Keep the card")),
    "43": Advice(N_("Card is stolen"), N_("Keep the card")),
    "51": Advice(N_("Low balance"), N_("Please top up")),
    "54": Advice(N_("Card not valid"), _OFFICE),
    "55": Advice(N_("Wrong PIN"), N_("Key PIN again")),
    "57": Advice(N_("Card not allowed"), _OTHER_CARD),
    "58": Advice(N_("Till not allowed"), _MANAGER),
    "59": Advice(N_("Suspected fraud"), _MANAGER),
    "61": Advice(N_("Over sale limit"), _OTHER_CARD),
    "62": Advice(N_("Card is frozen"), _OFFICE),
    "63": Advice(N_("Security failure"), _MANAGER),
    "64": Advice(N_("Amount differs"), N_("Check voucher no")),
    "65": Advice(N_("Over day or meal"), _OTHER_CARD),
    "68": Advice(N_("Came too late"), _AGAIN),
    "75": Advice(N_("PIN blocked"), _OFFICE),
    "77": Advice(N_("Wrong batch"), _SIGN_ON),
    "79": Advice(N_("Upload differs"), N_("Upload again")),
    "90": Advice(N_("Day is changing"), _LATER),
    "91": Advice(N_("Issuer is silent"), _LATER),
    "92": Advice(N_("No way to issuer"), _LATER),
    "94": Advice(N_("Number in use"), _AGAIN),
    "95": Advice(N_("Totals differ"), _MANAGER),
    "96": Advice(N_("Host error"), _LATER),
    "97": Advice(N_("Not registered"), _MANAGER),
    "98": Advice(N_("Issuer is silent"), _LATER),
    "99": Advice(N_("PIN format error"), _SIGN_ON),
    "A0": Advice(N_("Not authentic"), _SIGN_ON),
    "A1": Advice(N_("Wrong currency"), _MANAGER),
    "F1": Advice(N_("Refund too late"), _MANAGER),
    "F2": Advice(N_("Code not valid"), _NEW_CODE),
    "F3": Advice(N_("Code was used"), _NEW_CODE),
    "F4": Advice(N_("Hold has expired"), N_("Sell it instead")),
    "F5": Advice(N_("Not to be used"), N_("Choose another")),
    "F6": Advice(N_("Another payer"), N_("Use what paid")),
    "F7": Advice(N_("Password missing"), N_("Do it once more")),
}


PAYS: Final = frozenset(
    {TransactionKind.SALE, TransactionKind.OFFLINE_SALE, TransactionKind.PREAUTH, TransactionKind.POINTS_SALE}
)
"""What the customer pays with. The advice above is about these: another card may pay instead, or cash."""

_INSTEAD: Final = {_OTHER_CARD: N_("Use what paid"), _AGAIN: N_("Do it again"), N_("Please top up"): _MANAGER}
"""Where money goes back, or what is held is taken: nothing is collected anew, and no other card will do."""


_NOT_TODAYS: Final = N_("Of another day")
_OF_KIND: Final = {
    (TransactionKind.VOID, "12"): Advice(_NOT_TODAYS, N_("Refund it")),
    (TransactionKind.COMPLETION_VOID, "12"): Advice(_NOT_TODAYS, N_("Refund it")),
    (TransactionKind.TOPUP_VOID, "12"): Advice(_NOT_TODAYS, _MANAGER),
    (TransactionKind.POINTS_VOID, "12"): Advice(_NOT_TODAYS, _MANAGER),
    (TransactionKind.REFUND, "61"): Advice(N_("More than left"), N_("Do it again")),
    (TransactionKind.COMPLETION, "61"): Advice(N_("More than held"), N_("Do it again")),
    (TransactionKind.TOPUP, "F7"): ADVICE["F7"],
}
"""Where a code means something else, or something more exact, than elsewhere."""


def advice(response_code: str) -> Advice:
    """What to tell the cashier about a response code that is not an approval."""
    return ADVICE.get(response_code, UNKNOWN_CODE)


def advice_about(kind: TransactionKind, response_code: str) -> Advice:
    """The same about a transaction of this kind. Of a top-up the cash is in the drawer, and of its void it still is."""
    if (kind, response_code) in _OF_KIND:
        return _OF_KIND[kind, response_code]
    found = advice(response_code)
    if kind in PAYS:
        return found
    if kind is TransactionKind.TOPUP:
        return found._replace(action=N_("Give cash back"))
    if kind is TransactionKind.TOPUP_VOID and found.action in _INSTEAD:
        return found._replace(action=N_("Pay no cash out"))
    return found._replace(action=_INSTEAD.get(found.action, found.action))


def yuan(amount_fen: int) -> str:
    """An amount of fen in yuan: 1250 -> "12.50", -5 -> "-0.05"."""
    sign = "-" if amount_fen < 0 else ""
    whole, fen = divmod(abs(amount_fen), 100)
    return f"{sign}{whole}.{fen:02d}"


def rmb(amount_fen: int) -> str:
    """An amount of money as slips write it."""
    return f"RMB {yuan(amount_fen)}"


def figure_text(kind: TransactionKind, amount: int) -> str:
    """The amount of a transaction beside a word that says what it is: yuan, or points where it counts them."""
    return str(amount) if kind in COUNTS_POINTS else yuan(amount)


def sum_text(kind: TransactionKind, amount: int, _: Translate) -> str:
    """The amount of a transaction: money, or points where it counts them."""
    return _("{points} points").format(points=amount) if kind in COUNTS_POINTS else rmb(amount)


def points_left(points: int, _: Translate, label: str = N_("Points left")) -> tuple[str, str]:
    """What is left of a payer's points, as a label and a number; what was taken back after it was spent is owed."""
    return (_("Points owed"), str(-points)) if points < 0 else (_(label), str(points))


def day_text(business_day: int) -> str:
    """20261129 as "11-29"."""
    return f"{business_day // 100 % 100:02d}-{business_day % 100:02d}"


def date_time(at_s: float, zone: tzinfo = CHINA_TIME) -> str:
    """Seconds since 1970 UTC as "2026-11-20 12:01:33" of the zone; empty when it is no date at all."""
    try:
        return datetime.fromtimestamp(at_s, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return ""  # a host or clock gone mad must not keep a slip from being printed


def whole_day_text(day: int) -> str:
    """A business day YYYYMMDD as "2026-11-20"; empty when there is none."""
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}" if day else ""


def masked(payer: bytes, *, is_code: bool = False) -> str:
    """A card's number with all but its last four digits hidden; a number that short is hidden whole.

    Of a payment code of ours that is the number of its virtual card: the digits behind it change with every code.
    """
    if is_code:
        digits = payer.decode("ascii", "replace")
        digits = digits[:OWN_CODE_CARD_END] if len(digits) == OWN_CODE_SIZE else digits
    else:
        digits = payer.hex().upper()
    return "****" + (digits[-CARD_DIGITS_SHOWN:] if len(digits) > CARD_DIGITS_SHOWN else "")
