"""What the ledger decides about: one module per capability, and this table of them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from protocol.messages import Message, QueryRequest, ReversalRequest, SaleRequest, UploadRequest
from server.handlers import query, reversal, sale, upload
from server.ledger.model import Command, Outcome


class Handler(NamedTuple):
    """How one request type meets the ledger. `name` is its metric label, `conflict` the log line of an ID_CONFLICT."""

    name: str
    to_command: Callable[[int, Any], Command]
    to_answer: Callable[[Any, Outcome], Message]
    conflict: str = "identity reused with other content: expected a copy of the first request"


HANDLERS: Final[dict[type[Message], Handler]] = {
    SaleRequest: Handler("sale", sale.to_command, sale.to_answer),
    ReversalRequest: Handler("reversal", reversal.to_command, reversal.to_answer),
    QueryRequest: Handler("query", query.to_command, query.to_answer),
    UploadRequest: Handler(
        "upload",
        upload.to_command,
        upload.to_answer,
        "upload contradicts the ledger: expected a sale it does not have, or has approved with the same content",
    ),
}
