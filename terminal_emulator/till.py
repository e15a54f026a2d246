"""What a function of the keypad may use: the terminal as its dialogs see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from protocol import TerminalNumber
from protocol.messages import EntryMode, Ready
from protocol.messages.money import MAX_STAN, THIS_TERMINAL, TransactionKind
from protocol.messages.parameters import Profile
from protocol.messages.stop_list import token_hash
from protocol.payment_code import parse_code
from terminal_emulator.dialog import Payer
from terminal_emulator.effects import Now
from terminal_emulator.flows.echo import claimed_time_s
from terminal_emulator.i18n import Translate
from terminal_emulator.keepsakes import (
    MAX_BLOCKED,
    Blocked,
    Clock,
    FixedAmount,
    Kept,
    OfflineMode,
    OpeningFloat,
    SignOn,
    StopListHeld,
    Unproved,
)
from terminal_emulator.offline import OfflineRefusal, limits_of, refusal
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import Merchant, Record, RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.storage import Storage
from terminal_emulator.view import Link, Shut

PROFILES: Final = {"canteen": Profile.CANTEEN, "member": Profile.MEMBER}
"""As key files name them."""

BLOCKED_CODES: Final = frozenset({"04", "41", "43", "62"})
"""Declines that are about the card itself: kept, lost, stolen, frozen."""


class Till:
    """Settings, memory, the state of the line, and the time of the last input; the brain keeps it up to date."""

    __slots__ = (
        "_refused",
        "_work",
        "ahead_s",
        "business_day",
        "carried",
        "fixed_fen",
        "link",
        "merchant",
        "now",
        "offline_limits",
        "offline_mode",
        "parameters",
        "profile",
        "settings",
        "shut",
        "sign_on",
        "storage",
        "translate",
    )

    def __init__(self, settings: Settings, storage: Storage, translate: Translate) -> None:
        self.settings = settings
        self.storage = storage
        self.translate = translate
        self.link = Link.CONNECTING
        self.merchant = self._merchant()
        """Whom it sells for; None before the first session."""
        self.business_day = 0
        """YYYYMMDD as the host said it last; 0 before the first session."""
        self.now = Now(0.0, 0.0)
        self.carried: Payer | None = None
        """A card that was swiped before a function was chosen: the function's first Card prompt takes it."""
        self.parameters = storage.kept(Parameters)
        self.profile = self._profile()
        """What the keys at rest mean."""
        self.sign_on = storage.kept(SignOn)
        self.ahead_s = storage.kept(Clock).ahead_s
        """What sign-on has set the clock by."""
        self.offline_limits = limits_of(self.parameters)
        self.offline_mode = storage.kept(OfflineMode).is_on
        """Whether the cashier has switched to selling offline, whatever the line does."""
        self.shut: Shut | None = None
        """Why nobody may do anything here yet."""
        self.fixed_fen = self._fixed_fen()
        """The amount of fixed-amount mode; 0 = off."""
        self._work: Callable[[], int] = int
        self._refused: Callable[[], list[Record]] = list

    def watch_work(self, count: Callable[[], int], refused: Callable[[], list[Record]]) -> None:
        """`count` tells how much is open, `refused` which of it the host will not hear of."""
        self._work, self._refused = count, refused

    def power_on(self) -> None:
        """The power was away: who has signed on, has to do it again, unless the key file says that nobody has to."""
        if self.sign_on.is_on and self.settings.sign_on_required is not False:
            self.storage.keep(replace(self.sign_on, is_on=False))
        self.refresh()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is open: no undecided transaction, no reversal, no upload, nothing that was sold offline."""
        return not self._work()

    @property
    def refused(self) -> list[Record]:
        """What is open and may stay so: the host refuses to reverse or to decide it."""
        return self._refused()

    @property
    def may_settle(self) -> bool:
        """Whether nothing is open that waiting could close."""
        return self._work() <= len(self._refused())

    def _profile(self) -> Profile:
        """As the key file says, else as the host says."""
        named = PROFILES.get(self.settings.profile)
        return self.parameters.profile if named is None else named

    def _merchant(self) -> Merchant | None:
        kept = self.storage.kept(Merchant)
        return None if kept == Merchant() else kept

    @property
    def may_correct_number(self) -> bool:
        """Whether the number was keyed and nobody has accepted it: perhaps it is a wrong one, under which no host would
        ever check the supervisor's password."""
        return not self.online and self.storage.kept(Unproved).is_so

    def opened(self, ready: Ready) -> None:
        """A session is open."""
        self.link, self.business_day = Link.ONLINE, ready.business_day
        self.sells_for(Merchant(ready.merchant_number, ready.merchant_name))
        if self.storage.kept(Unproved).is_so:
            self.storage.keep(Unproved())

    def sells_for(self, merchant: Merchant) -> None:
        """The host has said whose terminal this is."""
        if merchant != self.merchant:
            self.storage.keep(merchant)
            self.merchant = merchant

    def _fixed_fen(self) -> int:
        """Only the canteen's keys can end fixed-amount mode: with others, set from afar, there must be none."""
        return self.storage.kept(FixedAmount).amount_fen if self.profile is Profile.CANTEEN else 0

    @property
    def must_sign_on(self) -> bool:
        """Whether somebody has to sign on before anything is sold."""
        wanted = self.settings.sign_on_required
        return self.profile is Profile.MEMBER if wanted is None else wanted

    def keep(self, value: Kept) -> None:
        """Keep it through a power cut, and go by it from now on."""
        self.storage.keep(value)
        self.refresh()

    def refresh(self) -> None:
        """Take over what the memory holds."""
        self.parameters = self.storage.kept(Parameters)
        self.profile = self._profile()
        self.offline_limits = limits_of(self.parameters)
        self.offline_mode = self.storage.kept(OfflineMode).is_on
        self.fixed_fen = self._fixed_fen()
        self.ahead_s = self.storage.kept(Clock).ahead_s
        self.sign_on = sign_on = self.storage.kept(SignOn)
        if sign_on.is_locked:
            self.shut = Shut.LOCKED
        elif not sign_on.is_on and (self.must_sign_on or sign_on.is_left_open):
            self.shut = Shut.SIGNED_OFF
        else:
            self.shut = None

    @property
    def way_in(self) -> str:
        """The function by which a keypad that is shut opens. Without a line, who has signed on last may go on."""
        may_go_on = not self.online and self.sign_on.verifier
        return "unlock" if self.shut is Shut.LOCKED or may_go_on else "sign_on"

    def renumber(self, number: TerminalNumber) -> None:
        """Be another terminal. Records name none, so nothing of the old one's may be left to be taken for this one's;
        parameters too: nothing is sold offline before the host has seen this number."""
        self.storage.forget()
        self.storage.claim(number)
        self.storage.keep(Unproved(is_so=True))
        self.settings = replace(self.settings, terminal=number)
        self.merchant, self.business_day = None, 0
        self.refresh()

    def use_keys_of(self, filed: Settings) -> None:
        """These root keys are in the key file, and the host knows the terminal by the first of them."""
        if filed.key_version != self.settings.key_version:
            self.settings = replace(
                self.settings,
                root_key=filed.root_key,
                key_version=filed.key_version,
                next_root_key=filed.next_root_key,
                next_key_version=filed.next_key_version,
            )

    @property
    def online(self) -> bool:
        """Whether a session is open."""
        return self.link is Link.ONLINE

    @property
    def sells_offline(self) -> bool:
        """Whether a card sale made now is decided here alone: there is no line, or the cashier wants it so. Not at a
        terminal that the host refuses: it would not book them."""
        if self.link is Link.ONLINE and not self.offline_mode:
            return False
        return self.link is not Link.REFUSED and self.offline_limits.allow_any

    @property
    def holds_back(self) -> bool:
        """Whether what was sold offline is to wait: the cashier wants it so, and may."""
        return self.offline_mode and self.offline_limits.allow_any

    def note_card(self, record: Record) -> None:
        """The host's word about a card counts at once, and not only when the stop list has it."""
        is_blocked = record.state is RecordState.DECLINED and record.response_code in BLOCKED_CODES
        is_good = record.state is RecordState.APPROVED and record.saf is None
        kept = self.storage.kept(Blocked).cards
        if record.entry_mode is not EntryMode.CARD or not (is_blocked or (is_good and kept)):
            return
        card = token_hash(record.payer)
        if is_blocked is (card in kept):
            return
        others = tuple(one for one in kept if one != card)
        self.storage.keep(Blocked((*others, card)[-MAX_BLOCKED:] if is_blocked else others))

    @property
    def has_stop_list(self) -> bool:
        """Whether a stop list was ever fetched; one that the host has outdated still stops the cards on it."""
        return self.storage.stop_version > 0 or self.storage.kept(StopListHeld).is_held

    def offline_refusal(self, sale: Record) -> OfflineRefusal | None:
        """Why this sale may not be made without the host; None: it may. Nobody here could check a PIN."""
        if 0 < self.parameters.pin_limit_fen < sale.amount_fen:
            return OfflineRefusal.OVER_SALE
        if token_hash(sale.payer) in self.storage.kept(Blocked).cards:
            return OfflineRefusal.STOPPED
        return refusal(
            self.offline_limits,
            self.storage.waiting.values(),
            self.storage.stopped if self.has_stop_list else None,
            payer=sale.payer,
            entry_mode=sale.entry_mode,
            amount_fen=sale.amount_fen,
        )

    @property
    def operator(self) -> int:
        """Who works here; 0 = nobody has signed on."""
        sign_on = self.sign_on
        return sign_on.operator if sign_on.is_on or sign_on.is_locked else self.settings.operator

    @property
    def clock_s(self) -> float:
        """The terminal's clock, seconds since 1970 UTC."""
        return self.now.wall_s + self.ahead_s

    def new_record(
        self,
        kind: TransactionKind,
        amount_fen: int,
        payer: Payer,
        original: Record | None = None,
        *,
        original_terminal: int = THIS_TERMINAL,
        original_batch: int = 0,
        original_stan: int = 0,
    ) -> Record:
        """A transaction under the next number, about `original` if given, else about what the numbers name. It is
        nothing yet: `Transact` stores and sends it."""
        batch, stan = self.storage.used
        batch, stan = (batch + 1, 1) if stan >= MAX_STAN else (batch, stan + 1)
        if original is not None:
            original_batch, original_stan = original.identity
        return Record(
            kind=kind,
            batch=batch,
            stan=stan,
            amount_fen=amount_fen,
            payer=payer.token,
            claimed_at_s=claimed_time_s(self.clock_s),
            operator=self.operator,
            entry_mode=payer.entry_mode,
            original_terminal=original_terminal,
            original_batch=original_batch,
            original_stan=original_stan,
        )

    @property
    def float_fen(self) -> int:
        """The opening float of the batch in use; 0: there is none, or its batch is being settled."""
        kept, settlement = self.storage.kept(OpeningFloat), self.storage.settlement
        return 0 if settlement is not None and kept.batch <= settlement.batch else kept.amount_fen

    @property
    def remembered(self) -> list[Record]:
        """All that is kept, oldest first: of the newest batches that were settled, too."""
        return [*self.storage.archived.values(), *self.storage.records.values()]

    @property
    def newest(self) -> Record | None:
        """The last transaction, settled or not."""
        return max(self.remembered, key=lambda record: record.identity, default=None)

    def find(self, stan: int) -> Record | None:
        """The newest transaction with this voucher number, settled or not."""
        batch = self.storage.used[0]
        if (record := self.storage.records.get((batch, stan))) is not None:
            return record
        found = [record for record in self.remembered if record.stan == stan]
        return max(found, key=lambda record: record.batch, default=None)

    def undone_by(self, original: Record) -> list[Record]:
        """What was approved here about this transaction."""
        return self.follow_ups().get(original.identity, [])

    def follow_ups(self) -> dict[tuple[int, int], list[Record]]:
        """What was approved here about transactions of this terminal, by their identity."""
        found: dict[tuple[int, int], list[Record]] = {}
        for record in self.remembered:
            if (
                record.original_batch
                and record.original_terminal == THIS_TERMINAL
                and record.state is RecordState.APPROVED
            ):
                found.setdefault((record.original_batch, record.original_stan), []).append(record)
        return found

    def is_repeat(self, payer: Payer, amount_fen: int) -> bool:
        """Whether this is exactly the sale before: the same payer, the same amount. One found open after a power cut
        may have been booked."""
        if not self.parameters.repeat_guard:
            return False
        sales = self.storage.recent_sales[:1]
        if not self.is_quiet:
            pending = [one for one in self.storage.open_records() if one.state is RecordState.PENDING]
            sales += tuple(one for one in pending if one.kind is TransactionKind.SALE)
        if not sales:
            return False
        last = sales[0] if len(sales) == 1 else max(sales, key=lambda one: one.identity)
        return last.amount_fen == amount_fen and same_payer(last, payer)


def same_payer(record: Record, payer: Payer) -> bool:
    """Whether the record was paid by this payer. Of a payment code the front part names who it is: the rest changes."""
    if record.entry_mode is not payer.entry_mode:
        return False
    if payer.entry_mode is EntryMode.CARD:
        return record.payer == payer.token
    before, now = parse_code(record.payer), parse_code(payer.token)
    return before is not None and now is not None and before.number == now.number
