"""Price look-up on the host's floor."""

from __future__ import annotations

from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages import ProductAnswer, ProductRequest
from protocol.messages.product import PRODUCT_NAME_SIZE
from server.handlers.permitted import APPROVED, NOT_FOUND, permitted
from server.operations.desk import Desk
from server.texts import cut_text


def run(desk: Desk, terminal_id: int, message: ProductRequest) -> ProductAnswer:
    """Name and price of what has this code at the terminal's merchant."""
    record = permitted(desk, terminal_id)
    if isinstance(record, str):
        return ProductAnswer(response_code=record)
    found = desk.catalogue.find_product(record.merchant_id, message.code)
    if found is None:
        return ProductAnswer(response_code=NOT_FOUND)
    return ProductAnswer(
        response_code=APPROVED,
        name=cut_text(found.name, PRODUCT_NAME_SIZE),
        price_fen=min(found.price_fen, MAX_AMOUNT_FEN),
    )


def undecided(_message: ProductRequest, code: str) -> ProductAnswer:
    """It was not looked up."""
    return ProductAnswer(response_code=code)
