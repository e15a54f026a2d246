"""Text for fields of a fixed size."""

from __future__ import annotations


def cut_text(text: str, size: int) -> str:
    """The longest start of a text that fits `size` bytes of UTF-8, cut between characters."""
    return text.encode()[:size].decode("utf-8", "ignore")
