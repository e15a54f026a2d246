"""Cards: issue, list, show, freeze, report lost and found, close, replace, limits.

A card has one status at a time:

    active -> frozen (freeze) -> active (unfreeze)       an office stops a card for a while
    active, frozen -> lost (lost) -> active (found)      the holder has lost it, and found it again
    any -> closed (close, replace)                       for good; only an explicit reissue brings the card back

An operation that finds the card already where it should be changes nothing, so a repeated request does no harm.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Final

from server.ledger.card_terms import CardTerms
from server.ledger.model import Status
from server.ledger.registry import CardRecord
from server.operations.accounts import open_account
from server.operations.desk import (
    LIMIT_CHANGER,
    PAGE_MAX,
    AdminError,
    Desk,
    Fields,
    check_fen,
    check_page,
    parse_uid,
    show_fen,
    show_uid,
    status_word,
)

LIMIT_UNCHANGED: Final = -1


class Cards:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = (
        "issue",
        "listing",
        "show",
        "freeze",
        "unfreeze",
        "lost",
        "found",
        "close",
        "replace",
        "limit",
    )

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def issue(
        self,
        uid: str,
        student_number: str,
        name: str = "",
        sale_limit_fen: int | None = None,
        day_limit_fen: int | None = None,
        reissue: bool = False,
    ) -> Fields:
        """Give a customer a card, and an account if there is none. `reissue` lets a closed card serve again.

        The same again changes nothing; a name or limit other than the card has is refused. A limit left out is the
        host's default for a new card, and not asked about for a known one.
        """
        token = parse_uid(uid)
        check_fen("sale limit", sale_limit_fen or 0)
        check_fen("day limit", day_limit_fen or 0)
        known = self._desk.registry.find_card(token)
        if known is not None and known.student_number == student_number.strip() and known.status != Status.CLOSED:
            open_account(self._desk, student_number, name)
            _compare_limit("sale limit", known, sale_limit_fen, known.sale_limit_fen)
            _compare_limit("day limit", known, day_limit_fen, known.day_limit_fen)
            return card_fields(known)
        self._check_free(known, reissue)
        customer = open_account(self._desk, student_number, name)
        with self._desk.transaction():
            self._desk.registry.put_card(
                token, customer.account_id, sale_limit_fen=sale_limit_fen or 0, day_limit_fen=day_limit_fen or 0
            )
        return card_fields(self._known(uid))

    def listing(self, after: str = "", limit: int = PAGE_MAX, student_number: str = "") -> list[Fields]:
        """Up to `limit` cards with numbers above `after`; or all the cards of one customer."""
        if student_number:
            records = self._desk.registry.cards_of(self._desk.customer(student_number).account_id)
        else:
            records = self._desk.registry.cards(after=parse_uid(after) if after else b"", limit=check_page(limit))
        return [card_fields(record) for record in records]

    def show(self, uid: str) -> Fields:
        """One card."""
        return card_fields(self._known(uid))

    def freeze(self, uid: str) -> Fields:
        """Stop a card for a while."""
        return self._move(uid, Status.FROZEN, (Status.ACTIVE,), "freeze")

    def unfreeze(self, uid: str) -> Fields:
        """End a freeze."""
        return self._move(uid, Status.ACTIVE, (Status.FROZEN,), "unfreeze")

    def lost(self, uid: str) -> Fields:
        """The holder reports the card lost (挂失): nobody pays with it from now on."""
        return self._move(uid, Status.LOST, (Status.ACTIVE, Status.FROZEN), "report lost")

    def found(self, uid: str) -> Fields:
        """The holder has found the card again (解挂)."""
        return self._move(uid, Status.ACTIVE, (Status.LOST,), "cancel the loss of")

    def close(self, uid: str) -> Fields:
        """The card is withdrawn for good; the account and its money stay."""
        return self._move(uid, Status.CLOSED, (Status.ACTIVE, Status.FROZEN, Status.LOST), "close")

    def replace(self, uid: str, new_uid: str) -> Fields:
        """Close a card and give its holder another on the same account with the same terms (补卡), in one commit.

        Only the PIN has to be set anew: its verifier is the old card's.
        """
        old = self._known(uid)
        token = parse_uid(new_uid)
        new = self._desk.registry.find_card(token)
        if old.status == Status.CLOSED:
            if new is not None and new.account_id == old.account_id and new.status == Status.ACTIVE:
                return card_fields(new)
            raise AdminError(
                f"card: expected one that is not closed, got {uid}; issue a card to {old.student_number} instead"
            )
        self._check_free(new, reissue=False)
        with self._desk.transaction():
            self._desk.registry.set_card_status(old.token, Status.CLOSED)
            self._desk.registry.put_card(
                token, old.account_id, sale_limit_fen=old.sale_limit_fen, day_limit_fen=old.day_limit_fen
            )
            CardTerms(self._desk.registry.store).hand_over(old.token, token)
        return card_fields(self._known(new_uid))

    def limit(self, uid: str, sale_limit_fen: int = LIMIT_UNCHANGED, day_limit_fen: int = LIMIT_UNCHANGED) -> Fields:
        """Set a card's own limits; 0 = the host's default, -1 = leave as it is."""
        card = self._known(uid)
        sale = card.sale_limit_fen if sale_limit_fen == LIMIT_UNCHANGED else check_fen("sale limit", sale_limit_fen)
        day = card.day_limit_fen if day_limit_fen == LIMIT_UNCHANGED else check_fen("day limit", day_limit_fen)
        with self._desk.transaction():
            self._desk.registry.set_card_limits(card.token, sale_limit_fen=sale, day_limit_fen=day)
        return card_fields(self._known(uid))

    def _known(self, uid: str) -> CardRecord:
        token = parse_uid(uid)
        found = self._desk.registry.find_card(token)
        if found is None:
            raise AdminError(f"card: expected one that was issued, got {show_uid(token)}; see `fanka admin card list`")
        return found

    def _check_free(self, known: CardRecord | None, reissue: bool) -> None:
        if known is None or (known.status == Status.CLOSED and reissue):
            return
        mend = "reissue it on purpose" if known.status == Status.CLOSED else "close it first"
        raise AdminError(
            f"card: expected one nobody has, got {show_uid(known.token)}, which is {status_word(known.status)} and"
            f" {known.student_number}'s; {mend}"
        )

    def _move(self, uid: str, target: Status, allowed: Collection[Status], verb: str) -> Fields:
        card = self._known(uid)
        if card.status != target:
            if card.status not in allowed:
                wanted = " or ".join(status_word(status) for status in allowed)
                raise AdminError(
                    f"{verb} card {show_uid(card.token)}: expected it {wanted}, got {status_word(card.status)}"
                )
            with self._desk.transaction():
                self._desk.registry.set_card_status(card.token, target)
        return card_fields(self._known(uid))


def _compare_limit(field: str, card: CardRecord, wanted_fen: int | None, has_fen: int) -> None:
    """AdminError if a card that was issued already is asked for with another limit."""
    if wanted_fen is not None and wanted_fen != has_fen:
        raise AdminError(
            f"{field}: expected {show_fen(has_fen)} yuan, as card {show_uid(card.token)} has it,"
            f" got {show_fen(wanted_fen)}; {LIMIT_CHANGER}"
        )


def card_fields(record: CardRecord) -> Fields:
    """A card as listings show it."""
    return {
        "uid": show_uid(record.token),
        "status": status_word(record.status),
        "student_number": record.student_number,
        "name": record.name,
        "account_id": record.account_id,
        "balance_fen": record.balance_fen,
        "sale_limit_fen": record.sale_limit_fen,
        "day_limit_fen": record.day_limit_fen,
    }
