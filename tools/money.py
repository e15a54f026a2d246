"""Money at the command line: people write and read yuan, everything below counts fen. Never a float in between."""

from __future__ import annotations

import re
from typing import Final

from protocol.limits import MAX_AMOUNT_FEN

_YUAN: Final = re.compile(r"(?P<sign>-?)(?P<whole>\d{1,9})(?:\.(?P<cents>\d{1,2}))?", re.ASCII)


def parse_yuan(text: str) -> int:
    """`12.5` or `-3` as fen, exactly. ValueError that says what was expected."""
    match = _YUAN.fullmatch(text.strip())
    if match is None:
        most = show_yuan(MAX_AMOUNT_FEN)
        raise ValueError(
            f"amount: expected yuan like 12 or 12.50, up to {most} with at most two decimals, got {text.strip()[:40]!r}"
        )
    fen = int(match["whole"]) * 100 + int((match["cents"] or "").ljust(2, "0"))
    return -fen if match["sign"] else fen


def show_yuan(amount_fen: int) -> str:
    """1250 as `12.50`."""
    whole, cents = divmod(abs(amount_fen), 100)
    return f"{'-' if amount_fen < 0 else ''}{whole}.{cents:02d}"
