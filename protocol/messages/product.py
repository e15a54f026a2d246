"""Price look-up (查价), 0600/32: what the goods with this code cost at this merchant."""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout, Message, code2, text, unsigned
from protocol.state import Kind

PRODUCT_CODE_SIZE: Final = 24
PRODUCT_NAME_SIZE: Final = 48


class ProductRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: the code as keyed in or scanned."""

    code: str


class ProductAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal."""

    response_code: str
    name: str = ""
    price_fen: int = 0


LAYOUTS: Final = (
    Layout(
        ProductRequest,
        0x0600,
        0x32,
        "price look-up",
        [text("code", PRODUCT_CODE_SIZE, "code of the goods, as printed under a bar code")],
        kind=Kind.REQUEST,
    ),
    Layout(
        ProductAnswer,
        0x0610,
        0x32,
        "price look-up answer",
        [
            code2("response_code", "00, or 25: this merchant has no such goods"),
            text("name", PRODUCT_NAME_SIZE, "name of the goods"),
            unsigned("price_fen", 4, "price in fen"),
        ],
        kind=Kind.ANSWER,
    ),
)
