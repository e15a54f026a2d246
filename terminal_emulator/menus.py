"""The menus, as data: the tree of the member-card manual (S1) under its own numbers. Rows may be appended, none
renumbered.

A target is the name of another menu, or of a function. A function that `functions.FUNCTIONS` does not have says that
this version does not have it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from terminal_emulator.i18n import N_


class Row(NamedTuple):
    """One row: the key that chooses it, its text, and what it opens."""

    key: str
    label: str
    target: str


class MenuRows(NamedTuple):
    """A menu: its title and its rows in order."""

    title: str
    rows: tuple[Row, ...]


MENUS: Final = {
    "menu": MenuRows(
        N_("Menu"),
        (
            Row("1", N_("Open card"), "open_card"),
            Row("2", N_("Top-up"), "top_up"),
            Row("3", N_("Sale"), "sale"),
            Row("4", N_("Points sale"), "points_sale"),
            Row("5", N_("Voids"), "voids"),
            Row("6", N_("Card query"), "card_query"),
            Row("7", N_("Member cards"), "member_cards"),
            Row("8", N_("Orders"), "orders"),
            Row("9", N_("Operators"), "operators"),
            Row("0", N_("Management"), "management"),
        ),
    ),
    "voids": MenuRows(
        N_("Voids"),
        (
            Row("1", N_("Void sale"), "void"),
            Row("2", N_("Points void"), "points_void"),
            Row("3", N_("Top-up void"), "top_up_void"),
            Row("4", N_("Refund"), "refund"),
            Row("5", N_("Pre-auth"), "pre_auth"),
            Row("6", N_("Pre-auth void"), "pre_auth_void"),
            Row("7", N_("Completion"), "completion"),
            Row("8", N_("Complet. void"), "completion_void"),
        ),
    ),
    "card_query": MenuRows(
        N_("Card query"),
        (Row("1", N_("Balance"), "balance"), Row("2", N_("Card details"), "card_information")),
    ),
    "member_cards": MenuRows(
        N_("Member cards"),
        (
            Row("1", N_("Open card"), "open_card"),
            Row("2", N_("Close card"), "close_card"),
            Row("3", N_("Report loss"), "report_loss"),
            Row("4", N_("Cancel loss"), "cancel_loss"),
            Row("5", N_("Replace card"), "replace_card"),
            Row("6", N_("Change PIN"), "change_pin"),
            Row("7", N_("Bind merchant"), "bind_merchant"),
            Row("8", N_("Unbind merch."), "unbind_merchant"),
            Row("9", N_("Void opening"), "open_card_void"),
            Row("0", N_("Reset PIN"), "reset_pin"),
        ),
    ),
    "orders": MenuRows(
        N_("Orders"),
        (
            Row("1", N_("Order query"), "order_query"),
            Row("2", N_("Accept order"), "order_accept"),
            Row("3", N_("Ship notice"), "order_ship"),
            Row("4", N_("Print order"), "order_print"),
            Row("5", N_("Reviews"), "order_reviews"),
            Row("6", N_("Messages"), "order_messages"),
            Row("7", N_("Rate order"), "order_rate"),
            Row("8", N_("Statistics"), "order_statistics"),
        ),
    ),
    "operators": MenuRows(
        N_("Operators"),
        (
            Row("1", N_("Sign on"), "sign_on"),
            Row("2", N_("Lock"), "lock"),
            Row("3", N_("Superv. passw."), "supervisor_password"),
            Row("4", N_("Teller passw."), "teller_password"),
            Row("5", N_("Top-up passw."), "recharge_password"),
            Row("6", N_("Tellers"), "tellers"),
            Row("7", N_("Attendance"), "attendance"),
            Row("8", N_("Sign off"), "sign_off"),
        ),
    ),
    "attendance": MenuRows(
        N_("Attendance"),
        (Row("1", N_("Staff card"), "open_staff_card"), Row("2", N_("Clock in/out"), "clock_in")),
    ),
    "management": MenuRows(
        N_("Management"),
        (
            Row("1", N_("Settlement"), "settlement"),
            Row("2", N_("Order totals"), "order_statistics"),
            Row("3", N_("Transactions"), "transactions"),
            Row("4", N_("Print"), "prints"),
            Row("5", N_("Set-up"), "terminal"),
            Row("6", N_("Last one?"), "query_last"),
            Row("7", N_("At the till"), "at_the_till"),
        ),
    ),
    "prints": MenuRows(
        N_("Print"),
        (
            Row("1", N_("Last slip"), "reprint_last"),
            Row("2", N_("Any slip"), "reprint"),
            Row("3", N_("Totals"), "totals"),
            Row("4", N_("Settlement"), "reprint_settlement"),
        ),
    ),
    "terminal": MenuRows(
        N_("Set-up"),
        (
            Row("1", N_("Version"), "terminal_version"),
            Row("2", N_("Upgrade"), "upgrade"),
            Row("3", N_("Parameters"), "fetch_parameters"),
            Row("4", N_("Terminal no."), "terminal_number"),
            Row("5", N_("Offline mode"), "offline_mode"),
        ),
    ),
    "at_the_till": MenuRows(
        N_("At the till"),
        (
            Row("1", N_("Opening float"), "opening_float"),
            Row("2", N_("Price"), "price"),
            Row("3", N_("Discount sale"), "discount"),
            Row("4", N_("Exchange"), "exchange"),
        ),
    ),
    "supervisor": MenuRows(
        N_("Supervisor"),
        (
            Row("1", N_("Add teller"), "teller_add"),
            Row("2", N_("Delete teller"), "teller_delete"),
            Row("3", N_("List tellers"), "teller_list"),
            Row("4", N_("Superv. passw."), "supervisor_password"),
            Row("5", N_("Year and clock"), "date_and_time"),
            Row("6", N_("Top-up passw."), "recharge_password"),
        ),
    ),
    "card_first": MenuRows(
        N_("Card read"),
        (
            Row("1", N_("Sale"), "sale"),
            Row("2", N_("Top-up"), "top_up"),
            Row("3", N_("Points sale"), "points_sale"),
            Row("4", N_("Balance"), "balance"),
        ),
    ),
}
"""`menu` is what Enter (member shop) or F1 (canteen) opens; `supervisor` what the supervisor's number opens at an
operator prompt; `card_first` what a card opens in a member shop that was swiped before anything was chosen."""
