"""The texts of the terminal, from source and .po to .mo: `python -m tools.catalogues` checks, `--write` compiles.

A gettext of our own would be too much; this is the part of it that we use: no plurals, no contexts, no header but
the charset. In exchange nothing has to be installed, and the .mo files are the same wherever they are made.
"""

from __future__ import annotations

import ast
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from terminal_emulator.i18n import DOMAIN, LANGUAGES, LOCALE_FOLDER

SOURCE_FOLDER: Final = LOCALE_FOLDER.parent
MARKERS: Final = frozenset({"_", "N_"})
MO_MAGIC: Final = 0x950412DE
MO_HEADER_SIZE: Final = 28


class CatalogueError(ValueError):
    """A .po file that cannot be read; says file, line, and what was expected."""


def parse_po(text: str, name: str = "catalogue") -> dict[str, str]:
    """msgid -> msgstr in file order, the header under the empty msgid. Raises CatalogueError."""
    entries: dict[str, str] = {}
    pair = {"msgid": "", "msgstr": ""}
    current = ""

    def finish(number: int) -> None:
        if current == "msgid":
            raise CatalogueError(f"{name}:{number}: expected msgstr, got another msgid or the end of the file")
        if current == "msgstr":
            if pair["msgid"] in entries:
                raise CatalogueError(f"{name}:{number}: msgid {pair['msgid']!r} stands here twice; remove one")
            entries[pair["msgid"]] = pair["msgstr"]

    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'(?:(msgid|msgstr) )?(".*")', line)
        if match is None:
            raise CatalogueError(f'{name}:{number}: expected msgid "...", msgstr "..." or "...", got {line!r}')
        keyword, quoted = match.groups()
        if keyword == "msgid":
            finish(number)
            pair = {"msgid": "", "msgstr": ""}
        if keyword:
            current = keyword
        if not current:
            raise CatalogueError(f"{name}:{number}: expected msgid first, got {line!r}")
        pair[current] += ast.literal_eval(quoted)
    finish(len(lines))
    return entries


def build_mo(entries: dict[str, str]) -> bytes:
    """The binary catalogue: header, two tables of (length, offset) sorted by msgid, then the texts, each with a NUL."""
    pairs = sorted((key.encode(), value.encode()) for key, value in entries.items() if value)
    keys_at = MO_HEADER_SIZE
    values_at = keys_at + 8 * len(pairs)
    texts_at = values_at + 8 * len(pairs)
    tables, texts = [], b""
    for side in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[side]), texts_at + len(texts)))
            texts += pair[side] + b"\0"
    header = struct.pack("<IIIIIII", MO_MAGIC, 0, len(pairs), keys_at, values_at, 0, texts_at)
    return header + b"".join(tables) + texts


def texts_in(source: str) -> Iterator[str]:
    """The texts that a module marks for translation; a marker around anything but a literal is a mistake."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
            argument = node.args[0]
            if node.func.id == "N_" or isinstance(argument, ast.Constant):
                yield ast.literal_eval(argument)


def texts_in_source(folder: Path = SOURCE_FOLDER) -> dict[str, str]:
    """Every marked text of the terminal, with the module it was first seen in."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        for text in texts_in(path.read_text(encoding="utf-8")):
            found.setdefault(text, path.relative_to(folder).as_posix())
    return found


def catalogue_path(language: str) -> Path:
    """The .po file of a language; its .mo stands beside it."""
    return LOCALE_FOLDER / LANGUAGES[language] / "LC_MESSAGES" / f"{DOMAIN}.po"


def placeholders(text: str) -> set[str]:
    """The names in braces that a text has filled in."""
    return set(re.findall(r"{(\w+)", text))


def complaints(language: str) -> Iterator[str]:
    """What is wrong with a catalogue and how to mend it; nothing if it is complete and compiled."""
    path = catalogue_path(language)
    name = path.relative_to(LOCALE_FOLDER.parent.parent).as_posix()
    entries = parse_po(path.read_text(encoding="utf-8"), name)
    used = texts_in_source()
    for text, module in used.items():
        if not entries.get(text):
            yield f"{name}: {text!r} (in {module}) has no translation; add it"
        elif placeholders(text) != placeholders(entries[text]):
            yield f"{name}: {text!r}: expected the placeholders {placeholders(text)}, got {entries[text]!r}"
    for text in entries:
        if text and text not in used:
            yield f"{name}: {text!r} is not in the source any more; remove it"
    compiled = path.with_suffix(".mo")
    if not compiled.exists() or compiled.read_bytes() != build_mo(entries):
        yield f"{name}: its .mo is not what it compiles to; run python -m tools.catalogues --write"


def main(arguments: list[str]) -> int:
    """0 when all is well, 1 with the complaints on standard error."""
    if arguments not in ([], ["--check"], ["--write"]):
        print("usage: python -m tools.catalogues [--check | --write]", file=sys.stderr)
        return 2
    if arguments == ["--write"]:
        for language in LANGUAGES:
            path = catalogue_path(language)
            entries = parse_po(path.read_text(encoding="utf-8"), path.name)
            path.with_suffix(".mo").write_bytes(build_mo(entries))
    found = [complaint for language in LANGUAGES for complaint in complaints(language)]
    for complaint in found:
        print(complaint, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
