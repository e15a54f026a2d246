"""Reads the file of `fanka admin import`: CSV with a header, UTF-8 or GB18030, one cardholder per line. Does no I/O.

Every line is judged by itself and every fault is kept, so that a file can be put right in one go. Nothing is guessed:
an amount is decimal yuan with at most two decimals, and what looks like a formula is just text.
"""

from __future__ import annotations

import csv
import io
from typing import Any, Final, NamedTuple

from tools.faults import InputError
from tools.money import parse_yuan

REQUIRED: Final = ("student_number", "name", "card_uid", "balance_yuan")
OPTIONAL: Final = ("sale_limit_yuan", "day_limit_yuan", "class")
MONEY: Final = {"balance_yuan": "balance_fen", "sale_limit_yuan": "sale_limit_fen", "day_limit_yuan": "day_limit_fen"}
CLASS: Final = "class"
CLASS_DIGITS_MAX: Final = 9
FILE_BYTES_MAX: Final = 64 << 20
"""Half a million cardholders; a larger file is not one of ours."""
GOT_MAX: Final = 60
"""Characters of a faulty value that are quoted."""


class CsvError(InputError):
    """The file as a whole cannot be taken: wrong encoding or header."""


class LineError(NamedTuple):
    """What is wrong with one line. `field` is a column's name, or `line` for the line as a whole."""

    line: int
    field: str
    expected: str
    got: str


class CardFile(NamedTuple):
    """The good lines as arguments of the import operation, and the faults of the others."""

    encoding: str
    lines: list[dict[str, Any]]
    errors: list[LineError]


def read_card_file(data: bytes, name: str) -> CardFile:
    """Decode, check the header, convert every line. Raises CsvError."""
    if len(data) > FILE_BYTES_MAX:
        raise CsvError(f"{name}: expected at most {FILE_BYTES_MAX} bytes, got {len(data)}; split the file")
    encoding, text = decode(data, name)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [title.strip() for title in next(reader, [])]
    except csv.Error as error:
        raise CsvError(f"{name}: line 1: expected CSV: {error}") from None
    check_header(header, name)
    lines: list[dict[str, Any]] = []
    errors: list[LineError] = []
    first_seen: dict[tuple[str, str], int] = {}
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            errors.append(LineError(line, "line", "CSV, as in RFC 4180", f"{error}; the rest of the file was not read"))
            break
        if row is None:
            break
        if not any(cell.strip() for cell in row):
            continue
        faults, found = convert(line, header, row)
        if not faults:
            faults = repeats(line, found, first_seen)
        if faults:
            errors += faults
        else:
            lines.append(found)
    return CardFile(encoding, lines, errors)


def decode(data: bytes, name: str) -> tuple[str, str]:
    """The encoding that fits and the text. UTF-8 is tried first: text in GB18030 is practically never valid UTF-8."""
    try:
        return "UTF-8", data.decode("utf-8-sig")
    except UnicodeDecodeError as utf8:
        try:
            return "GB18030", data.decode("gb18030")
        except UnicodeDecodeError as gb:
            raise CsvError(
                f"{name}: expected text in UTF-8 or GB18030, got neither (UTF-8 fails at byte {utf8.start},"
                f" GB18030 at byte {gb.start}); save the sheet as CSV UTF-8"
            ) from None


def check_header(header: list[str], name: str) -> None:
    """All required columns, no unknown ones, each once, in any order."""
    wanted = f"{','.join(REQUIRED)}[,{','.join(OPTIONAL)}]"
    for problem, titles in (
        ("missing", [title for title in REQUIRED if title not in header]),
        ("unknown", [title for title in header if title not in REQUIRED + OPTIONAL]),
        ("twice", [title for title in dict.fromkeys(header) if header.count(title) > 1]),
    ):
        if titles:
            shown = ", ".join(repr(title[:GOT_MAX]) for title in titles[:5])
            raise CsvError(f"{name}: line 1: expected the header {wanted}, got {problem} {shown}")


def convert(line: int, header: list[str], row: list[str]) -> tuple[list[LineError], dict[str, Any]]:
    """The faults of one line (several at once), and its values with money in fen."""
    if len(row) != len(header):
        return [LineError(line, "line", f"{len(header)} fields", f"{len(row)} fields")], {}
    faults = []
    found: dict[str, Any] = {"line": line}
    for title, cell in zip(header, row, strict=True):
        value = cell.strip()
        if title in MONEY:
            if not value and title in OPTIONAL:
                continue  # says nothing of this limit
            try:
                fen = parse_yuan(value)
                if fen < 0:
                    raise ValueError
            except ValueError:
                faults.append(LineError(line, title, "yuan like 12 or 12.50, not below 0", value[:GOT_MAX]))
                continue
            found[MONEY[title]] = fen
        elif title == CLASS:
            if value and not (value.isascii() and value.isdigit() and len(value) < CLASS_DIGITS_MAX):
                faults.append(LineError(line, title, "the number of a card class", value[:GOT_MAX]))
            elif value:
                found["class_id"] = int(value)
        elif value:
            found[title] = value
        else:
            faults.append(LineError(line, title, "a value", "nothing"))
    return faults, found


def repeats(line: int, found: dict[str, Any], first_seen: dict[tuple[str, str], int]) -> list[LineError]:
    """Faults where a student number or card stands on an earlier line already."""
    faults = []
    for title in ("student_number", "card_uid"):
        value = found[title].upper().replace(":", "").replace(" ", "") if title == "card_uid" else found[title]
        earlier = first_seen.setdefault((title, value), line)
        if earlier != line:
            faults.append(
                LineError(line, title, "each once in the file", f"{found[title][:GOT_MAX]}, also on line {earlier}")
            )
    return faults


def errors_csv(errors: list[LineError]) -> bytes:
    """The faults as CSV that a spreadsheet opens as text: with a BOM, and nothing in it taken for a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(LineError._fields)
    for error in errors:
        writer.writerow([error.line, error.field, harmless(error.expected), harmless(error.got)])
    return out.getvalue().encode("utf-8-sig")


def harmless(text: str) -> str:
    """Text that a spreadsheet would run gets an apostrophe in front."""
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") else text
