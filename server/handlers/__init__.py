"""What the ledger decides about, and what is looked up beside it: one module per capability, and these two tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from protocol.messages import (
    BatchEndRequest,
    BatchUploadRequest,
    DifferencesRequest,
    Message,
    QueryRequest,
    ReversalRequest,
    SaleRequest,
    SettlementCloseRequest,
    SettlementRequest,
    StopListRequest,
    UploadRequest,
)
from server.handlers import query, reversal, sale, settlement, stop_list, upload
from server.ledger.model import Command, Outcome
from server.operations.desk import Desk
from server.payers import Caller


class Handler(NamedTuple):
    """How one request type meets the ledger. `name` is its metric label, `conflict` the log line of an ID_CONFLICT."""

    name: str
    to_command: Callable[[Caller, Any], Command]
    to_answer: Callable[[Any, Outcome], Message]
    conflict: str = "identity reused with other content: expected a copy of the first request"


class Call(NamedTuple):
    """A request that is no command of the ledger: `run` answers it in the ledger's thread, between two batches.

    `run(desk, terminal_id, message)` opens its own transaction if it writes. `undecided(message, code)` is the answer
    when the store cannot be written now: it decides nothing, and the terminal asks again.
    """

    name: str
    run: Callable[[Desk, int, Any], Message]
    undecided: Callable[[Any, str], Message]


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

CALLS: Final[dict[type[Message], Call]] = {
    StopListRequest: Call("stop_list", stop_list.run, stop_list.undecided),
    SettlementRequest: Call("settlement", settlement.settle, settlement.settle_undecided),
    SettlementCloseRequest: Call("settlement_close", settlement.close, settlement.close_undecided),
    BatchUploadRequest: Call("batch_upload", settlement.take_part, settlement.take_part_undecided),
    BatchEndRequest: Call("batch_end", settlement.end_parts, settlement.end_parts_undecided),
    DifferencesRequest: Call("differences", settlement.differences, settlement.differences_undecided),
}
