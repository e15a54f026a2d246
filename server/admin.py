"""Every administrative operation, by name: `perform("card.freeze", {"uid": "04A1B2C3"})`.

The same object serves the control socket of a running host and, where none runs, the command line directly. Arguments
are checked against the operation's own signature before it is called; results are JSON-able.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol, get_type_hints

import msgspec

from server.host_secrets import bind_secrets
from server.keys import KeyRing, bind_kek
from server.ledger import stop_list
from server.ledger.changes import Changes
from server.ledger.ledger import Ledger
from server.ledger.registry import Registry
from server.ledger.tariffs import read_tariff
from server.operations.accounts import Accounts
from server.operations.bonus import Bonus
from server.operations.card_classes import CardClasses
from server.operations.card_terms import CardTermsDesk
from server.operations.cards import Cards
from server.operations.clearing import ClearingDesk
from server.operations.days import Days
from server.operations.desk import AdminError, Desk, Fields, Trail
from server.operations.devices import DeviceDesk
from server.operations.history import History
from server.operations.imports import Imports
from server.operations.keys import Keys
from server.operations.ledger import LedgerDesk
from server.operations.meals import Meals
from server.operations.merchants import Merchants
from server.operations.operators import OperatorDesk
from server.operations.parameters import ParameterDesk
from server.operations.points import Points
from server.operations.products import Products
from server.operations.quarantine import QuarantineDesk
from server.operations.settlements import Settlements
from server.operations.stop_list import StopListDesk
from server.operations.terminals import Terminals
from server.operations.unresolved import UnresolvedDesk
from server.operations.virtual_cards import VirtualCards

__all__ = ["OPERATIONS", "Admin", "AdminError"]


NOBODY: Final = "-"
"""In the history, where nobody said who it was."""


class Group(Protocol):
    """One module of operations."""

    OPERATIONS: ClassVar[tuple[str, ...]]

    def __init__(self, desk: Desk) -> None: ...


GROUPS: Final[dict[str, type[Group]]] = {
    "merchant": Merchants,
    "terminal": Terminals,
    "account": Accounts,
    "card": Cards,
    "virtual_card": VirtualCards,
    "import": Imports,
    "day": Days,
    "keys": Keys,
    "ledger": LedgerDesk,
    "class": CardClasses,
    "card_terms": CardTermsDesk,
    "meal": Meals,
    "bonus": Bonus,
    "points": Points,
    "product": Products,
    "operator": OperatorDesk,
    "parameter": ParameterDesk,
    "device": DeviceDesk,
    "stop_list": StopListDesk,
    "settlement": Settlements,
    "clearing": ClearingDesk,
    "history": History,
    "unresolved": UnresolvedDesk,
    "quarantine": QuarantineDesk,
}


def _arguments(method: Callable[..., Any]) -> type[msgspec.Struct]:
    """A struct with the method's parameters, so that msgspec can check and convert what came from outside."""
    hints = get_type_hints(method)
    fields: list[Any] = []
    for name, parameter in inspect.signature(method).parameters.items():
        if name == "self":
            continue
        optional = parameter.default is not inspect.Parameter.empty
        fields.append((name, hints[name], parameter.default) if optional else (name, hints[name]))
    return msgspec.defstruct(method.__qualname__, fields, forbid_unknown_fields=True)


OPERATIONS: Final = {
    f"{group}.{name}": _arguments(getattr(kind, name)) for group, kind in GROUPS.items() for name in kind.OPERATIONS
}
"""Name and arguments of all there is; nothing else can be called from outside."""


class Admin:
    """See the module's docstring. All calls in the thread that owns the ledger. The ledger's tariff is that of the
    tables from the first moment, and after every operation that changed them.

    `on_revoked(terminal_id)` is called there too, after the commit, when a session under this terminal's number must
    end. Raises KeyFault if the KEK is not the one this ledger's keys are wrapped under.
    """

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        keys: KeyRing,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        on_revoked: Callable[[int], None],
    ) -> None:
        bind_kek(registry, keys)
        if not stop_list.newest_version(registry.store):
            with registry.store.transaction():
                stop_list.complete(registry.store)
        self._ledger, self._changes = ledger, Changes(registry.store)
        secrets = bind_secrets(registry, keys, random_bytes)
        self._trail = Trail()
        self._trail.config_version = self._changes.config_version(ledger.history)
        ledger.tariff = read_tariff(registry.store, ledger.tariff.utc_offset_min)
        self.desk = Desk(ledger, registry, keys, secrets, now_ms, random_bytes, on_revoked, self._trail)
        self.merchants = Merchants(self.desk)
        self.terminals = Terminals(self.desk)
        self.accounts = Accounts(self.desk)
        self.cards = Cards(self.desk)
        self.imports = Imports(self.desk)
        self.days = Days(self.desk)
        self.keys = Keys(self.desk)
        self.ledger = LedgerDesk(self.desk)
        self._groups: dict[str, object] = {name: kind(self.desk) for name, kind in GROUPS.items()}

    def perform(self, operation: str, arguments: Fields, who: str = "") -> Any:
        """Do one operation for `who`; its JSON-able result. AdminError if it is unknown, misused or refused."""
        wanted = OPERATIONS.get(operation)
        if wanted is None:
            raise AdminError(f"operation: expected one of {', '.join(OPERATIONS)}; got {operation!r}")
        try:
            checked = msgspec.convert(arguments, wanted)
        except msgspec.ValidationError as error:
            raise AdminError(f"{operation}: {error}") from None
        group, _, name = operation.partition(".")
        self._trail.begin(who or NOBODY, operation)
        try:
            return getattr(self._groups[group], name)(**msgspec.structs.asdict(checked))
        except OverflowError:
            raise AdminError(f"{operation}: expected numbers of at most 64 bits, got a larger one") from None

    def config_version(self) -> int:
        """Which configuration terminals should have. May be called in any thread."""
        return self._trail.config_version

    def redeem_code(
        self, terminal_id: int, serial_number: str, wrapped_code: bytes | None = None
    ) -> tuple[int, bytes] | None:
        """See `Terminals.redeem_code`."""
        return self.terminals.redeem_code(terminal_id, serial_number, wrapped_code)

    def next_key(self, terminal_id: int, key_version: int) -> bytes | None:
        """See `Terminals.next_key`."""
        return self.terminals.next_key(terminal_id, key_version)

    def adopt_key(self, terminal_id: int, key_version: int) -> bool:
        """See `Terminals.adopt_key`."""
        return self.terminals.adopt_key(terminal_id, key_version)
