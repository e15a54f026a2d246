"""`fanka admin product`: what a merchant sells under which code, one by one or from a CSV file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Final

from cyclopts import App

from tools.listing import Column, console, print_done, print_json, print_rows, yuan
from tools.options import PAGE, AsJson, Data, Yuan, admin_channel, all_rows, to_fen
from tools.words import counted

product_app = App(name="product", help="Products: prices by code.", sort_key=5)

HEADER: Final = ["code", "name", "price_yuan"]
FILE_BYTES_MAX: Final = 8 << 20
"""A hundred thousand products; a larger file is not one of ours."""
ERRORS_SHOWN_MAX: Final = 20

PRODUCT_COLUMNS: Final = (
    Column("code", "code"),
    Column("name", "name"),
    Column("price", "price_fen", yuan),
)


@product_app.command(name="set")
def set_product(
    merchant: int, code: str, name: str, price: Yuan, /, *, data: Data = None, json: AsJson = False
) -> None:
    """Add a product, or change its name and price.

    Parameters
    ----------
    merchant
        Number of the merchant that sells it.
    code
        As a cashier keys or scans it.
    name
        At most 16 Chinese characters.
    price
        Yuan.
    """
    with admin_channel(data) as admin:
        changed = admin.call("product.set", merchant_id=merchant, code=code, name=name, price_fen=to_fen(price))
    print_done(changed, f"product {changed['code']}: {changed['name']} {yuan(changed['price_fen'])}", as_json=json)


@product_app.command(name="delete")
def delete_product(merchant: int, code: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """No longer sold."""
    with admin_channel(data) as admin:
        deleted = admin.call("product.delete", merchant_id=merchant, code=code)
    print_done(deleted, f"product {code}: {deleted['name']}: deleted", as_json=json)


@product_app.command(name="list")
def list_products(merchant: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """All products of a merchant, by code."""
    with admin_channel(data) as admin:
        found = all_rows(admin, "product.listing", "code", merchant_id=merchant)
    print_rows(found, PRODUCT_COLUMNS, as_json=json, nothing=f"no products yet: fanka admin product set {merchant} ...")


@product_app.command(name="import")
def import_products(merchant: int, file: Path, /, *, data: Data = None, json: AsJson = False) -> int:
    """Add or change products from CSV: code,name,price_yuan. UTF-8 or GB18030; if any line is bad nothing is changed.

    Parameters
    ----------
    merchant
        Number of the merchant that sells them.
    file
        The CSV file, its first line the header.
    """
    with admin_channel(data) as admin:
        lines, errors = read_products(file.read_bytes(), str(file))
        chunks = [lines[start : start + PAGE] for start in range(0, len(lines), PAGE)]
        for chunk in chunks:
            errors += admin.call("product.put_many", merchant_id=merchant, lines=chunk, is_check=True)["errors"]
        changed = 0
        for chunk in chunks if not errors else ():
            changed += admin.call("product.put_many", merchant_id=merchant, lines=chunk)["changed"]
    result = {"file": str(file), "lines": len(lines), "changed": changed, "errors": errors}
    if json:
        print_json(result)
        return 1 if errors else 0
    for error in errors[:ERRORS_SHOWN_MAX]:
        console().print(f"line {error['line']}: {error['error']}")
    if errors:
        console().print(f"{counted(len(errors), 'error')}; nothing was changed")
        return 1
    console().print(f"{counted(len(lines), 'line')}: {counted(changed, 'product')} new or changed")
    return 0


def read_products(data: bytes, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The good lines as arguments of the operation, and what is wrong with the others. Raises CsvError."""
    from tools.card_csv import CsvError, decode
    from tools.money import parse_yuan

    if len(data) > FILE_BYTES_MAX:
        raise CsvError(f"{name}: expected at most {FILE_BYTES_MAX} bytes, got {len(data)}; split the file")
    reader = csv.reader(io.StringIO(decode(data, name)[1], newline=""), strict=True)
    lines: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    first_seen: dict[str, int] = {}
    try:
        header = [title.strip() for title in next(reader, [])]
        if header != HEADER:
            raise CsvError(f"{name}: line 1: expected the header {','.join(HEADER)}, got {','.join(header)[:60]!r}")
        for row in reader:
            line = reader.line_num
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) != len(HEADER):
                errors.append({"line": line, "error": f"expected {len(HEADER)} fields, got {len(cells)}"})
                continue
            code, title, price = cells
            if code in first_seen:
                error = f"code: expected each once in the file, got {code!r}, also on line {first_seen[code]}"
                errors.append({"line": line, "error": error})
                continue
            first_seen[code] = line
            try:
                lines.append({"line": line, "code": code, "name": title, "price_fen": parse_yuan(price)})
            except ValueError as error:
                errors.append({"line": line, "error": str(error)})
    except csv.Error as error:
        raise CsvError(f"{name}: line {reader.line_num}: expected CSV: {error}") from None
    return lines, errors
