"""The corpus: one text file per target, one input a line in hex, and behind `#` what comes of it. Tests replay it.

Seeds (golden vectors and samples) are computed by the targets and not stored; here is what fuzzing has added to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.fuzz.target import Target, execute

FOLDER: Final = Path(__file__).parent / "corpus"
ENTRIES_MAX: Final = 30
"""Inputs a target may keep: enough for every kind of outcome, few enough to read."""
ENTRY_BYTES_MAX: Final = 512


def read(name: str, folder: Path = FOLDER) -> list[bytes]:
    """The stored inputs of a target."""
    path = folder / f"{name}.txt"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [bytes.fromhex(line.partition("#")[0].strip()) for line in lines if line.partition("#")[0].strip()]


def whole(name: str, target: Target, folder: Path = FOLDER) -> list[bytes]:
    """Seeds and stored inputs, each once."""
    return list(dict.fromkeys([*target.seeds(), *read(name, folder)]))


def keep(name: str, target: Target, found: dict[str, str], folder: Path = FOLDER) -> int:
    """Store small inputs of new kinds behind what is stored already; how many were added."""
    stored = read(name, folder)
    known = {execute(target, data) for data in [*target.seeds(), *stored]}
    new = []
    for label, text in sorted(found.items(), key=lambda item: (len(item[1]), item)):
        data = bytes.fromhex(text)
        room = len(stored) + len(new) < ENTRIES_MAX and len(data) <= ENTRY_BYTES_MAX
        if room and label.isprintable() and label not in known:
            new.append(f"{text}  # {label}\n")
    if new:
        folder.mkdir(exist_ok=True)
        with (folder / f"{name}.txt").open("a", encoding="utf-8") as file:
            file.writelines(new)
    return len(new)
