"""Finding an earlier transaction: by the reference on its slip, keyed or scanned, or by voucher and batch number.

The host knows it whichever terminal of the merchant made it, and says what is left of it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from protocol.messages import LookupAnswer, LookupRequest, TransactionState
from protocol.messages.money import THIS_TERMINAL, TransactionKind
from terminal_emulator.columns import beside, spread
from terminal_emulator.dialog import Amount, Ask, Confirm, Digits, Payer, Prompt, Show, Stop, Transact
from terminal_emulator.effects import BeepKind
from terminal_emulator.functions.passwords import must_be_answered, refused
from terminal_emulator.functions.pay import with_pin
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.record import Record
from terminal_emulator.texts import KIND_TEXT, SHORT_TEXT, day_text, figure_text, yuan
from terminal_emulator.till import Till

RRN_DIGITS: Final = 12
VOUCHER_DIGITS: Final = 6
BATCH_DIGITS: Final = 6
WRONG_KIND: Final = N_("Wrong kind")
NOT_APPROVED: Final = N_("Not approved")
ALL_GIVEN_BACK: Final = N_("All given back")
HOLD_HAS_ENDED: Final = N_("Hold has ended")
MORE_THAN_LEFT: Final = N_("More than left")
LEFT: Final = N_("Left")


def look_up(till: Till, title: str) -> Generator[Prompt, Any, LookupAnswer]:
    """Ask which transaction it is, and the host what it knows of it, until it knows one. Of a declined one the answer
    has the code it was declined with: that is no refusal of the question.

    The next number is keyed here and not at rest, where it would be the amount of a sale.
    """
    _ = till.translate
    while True:
        rrn = yield Digits(title, _("Reference no."), 1, RRN_DIGITS, optional=True, may_scan=True)
        request = LookupRequest(rrn=int(rrn)) if rrn and int(rrn) else (yield from _by_voucher(till, title))
        if request is None:
            continue
        answer: LookupAnswer | None = yield Ask(request, _("Looking it up"))
        if answer is None:
            yield from must_be_answered(till, answer, goes_on=True)
        elif answer.state is TransactionState.NEVER_SEEN:
            yield from refused(till, answer.response_code, goes_on=True)
        else:
            return answer


def _by_voucher(till: Till, title: str) -> Generator[Prompt, Any, LookupRequest | None]:
    """Without a reference: voucher and batch number. The batch need not be keyed if this terminal has the record."""
    _ = till.translate
    stan = int((yield Digits(title, _("Voucher no."), 1, VOUCHER_DIGITS)))
    batch = yield Digits(title, _("Batch no."), 1, BATCH_DIGITS, optional=True)
    record = till.find(stan)
    if batch:
        return LookupRequest(original_batch=int(batch), original_stan=stan)
    if record is None:
        yield Show((title, _("Not in this till"), _("Key the batch no")), BeepKind.ERROR)
        return None
    return LookupRequest(original_batch=record.batch, original_stan=stan)


def of_this_till(till: Till, title: str) -> Generator[Prompt, Any, Record]:
    """Ask for a voucher number until it is one that is kept here."""
    _ = till.translate
    while True:
        record = till.find(int((yield Digits(title, _("Voucher no."), 1, VOUCHER_DIGITS))))
        if record is not None:
            return record
        yield Show((title, _("Not in this till"), _("Check voucher no")), BeepKind.ERROR)


def find_original(till: Till, title: str, *kinds: TransactionKind) -> Generator[Prompt, Any, LookupAnswer]:
    """Look up a transaction of one of these kinds that still stands, show it, and have it confirmed."""
    _ = till.translate
    found = yield from look_up(till, title)
    while why := _unfit(found, kinds):
        yield Show((title, _(why), _("Check voucher no")), BeepKind.ERROR)
        found = yield from look_up(till, title)
    name = beside(_(SHORT_TEXT[found.kind]), f"{found.original_stan:06d}", PANEL_COLUMNS)
    yield Confirm((name, *found_lines(found, _)))
    return found


def found_lines(found: LookupAnswer, _: Translate) -> tuple[str, str]:
    """Day and sum of a transaction, and what is left of it."""
    return (
        spread(day_text(found.business_day), figure_text(found.kind, found.charged_fen), PANEL_COLUMNS),
        spread(_("Left"), figure_text(found.kind, found.remaining_fen), PANEL_COLUMNS),
    )


def amount_up_to(
    till: Till, title: str, label: str, most_fen: int, *, too_much: str = MORE_THAN_LEFT, most: str = LEFT
) -> Generator[Prompt, Any, int]:
    """Ask for an amount until it is not above what there is."""
    _ = till.translate
    while True:
        amount_fen: int = yield Amount(title, label)
        if amount_fen <= most_fen:
            return amount_fen
        yield Show((title, _(too_much), beside(_(most), yuan(most_fen), PANEL_COLUMNS)), BeepKind.ERROR)


def at_most(most_fen: int, _: Translate) -> str:
    """The label of an amount that has a limit."""
    return beside(_("At most"), yuan(most_fen), PANEL_COLUMNS)


def _unfit(found: LookupAnswer, kinds: tuple[TransactionKind, ...]) -> str:
    """Why nothing can be made of it, as a msgid; empty if something can."""
    if found.kind not in kinds:
        return WRONG_KIND
    if found.state is not TransactionState.APPROVED:
        return NOT_APPROVED
    if found.remaining_fen:
        return ""
    return HOLD_HAS_ENDED if found.kind is TransactionKind.PREAUTH else ALL_GIVEN_BACK


def follow_up(
    till: Till, kind: TransactionKind, amount_fen: int, payer: Payer, found: LookupAnswer
) -> Generator[Prompt, Any, Record]:
    """Move money because of an earlier transaction, wherever it was made."""
    here = found.original_terminal == till.settings.terminal.to_int()
    terminal = THIS_TERMINAL if here else found.original_terminal
    _ = till.translate
    original = (terminal, found.original_batch, found.original_stan)
    for one in till.storage.open_records():
        if one.kind is kind and (one.original_terminal, one.original_batch, one.original_stan) == original:
            yield Show(
                (_(KIND_TEXT[kind]), _("Result unknown"), _("Repeated till ok"), _("Do not do again")), BeepKind.ERROR
            )
            raise Stop
    record = till.new_record(
        kind,
        amount_fen,
        payer,
        original_terminal=terminal,
        original_batch=found.original_batch,
        original_stan=found.original_stan,
    )
    decided: Record = yield Transact(record)
    return (yield from with_pin(till, decided))
