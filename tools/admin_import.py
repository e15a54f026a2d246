"""`fanka admin import`: cardholders with cards and opening balances from a CSV file, safe to repeat."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from tools.listing import console, print_json, progress, yuan
from tools.options import AsJson, Data, admin_channel
from tools.words import counted

if TYPE_CHECKING:
    from tools.admin_client import AdminChannel
    from tools.card_csv import LineError

CHUNK: Final = 200
"""Lines per operation: the most the host takes at once."""
ERRORS_SHOWN_MAX: Final = 20
"""Errors on the screen; all of them stand in the errors file."""
SUMMED: Final = ("lines", "accounts_new", "cards_new", "posted", "posted_fen")


def import_cards(
    file: Path,
    /,
    *,
    skip_bad: Annotated[bool, Parameter(negative=())] = False,
    data: Data = None,
    json: AsJson = False,
) -> int:
    """Import cardholders from CSV: student_number,name,card_uid,balance_yuan[,sale_limit_yuan,day_limit_yuan,class].

    UTF-8 or GB18030. If any line is bad nothing is imported. The same file again changes nothing.

    Parameters
    ----------
    file
        The CSV file, its first line the header. Errors are written beside it, to FILE.errors.csv.
    skip_bad
        Import the good lines all the same.
    """
    from tools.card_csv import errors_csv, read_card_file

    with admin_channel(data) as admin:
        cards = read_card_file(file.read_bytes(), str(file))
        errors = [*cards.errors, *_run(admin, "import.check", cards.lines, "checking", json)[1]]
        bad = {error.line for error in errors}
        good = [line for line in cards.lines if line["line"] not in bad]
        counts: Counter[str] = Counter()
        if good and (skip_bad or not errors):
            counts, late = _run(admin, "import.apply", good, "importing", json)
            errors += late
    errors.sort()
    errors_file = file.with_name(file.name + ".errors.csv")
    if errors:
        errors_file.write_bytes(errors_csv(errors))
    else:
        errors_file.unlink(missing_ok=True)
    result = {
        "file": str(file),
        "encoding": cards.encoding,
        **{name: counts[name] for name in SUMMED},
        "bad_lines": len({error.line for error in errors}),
        "errors_file": str(errors_file) if errors else None,
        "errors": [error._asdict() for error in errors],
    }
    if json:
        print_json(result)
    else:
        _show(result, errors)
    return 1 if errors and not skip_bad else 0


def _run(
    admin: AdminChannel, operation: str, lines: list[dict[str, Any]], title: str, quiet: bool
) -> tuple[Counter[str], list[LineError]]:
    """Send all lines in chunks, with progress; the summed counts and the errors."""
    from tools.card_csv import LineError

    counts: Counter[str] = Counter()
    errors: list[LineError] = []
    with progress(quiet=quiet) as bar:
        task = bar.add_task(title, total=len(lines))
        for start in range(0, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            answer = admin.call(operation, lines=chunk)
            errors += [LineError(**error) for error in answer["errors"]]
            counts.update({name: answer[name] for name in SUMMED if name in answer})
            bar.advance(task, len(chunk))
    return counts, errors


def _show(result: dict[str, Any], errors: list[LineError]) -> None:
    out = console()
    out.print(f"{result['file']}: read as {result['encoding']}")
    for error in errors[:ERRORS_SHOWN_MAX]:
        out.print(f"line {error.line}, {error.field}: expected {error.expected}; got {error.got}")
    if errors:
        shown = f", the first {ERRORS_SHOWN_MAX} above" if len(errors) > ERRORS_SHOWN_MAX else ""
        lines = counted(result["bad_lines"], "line")
        out.print(f"{counted(len(errors), 'error')} on {lines}{shown}; all in {result['errors_file']}")
    if errors and not result["lines"]:
        out.print("nothing was imported; mend the lines, or import the others with --skip-bad")
        return
    before = "; the rest was there before" if result["cards_new"] < result["lines"] else ""
    out.print(
        f"{counted(result['lines'], 'line')}: {counted(result['accounts_new'], 'new account')},"
        f" {counted(result['cards_new'], 'new card')}, {counted(result['posted'], 'opening balance')}"
        f" of {yuan(result['posted_fen'])} yuan{' together' if result['posted'] != 1 else ''}{before}"
    )
