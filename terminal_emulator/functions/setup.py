"""What is set at the keypad itself: fixed-amount mode (定额), the terminal's number (F2+1+7), parameters on demand."""

from __future__ import annotations

from typing import Final

from protocol import TerminalNumber
from protocol.messages import ParametersAnswer, ParametersRequest
from terminal_emulator.dialog import Amount, Ask, Confirm, Dialog, Digits, Renumber, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.functions.passwords import must_be_answered, refused
from terminal_emulator.keepsakes import FixedAmount
from terminal_emulator.parameters import parameters_of
from terminal_emulator.till import Till

NUMBER_DIGITS: Final = 5
NUMBER_MAX: Final = 0xFFFF


def fixed_amount_on(till: Till) -> Dialog:
    """Key the amount once; from then on every tap is a sale of it, over power cuts too."""
    _ = till.translate
    amount_fen = yield Amount(_("Fixed amount"), _("Amount in yuan"))
    till.keep(FixedAmount(amount_fen))


def fixed_amount_off(till: Till) -> Dialog:
    """Amounts are keyed again."""
    _ = till.translate
    till.keep(FixedAmount())
    yield Show((_("Fixed amount"), _("is off"), "", _("Enter: go on")), BeepKind.OK)


def terminal_number(till: Till) -> Dialog:
    """The supervisor's password has been given, unless a wrong number is corrected: the host would refuse that always.
    Records name no terminal: those of the old number go first."""
    _ = till.translate
    title = _("Terminal no.")
    storage = till.storage
    if not storage.is_settled or not till.is_quiet:
        yield Show((title, _("Records are kept"), _("Please settle")), BeepKind.ERROR)
        return
    while True:
        group = yield Digits(title, _("Group"), 1, NUMBER_DIGITS)
        device = yield Digits(title, _("Device"), 1, NUMBER_DIGITS)
        if int(group) <= NUMBER_MAX and int(device) <= NUMBER_MAX and int(group) + int(device):
            break
        yield Show((title, _("No such number"), f"0-0 ... {NUMBER_MAX}"), BeepKind.ERROR)
    chosen = TerminalNumber(int(group), int(device))
    yield Confirm((title, str(till.settings.terminal), f"-> {chosen}"))
    yield Renumber(chosen)
    yield Show((title, str(chosen), _("Register it")), BeepKind.OK)


def fetch_parameters(till: Till) -> Dialog:
    """参数下载 at once."""
    _ = till.translate
    answer = yield Ask(ParametersRequest(), _("Asking the host"))
    yield from must_be_answered(till, answer)
    assert isinstance(answer, ParametersAnswer)
    if answer.response_code != APPROVED:
        yield from refused(till, answer.response_code)
    till.keep(parameters_of(answer))
    yield Show((_("Parameters"), till.parameters.version_text, "", _("Enter: go on")), BeepKind.OK)
