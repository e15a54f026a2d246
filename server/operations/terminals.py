"""Terminals: enrol with a key file or a one-time code, change keys over the wire, revoke, reinstate, list.

A terminal has one root key in force. Enrolling replaces it at once and ends a session that runs under it; a one-time
code leaves it in force until the terminal has fetched the new one with it. Rotating makes the next key beside it: the
terminal learns of it at its next READY, fetches it, and the first handshake that proves it puts it in force and erases
the other, in one commit. Until then either key opens a session, so that a crash at any point locks nobody out.
"""

from __future__ import annotations

from typing import ClassVar, Final

from protocol import TerminalNumber
from protocol.security import ENROL_CODE_SIZE, ROOT_KEY_SIZE, wrap_root_key
from server.keys import KeyFault
from server.ledger import moves, settlement
from server.ledger.devices import EventKind
from server.ledger.model import CONSOLE, Status
from server.ledger.registry import TerminalRecord
from server.operations.desk import (
    PAGE_MAX,
    SERIAL_NUMBER_BYTES_MAX,
    AdminError,
    Desk,
    Fields,
    check_page,
    check_text,
    parse_terminal,
    show_terminal,
)

CODE_LIFETIME_MS: Final = 15 * 60 * 1000
"""How long an enrolment code may be used: enough to carry it to the terminal, too short to lie about."""
DAY_MS: Final = 24 * 60 * 60 * 1000
KEY_VERSION_MAX: Final = 0xFFFF
"""HELLO has two bytes for it."""


class Terminals:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = (
        "enrol",
        "enrol_many",
        "rotate",
        "rotate_page",
        "revoke",
        "reinstate",
        "listing",
    )

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def enrol(self, terminal: str, merchant_id: int = 0, serial_number: str = "", with_code: bool = False) -> Fields:
        """Enrol or re-enrol: gives `root_key` and `key_version`, or with `with_code` the one-time `code`.

        `merchant_id` 0 keeps a known terminal's merchant. A serial number binds the code to that machine.
        """
        terminal_id = parse_terminal(terminal)
        if serial_number:
            serial_number = check_text("serial number", serial_number, bytes_max=SERIAL_NUMBER_BYTES_MAX)
        known = self._desk.registry.find_terminal(terminal_id)
        merchant_id = self._open_merchant(terminal, merchant_id or (known.merchant_id if known is not None else 0))
        self._check_move(known, merchant_id)
        if with_code:
            return self._offer_code(terminal_id, merchant_id, serial_number, known)
        with self._desk.transaction():
            enrolled = self._give_key(terminal_id, merchant_id, serial_number, known)
        if known is not None:
            self._desk.on_revoked(terminal_id)
        return enrolled

    def enrol_many(self, first: str, count: int, merchant_id: int) -> list[Fields]:
        """Enrol `count` terminals with consecutive device numbers, in one commit; each as `enrol` gives it."""
        first_id = _checked_range(first, count)
        self._open_merchant(first, merchant_id)
        known = {
            terminal_id: self._desk.registry.find_terminal(terminal_id)
            for terminal_id in range(first_id, first_id + count)
        }
        for record in known.values():
            self._check_move(record, merchant_id)
        with self._desk.transaction():
            enrolled = [self._give_key(terminal_id, merchant_id, "", record) for terminal_id, record in known.items()]
        for terminal_id, record in known.items():
            if record is not None:
                self._desk.on_revoked(terminal_id)
        return enrolled

    def _open_merchant(self, terminal: str, merchant_id: int) -> int:
        if merchant_id == 0:
            raise AdminError(
                f"merchant: expected the number of the merchant that terminal {terminal} sells for, got none"
            )
        if self._desk.merchant(merchant_id).status != Status.ACTIVE:
            raise AdminError(f"merchant: expected an open one, got {merchant_id}, which is closed; reopen it first")
        return merchant_id

    def _check_move(self, known: TerminalRecord | None, merchant_id: int) -> None:
        """A terminal goes to another merchant with a settled till. What it still brings of before, offline sales and
        what a lost host had approved, is booked for its old one."""
        if known is None or known.merchant_id == merchant_id:
            return
        due = settlement.oldest_due(self._desk.registry.store, known.terminal_id)
        if due is not None:
            raise AdminError(
                f"merchant: expected {known.merchant_id}, for whom terminal {show_terminal(known.terminal_id)} has"
                f" batch {due} to settle, got {merchant_id}; let it upload what it sold offline and settle first"
            )

    def _give_key(self, terminal_id: int, merchant_id: int, serial_number: str, known: TerminalRecord | None) -> Fields:
        """Its serial number stays, if no other is said: it is on the machine's plate."""
        serial_number = serial_number or (known.serial_number if known is not None else "")
        root_key = self._desk.random_bytes(ROOT_KEY_SIZE)
        key_version = _next_version(terminal_id, known)
        self._event(terminal_id, EventKind.ENROLLED, f"key version {key_version} for merchant {merchant_id}")
        self._note_merchant(known, merchant_id)
        self._desk.registry.set_key(
            terminal_id,
            merchant_id,
            serial_number=serial_number,
            key_version=key_version,
            wrapped=self._desk.keys.wrap(root_key),
            now_ms=self._desk.now_ms(),
        )
        return {"terminal": show_terminal(terminal_id), "key_version": key_version, "root_key": root_key.hex()}

    def _offer_code(
        self, terminal_id: int, merchant_id: int, serial_number: str, known: TerminalRecord | None
    ) -> Fields:
        code = self._desk.random_bytes(ENROL_CODE_SIZE)
        expires_at_ms = self._desk.now_ms() + CODE_LIFETIME_MS
        with self._desk.transaction():
            self._event(terminal_id, EventKind.CODE_ISSUED, f"for merchant {merchant_id}")
            self._note_merchant(known, merchant_id)
            self._desk.registry.set_code(
                terminal_id,
                merchant_id,
                wrapped=self._desk.keys.wrap(code),
                serial_number=serial_number,
                expires_at_ms=expires_at_ms,
            )
        return {
            "terminal": show_terminal(terminal_id),
            "code": code.hex(),
            "expires_at_ms": expires_at_ms,
            "serial_number": serial_number,
        }

    def redeem_code(
        self, terminal_id: int, serial_number: str, wrapped_code: bytes | None = None
    ) -> tuple[int, bytes] | None:
        """Key version and root key for a terminal whose session is keyed by its code; None if the code is no good.

        Called by the host, not through the control socket. The code is used up in the commit that stores the key; a
        wrong serial number uses it up too, so that whoever found a code has no second guess. `wrapped_code`, where
        given, is the one the session was opened with: a newer code does not stand in for it.
        """
        registry = self._desk.registry
        known = registry.find_terminal(terminal_id)
        if known is None or known.wrapped_code is None or known.status != Status.ACTIVE:
            return None
        if wrapped_code is not None and not self._desk.keys.same(wrapped_code, known.wrapped_code):
            return None
        wanted = known.code_serial_number
        if self._desk.now_ms() >= known.code_expires_at_ms or (wanted and wanted != serial_number):
            with self._desk.transaction():
                registry.consume_code(terminal_id)
            return None
        with self._desk.transaction():
            enrolled = self._give_key(terminal_id, known.merchant_id, serial_number, known)
        if known.wrapped_key is not None:
            self._desk.on_revoked(terminal_id)  # the old key is no good any more, nor is a session under it
        return enrolled["key_version"], bytes.fromhex(enrolled["root_key"])

    # --- Keys changed over the wire

    def rotate(self, first: str, count: int = 1, now: bool = False) -> list[Fields]:
        """Make the next key of `count` terminals from `first` on, in one commit; each with the number of that key.

        Who has one waiting keeps it. `now` ends their sessions, so that they connect anew and fetch it; otherwise that
        happens when they connect next. AdminError if one of them has no key in force.
        """
        first_id = _checked_range(first, count)
        records = []
        for terminal_id in range(first_id, first_id + count):
            record = self._known(show_terminal(terminal_id))
            if record.wrapped_key is None or record.status != Status.ACTIVE:
                raise AdminError(
                    f"terminal {show_terminal(terminal_id)}: expected one with a key in force, got one that is"
                    f" {self._state(record)}: enrol it"
                )
            records.append(record)
        return self._rotate(records, now)

    def rotate_page(
        self, after: str = "0-0", limit: int = PAGE_MAX, older_than_days: int = 0, now: bool = False
    ) -> Fields:
        """The same for those of up to `limit` terminals above `after` that have a key in force, for at least
        `older_than_days`. `last` is the number to go on after, "" at the end."""
        start = CONSOLE if after == "0-0" else parse_terminal(after)
        if older_than_days < 0:
            raise AdminError(f"days: expected 0 or more, got {older_than_days}")
        records = self._desk.registry.terminals(after=start, limit=check_page(limit))
        made_before_ms = self._desk.now_ms() - older_than_days * DAY_MS
        chosen = [
            record
            for record in records
            if record.wrapped_key is not None
            and record.status == Status.ACTIVE
            and record.key_made_at_ms <= made_before_ms
        ]
        return {
            "terminals": self._rotate(chosen, now),
            "last": show_terminal(records[-1].terminal_id) if records else "",
        }

    def _rotate(self, records: list[TerminalRecord], now: bool) -> list[Fields]:
        made = []
        with self._desk.transaction():
            for record in records:
                version = record.waiting_version
                if not version:
                    version = _next_version(record.terminal_id, record)
                    wrapped = self._desk.keys.wrap(self._desk.random_bytes(ROOT_KEY_SIZE))
                    self._desk.registry.stage_key(record.terminal_id, key_version=version, wrapped=wrapped)
                made.append(
                    {
                        "terminal": show_terminal(record.terminal_id),
                        "key_version": record.key_version,
                        "next_key_version": version,
                    }
                )
        if now:
            for record in records:
                self._desk.on_revoked(record.terminal_id)
        return made

    def next_key(self, terminal_id: int, key_version: int) -> bytes | None:
        """The next root key as KeyAnswer carries it; None if no key of this number waits for this terminal.

        Called by the host, not through the control socket.
        """
        known = self._desk.registry.find_terminal(terminal_id)
        if (
            known is None
            or known.status != Status.ACTIVE
            or known.wrapped_key is None
            or known.next_wrapped_key is None
            or known.next_key_version != key_version
        ):
            return None
        try:
            in_force = self._desk.keys.unwrap(known.wrapped_key)
            following = self._desk.keys.unwrap(known.next_wrapped_key)
        except KeyFault:
            return None
        return wrap_root_key(in_force, TerminalNumber.from_int(terminal_id), key_version, following)

    def adopt_key(self, terminal_id: int, key_version: int) -> bool:
        """A handshake has proved this version: put it in force if it waited for that. Whether it is in force now.

        Called by the host, not through the control socket.
        """
        known = self._desk.registry.find_terminal(terminal_id)
        if known is None or known.status != Status.ACTIVE:
            return False
        if known.waiting_version == key_version:
            with self._desk.transaction():
                self._desk.registry.promote_key(terminal_id, now_ms=self._desk.now_ms())
                self._event(terminal_id, EventKind.KEY_ROTATED, f"key version {key_version}")
            return True
        return known.wrapped_key is not None and known.key_version == key_version

    # --- Lost and found

    def revoke(self, terminal: str) -> Fields:
        """Lost or stolen: no session and no sale from now on; a session that runs is cut."""
        record = self._known(terminal)
        with self._desk.transaction():
            self._desk.registry.set_terminal_status(record.terminal_id, Status.CLOSED)
            self._event(record.terminal_id, EventKind.REVOKED)
        self._desk.on_revoked(record.terminal_id)
        return self.fields(self._known(terminal))

    def reinstate(self, terminal: str) -> Fields:
        """Take back a revocation: the terminal's key is good again."""
        record = self._known(terminal)
        if record.wrapped_key is None:
            raise AdminError(f"terminal {terminal}: expected one with a key, got one without; enrol it again")
        if record.status != Status.ACTIVE:
            with self._desk.transaction():
                self._desk.registry.set_terminal_status(record.terminal_id, Status.ACTIVE)
                self._event(record.terminal_id, EventKind.REINSTATED)
        return self.fields(self._known(terminal))

    def listing(self, after: str = "0-0", limit: int = PAGE_MAX) -> list[Fields]:
        """Up to `limit` terminals with numbers above `after`."""
        start = CONSOLE if after == "0-0" else parse_terminal(after)
        records = self._desk.registry.terminals(after=start, limit=check_page(limit))
        return [self.fields(record) for record in records]

    def _event(self, terminal_id: int, kind: EventKind, detail: str = "") -> None:
        self._desk.devices.note(terminal_id, self._desk.now_ms(), kind, detail)

    def _note_merchant(self, known: TerminalRecord | None, merchant_id: int) -> None:
        """A terminal that changes hands has to fetch its parameters anew: they may be its merchant's."""
        if known is not None:
            what = f"terminal {show_terminal(known.terminal_id)}"
            self._desk.note(what, f"merchant {known.merchant_id}", f"merchant {merchant_id}")
            if known.merchant_id != merchant_id:
                store = self._desk.registry.store
                moves.note(store, known.terminal_id, known.merchant_id, self._desk.now_ms())

    def _known(self, terminal: str) -> TerminalRecord:
        found = self._desk.registry.find_terminal(parse_terminal(terminal))
        if found is None:
            raise AdminError(f"terminal: expected an enrolled one, got {terminal}; see `fanka admin terminal list`")
        return found

    def fields(self, record: TerminalRecord) -> Fields:
        """A terminal as listings show it."""
        return {
            "terminal": show_terminal(record.terminal_id),
            "merchant_id": record.merchant_id,
            "merchant_name": record.merchant_name,
            "state": self._state(record),
            "serial_number": record.serial_number,
            "key_version": record.key_version,
            "next_key_version": record.waiting_version,
            "key_made_at_ms": record.key_made_at_ms,
            "enrolled_at_ms": record.enrolled_at_ms,
        }

    def _state(self, record: TerminalRecord) -> str:
        if record.status != Status.ACTIVE:
            return "revoked"
        open_code = record.wrapped_code is not None and self._desk.now_ms() < record.code_expires_at_ms
        if record.wrapped_key is None:
            return "code issued" if open_code else "no key"
        if open_code:
            return "enrolled, new code issued"
        return "enrolled, new key waits" if record.waiting_version else "enrolled"


def _checked_range(first: str, count: int) -> int:
    """The first of `count` consecutive terminal numbers."""
    first_id = parse_terminal(first)
    if not 1 <= count <= PAGE_MAX:
        raise AdminError(f"count: expected 1..{PAGE_MAX} terminals at a time, got {count}")
    if (first_id & 0xFFFF) + count > 0x10000:
        raise AdminError(f"terminal number: expected device numbers up to 65535, got {count} from {first} on")
    return first_id


def _next_version(terminal_id: int, known: TerminalRecord | None) -> int:
    """Versions only grow, so that a key file of the past is known for what it is."""
    version = (max(known.key_version, known.next_key_version) if known is not None else 0) + 1
    if version > KEY_VERSION_MAX:
        raise AdminError(f"terminal {show_terminal(terminal_id)}: its {KEY_VERSION_MAX} key versions are used up")
    return version
