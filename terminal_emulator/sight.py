"""What is on the screen, made when somebody looks: what the cashier is doing, and what the line has come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from protocol.messages.money import TransactionKind
from terminal_emulator.desk import Desk
from terminal_emulator.flows import APPROVED
from terminal_emulator.flows.reversal import ReversalFlow
from terminal_emulator.flows.transaction import TransactionFlow
from terminal_emulator.flows.upload import UploadFlow
from terminal_emulator.panels import panel
from terminal_emulator.record import Record, RecordState
from terminal_emulator.view import Screen, View

SHOWS_BALANCE: Final = frozenset({APPROVED, "51"})


class Work(NamedTuple):
    """The conversations with the host that people want to know of."""

    sale: TransactionFlow | None
    """The transaction somebody waits for."""
    recovered: Sequence[TransactionFlow]
    reversals: ReversalFlow
    upload: UploadFlow


def view_of(desk: Desk, work: Work, *, host_rolled_back: bool) -> View:
    """The screen at this moment."""
    screen, record, attempt = on_screen(desk, work)
    till = desk.till
    approved = record is not None and record.state is RecordState.APPROVED
    shows_balance = (
        record is not None
        and record.response_code in SHOWS_BALANCE
        and (approved or record.state is RecordState.DECLINED)
    )
    charged_fen = record.moved_fen if record is not None and approved else None
    return View(
        screen=screen,
        kind=TransactionKind.SALE if record is None else record.kind,
        link=till.link,
        terminal=till.settings.terminal,
        merchant=till.merchant,
        amount_text=desk.keypad.text,
        amount_fen=desk.keypad.amount_fen if record is None else record.amount_fen,
        charged_fen=None if record is None or charged_fen == record.amount_fen else charged_fen,
        points_balance=0 if record is None else record.points_balance,
        discount_fen=0 if record is None else record.discount_fen,
        attempt=attempt,
        response_code="" if record is None else record.response_code,
        balance_fen=record.balance_fen if record is not None and shows_balance else None,
        stan=0 if record is None else record.stan,
        pending_reversals=len(work.reversals) - work.reversals.repeated,
        pending_repeats=work.reversals.repeated,
        host_rolled_back=host_rolled_back,
        upload=work.upload.progress,
        records_differ=work.upload.differs,
        lock=desk.lock,
        shut=till.shut,
        operator=till.operator,
        profile=till.profile,
        panel=panel(desk.runner, till.translate) if screen is Screen.DIALOG and desk.runner is not None else (),
        is_armed=desk.is_armed,
        sells_offline=till.sells_offline,
        is_settling=till.storage.settlement is not None,
        offline_waiting=len(till.storage.waiting),
        offline_unbooked=len(till.storage.unbooked),
        offline_refusal=desk.offline_refusal,
        fixed_fen=till.fixed_fen,
    )


def on_screen(desk: Desk, work: Work) -> tuple[Screen, Record | None, int]:
    """The screen, the transaction it is about, and how often that has been sent."""
    if (sale := work.sale) is not None:
        if sale.asking:
            return Screen.ASKING, sale.record, sale.sends
        return (Screen.RESENDING if sale.sends > 1 else Screen.SENDING), sale.record, sale.sends
    if desk.screen is Screen.IDLE:
        if work.recovered:
            return Screen.LAST_ASKING, work.recovered[0].record, 0
        if desk.last is not None:
            return desk.last_screen, desk.last, 0
        if desk.till.shut is not None:
            return Screen.SHUT, None, 0
    return desk.screen, desk.result, 0
