"""Every function of the keypad: one table from its name to the dialog that does it, and what it needs first.

A function is a module of one dialog, or of a few that belong together, and a line here. The names are those of `keys`
and `menus`; a name that is not here says on the LCD that this version does not have it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto
from typing import Final, NamedTuple

from terminal_emulator.dialog import Dialog, Menu, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.functions import (
    balance,
    conveniences,
    looks,
    offline_mode,
    pay,
    people,
    points,
    preauth,
    queries,
    refund,
    reprint,
    settlement,
    setup,
    sign_on,
    top_up,
    void,
)
from terminal_emulator.functions.passwords import check_password
from terminal_emulator.lcd import LINK_ACTION, LINK_STATE
from terminal_emulator.menus import MENUS
from terminal_emulator.till import Till


class Need(Flag):
    """What has to be before a function begins."""

    NOTHING = 0
    ONLINE = auto()  # the host answers
    SELLING = auto()  # the host answers, or sales are made offline
    SUPERVISOR = auto()  # the supervisor's password
    PROVED = auto()  # all of that only once a host has accepted the terminal's number


class Function(NamedTuple):
    """A function of the keypad."""

    dialog: Callable[[Till], Dialog]
    needs: Need = Need.NOTHING


FUNCTIONS: Final[dict[str, Function]] = {
    "sale": Function(pay.sale, Need.SELLING),
    "settlement": Function(settlement.settlement, Need.ONLINE),
    "reprint_settlement": Function(settlement.reprint_settlement),
    "sign_on": Function(sign_on.sign_on, Need.ONLINE),
    "sign_off": Function(sign_on.sign_off),
    "lock": Function(sign_on.lock),
    "unlock": Function(sign_on.unlock),
    "supervisor_password": Function(people.supervisor_password, Need.ONLINE),
    "teller_password": Function(people.teller_password, Need.ONLINE),
    "recharge_password": Function(people.recharge_password, Need.ONLINE),
    "tellers": Function(people.tellers, Need.ONLINE),
    "teller_add": Function(people.teller_add, Need.ONLINE),
    "teller_delete": Function(people.teller_delete, Need.ONLINE),
    "teller_list": Function(people.teller_list, Need.ONLINE),
    "last_sale": Function(looks.sale_back(0)),
    "second_last_sale": Function(looks.sale_back(1)),
    "third_last_sale": Function(looks.sale_back(2)),
    "day_total": Function(looks.day_total),
    "meal_total": Function(looks.meal_total),
    "journal": Function(looks.journal),
    "date_and_time": Function(looks.date_and_time),
    "terminal_version": Function(looks.terminal_version),
    "fixed_amount_on": Function(setup.fixed_amount_on),
    "fixed_amount_off": Function(setup.fixed_amount_off),
    "terminal_number": Function(setup.terminal_number, Need.ONLINE | Need.SUPERVISOR | Need.PROVED),
    "fetch_parameters": Function(setup.fetch_parameters, Need.ONLINE),
    "void": Function(void.void, Need.ONLINE | Need.SUPERVISOR),
    "refund": Function(refund.refund, Need.ONLINE),
    "pre_auth": Function(preauth.pre_auth, Need.ONLINE),
    "pre_auth_void": Function(preauth.pre_auth_void, Need.ONLINE | Need.SUPERVISOR),
    "completion": Function(preauth.completion, Need.ONLINE),
    "completion_void": Function(preauth.completion_void, Need.ONLINE | Need.SUPERVISOR),
    "top_up": Function(top_up.top_up, Need.ONLINE),
    "top_up_void": Function(top_up.top_up_void, Need.ONLINE | Need.SUPERVISOR),
    "points_sale": Function(points.points_sale, Need.ONLINE),
    "points_void": Function(points.points_void, Need.ONLINE | Need.SUPERVISOR),
    "balance": Function(balance.balance, Need.ONLINE),
    "card_information": Function(balance.card_information, Need.ONLINE),
    "query_last": Function(queries.query_last, Need.ONLINE),
    "transactions": Function(queries.transactions),
    "reprint_last": Function(reprint.reprint_last),
    "reprint": Function(reprint.reprint),
    "totals": Function(reprint.totals),
    "opening_float": Function(conveniences.opening_float),
    "price": Function(conveniences.price, Need.ONLINE),
    "discount": Function(conveniences.discount, Need.ONLINE),
    "exchange": Function(conveniences.exchange, Need.ONLINE),
    "offline_mode": Function(offline_mode.offline_mode),
}


def open_function(till: Till, name: str) -> Dialog:
    """The dialog of a function or menu, whatever it needs first included."""
    _ = till.translate
    if name in MENUS:
        yield from browse(till, name)
        return
    function = FUNCTIONS.get(name)
    if function is None:
        yield Show((_("Not in this"), _("version")), BeepKind.ERROR)
        return
    needs = Need.NOTHING if Need.PROVED in function.needs and till.may_correct_number else function.needs
    may_go_on = till.online or (Need.SELLING in needs and till.sells_offline)
    if (Need.ONLINE | Need.SELLING) & needs and not may_go_on:
        yield Show((_(LINK_STATE[till.link]), _(LINK_ACTION[till.link])), BeepKind.ERROR)
        return
    if Need.SUPERVISOR in needs:
        yield from check_password(till)
    yield from function.dialog(till)


def browse(till: Till, name: str) -> Dialog:
    """Menus down to a function; Delete goes one up, and out at the top."""
    _ = till.translate
    path = [name]
    while path:
        menu = MENUS[path[-1]]
        key = yield Menu(_(menu.title), tuple((row.key, _(row.label)) for row in menu.rows))
        if key is None:
            path.pop()
            continue
        target = next(row.target for row in menu.rows if row.key == key)
        if target not in MENUS:
            yield from open_function(till, target)
            return
        path.append(target)
