"""What a planted bug is: an edit or more, and the rigs that have to notice."""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """One replacement in one file."""

    path: str
    old: str
    new: str


class Mutant(NamedTuple):
    """One bug. `rigs` are names from `RIGS`; each of them has to find it."""

    name: str
    says: str
    edits: tuple[Edit, ...]
    rigs: tuple[str, ...]
