"""Generated parts of the documentation.

`python -m tools.docs --write` writes them, `--check` shows what is out of date.

A generated part stands between two markers and is never edited by hand:

    <!-- generated: NAME -->
    ...
    <!-- end generated -->

To generate something new, write a function without arguments that gives Markdown, and add a line to GENERATORS.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

GENERATORS: Final[dict[str, str]] = {
    "header": "tools.docs_protocol:header",
    "limits": "tools.docs_protocol:limits",
    "states": "tools.docs_protocol:states",
    "messages": "tools.docs_protocol:messages",
    "response codes": "tools.docs_protocol:response_codes",
    "key derivation": "tools.docs_protocol:key_derivation",
    "handshake": "tools.docs_protocol:handshake",
    "key change": "tools.docs_protocol:key_change",
    "pin block": "tools.docs_protocol:pin_block",
    "offline chain": "tools.docs_protocol:offline_chain",
    "session": "tools.docs_protocol:session",
    "functions": "tools.docs_protocol:functions",
    "annotated sale": "tools.docs_protocol:annotated_sale",
    "refused frames": "tools.docs_protocol:refused_frames",
    "commands": "tools.docs_operating:commands",
    "admin commands": "tools.docs_operating:admin_commands",
    "settings": "tools.docs_operating:settings_table",
    "metrics": "tools.docs_operating:metrics",
    "scripts": "tools.docs_operating:scripts",
    "till menus": "tools.docs_till:menus",
    "faults": "tools.docs_reliability:faults",
    "invariants": "tools.docs_reliability:invariants",
    "counters": "tools.docs_reliability:counters",
}
"""Name in the marker: module and function, imported only when a document asks for it."""

MARKER = re.compile(r"^<!-- (?:generated: (?P<name>.+?)|(?P<end>end generated)) -->[ \t]*$")
LOOKS_LIKE_ONE = re.compile(r"<!--\s*(?:end\s+)?generated", re.IGNORECASE)


class DocumentError(Exception):
    """Markers that do not fit together. Says where, and what was expected."""


def generate(name: str) -> str:
    """The text of one generated part; KeyError if there is no such name."""
    module, _, function = GENERATORS[name].partition(":")
    maker: Callable[[], str] = getattr(importlib.import_module(module), function)
    return maker()


def renew(text: str, where: str, generator: Callable[[str], str] = generate) -> str:
    """The document with every generated part made anew. DocumentError names the line that is wrong."""
    lines: list[str] = []
    open_at = 0
    for number, line in enumerate(text.splitlines(), 1):
        marker = MARKER.match(line)
        if marker is None:
            if LOOKS_LIKE_ONE.search(line):
                raise DocumentError(f"{where}:{number}: expected a marker alone on its line, got {line.strip()!r}")
            if not open_at:
                lines.append(line)
            continue
        if marker["end"]:
            if not open_at:
                raise DocumentError(f"{where}:{number}: expected `generated: NAME` before this end")
            open_at = 0
            lines.append(line)
            continue
        if open_at:
            raise DocumentError(f"{where}:{open_at}: expected `end generated` before line {number}")
        open_at = number
        try:
            content = generator(marker["name"])
        except KeyError:
            known = ", ".join(GENERATORS)
            raise DocumentError(f"{where}:{number}: expected one of {known}, got {marker['name']!r}") from None
        # A blank line on both sides: Markdown takes a comment and what follows it directly for one block.
        lines += [line, "", *content.strip("\n").splitlines(), ""]
    if open_at:
        raise DocumentError(f"{where}:{open_at}: expected `end generated`, got the end of the file")
    return "\n".join(lines) + "\n"


def documents(root: Path) -> list[Path]:
    """Every Markdown file of ours: at the top and below docs/."""
    return sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])


def outdated(root: Path) -> dict[Path, tuple[str, str]]:
    """Documents whose generated parts are not what they should be: path to (text now, text wanted)."""
    found = {}
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        if LOOKS_LIKE_ONE.search(text) and (wanted := renew(text, str(path.relative_to(root)))) != text:
            found[path] = (text, wanted)
    return found


def differences(changes: Mapping[Path, tuple[str, str]], root: Path) -> Iterable[str]:
    """The changes as a unified diff."""
    for path, (text, wanted) in changes.items():
        name = str(path.relative_to(root))
        yield from difflib.unified_diff(
            text.splitlines(), wanted.splitlines(), name, f"{name} (generated)", lineterm=""
        )


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Exit code 0: all is up to date (or was written); 1: --check found differences; 2: a marker is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description="Generated parts of the documentation.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the generated parts anew")
    action.add_argument("--check", action="store_true", help="show what is out of date; exit code 1 if anything is")
    options = parser.parse_args(arguments)
    try:
        changes = outdated(root)
    except (DocumentError, ValueError) as error:  # a ValueError: what a part is made from is wrong, and says where
        print(error, file=sys.stderr)
        return 2
    if options.write:
        for path, (_, wanted) in changes.items():
            path.write_text(wanted, encoding="utf-8")
            print(f"written: {path.relative_to(root)}")
        return 0
    for line in differences(changes, root):
        print(line)
    if changes:
        print("out of date: run `make docs`", file=sys.stderr)
    return 1 if changes else 0


if __name__ == "__main__":
    raise SystemExit(main())
