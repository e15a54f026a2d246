"""Products of a merchant: what a cashier finds by the code that is keyed or scanned, and what it costs."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from server.ledger.catalogue import ProductRecord
from server.operations.desk import PAGE_MAX, AdminError, Desk, Fields, check_fen, check_page, check_text, describe

CODE_MAX: Final = 24
NAME_BYTES_MAX: Final = 48
"""Both as the price look-up carries them."""
KEYS: Final = ("merchant_id", "code")


class ProductLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One product of an import. `line` is where it stands in the file, for errors."""

    line: int
    code: str
    name: str
    price_fen: int


class Products:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("set", "put_many", "delete", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def set(self, merchant_id: int, code: str, name: str, price_fen: int) -> Fields:
        """Add a product, or change its name and price."""
        self._desk.merchant(merchant_id)
        record = _checked(merchant_id, code, name, price_fen)
        with self._desk.transaction():
            self._put(record)
        return msgspec.structs.asdict(record)

    def put_many(self, merchant_id: int, lines: list[ProductLine], is_check: bool = False) -> Fields:
        """Add or change many in one commit, or none if one is wrong; `is_check` only says what is wrong.

        Gives counts, and the errors by line.
        """
        self._desk.merchant(merchant_id)
        if len(lines) > PAGE_MAX:
            raise AdminError(f"import: expected at most {PAGE_MAX} lines at a time, got {len(lines)}")
        good, errors = [], []
        for line in lines:
            try:
                good.append(_checked(merchant_id, line.code, line.name, line.price_fen))
            except AdminError as error:
                errors.append({"line": line.line, "error": str(error)})
        changed = 0
        if not errors and not is_check:
            with self._desk.transaction():
                changed = sum(self._put(record) for record in good)
        return {"lines": len(good), "changed": changed, "errors": errors}

    def delete(self, merchant_id: int, code: str) -> Fields:
        """No longer sold."""
        self._desk.merchant(merchant_id)
        old = self._desk.catalogue.find_product(merchant_id, code)
        if old is None:
            raise AdminError(
                f"product: expected a code of merchant {merchant_id}, got {code[:40]!r}; see `fanka admin product list`"
            )
        with self._desk.transaction():
            self._desk.catalogue.delete_product(merchant_id, code)
            self._desk.note(_what(old), describe(old, *KEYS), "", for_terminals=False)
        return msgspec.structs.asdict(old)

    def listing(self, merchant_id: int, after: str = "", limit: int = PAGE_MAX) -> list[Fields]:
        """Up to `limit` products of a merchant with codes above `after`."""
        self._desk.merchant(merchant_id)
        found = self._desk.catalogue.products(merchant_id, after=after, limit=check_page(limit))
        return [msgspec.structs.asdict(record) for record in found]

    def _put(self, record: ProductRecord) -> bool:
        """Whether it was otherwise before. Terminals ask for a price when they need it: they keep none."""
        old = self._desk.catalogue.find_product(record.merchant_id, record.code)
        if old != record:
            self._desk.catalogue.put_product(record)
            self._desk.note(_what(record), describe(old, *KEYS), describe(record, *KEYS), for_terminals=False)
        return old != record


def _what(record: ProductRecord) -> str:
    return f"product {record.code} of merchant {record.merchant_id}"


def _checked(merchant_id: int, code: str, name: str, price_fen: int) -> ProductRecord:
    code = check_text("product code", code, characters_max=CODE_MAX)
    if not code.isascii() or " " in code:
        raise AdminError(f"product code: expected digits or letters as on a bar code, got {code!r}")
    return ProductRecord(
        merchant_id,
        code,
        check_text("product name", name, bytes_max=NAME_BYTES_MAX),
        check_fen("price", price_fen, low=1),
    )
