"""What the ledger decides about, and what is looked up beside it: one module per capability, and these two tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from protocol.messages import (
    BalanceRequest,
    BatchEndRequest,
    BatchUploadRequest,
    DifferencesRequest,
    LookupRequest,
    Message,
    OfflineSaleRequest,
    ParametersRequest,
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
    ProductRequest,
    QueryRequest,
    ReversalRequest,
    SettlementCloseRequest,
    SettlementRequest,
    SignOnRequest,
    StopListRequest,
    TellerRequest,
    UploadRequest,
)
from server.handlers import (
    balance,
    lookup,
    money,
    offline,
    parameters,
    password,
    product,
    query,
    reversal,
    settlement,
    sign_on,
    stop_list,
    tellers,
    upload,
)
from server.ledger.model import Command, Outcome
from server.operations.desk import Desk
from server.payers import Caller


class Handler(NamedTuple):
    """How one request type meets the ledger. `name` is its metric label, `conflict` the log line of an ID_CONFLICT.

    `in_background`: nobody stands at a till for the answer. `passwords`: those to be checked before it is sent.
    """

    name: str
    to_command: Callable[[Caller, Any], Command]
    to_answer: Callable[[Any, Outcome], Message]
    conflict: str = "identity reused with other content: expected a copy of the first request"
    in_background: bool = False
    passwords: tuple[PasswordPurpose, ...] = ()


class Call(NamedTuple):
    """A request that is no command of the ledger: `run` answers it in the ledger's thread, between two batches.

    `run(desk, terminal_id, message)` opens its own transaction if it writes. `undecided(message, code)` is the answer
    when the store cannot be written now: it decides nothing, and the terminal asks again. `is_long`: it reads a whole
    batch, so that sales go in between.
    """

    name: str
    run: Callable[[Desk, int, Any], Message]
    undecided: Callable[[Any, str], Message]
    is_long: bool = False


HANDLERS: Final[dict[type[Message], Handler]] = {
    **{
        request: Handler(
            kind.name.lower(),
            money.to_command_of(kind),
            money.to_answer_of(request),
            passwords=money.PASSWORDS.get(kind, ()),
        )
        for request, kind in money.KINDS.items()
    },
    ReversalRequest: Handler("reversal", reversal.to_command, reversal.to_answer),
    QueryRequest: Handler("query", query.to_command, query.to_answer),
    LookupRequest: Handler("lookup", lookup.to_command, lookup.to_answer),
    BalanceRequest: Handler("balance", balance.to_command, balance.to_answer),
    UploadRequest: Handler(
        "upload",
        upload.to_command,
        upload.to_answer,
        "upload contradicts the ledger: expected a sale it does not have, or has approved with the same content",
        in_background=True,
    ),
    OfflineSaleRequest: Handler("offline_sale", offline.to_command, offline.to_answer, in_background=True),
}

CALLS: Final[dict[type[Message], Call]] = {
    SignOnRequest: Call("sign_on", sign_on.run, sign_on.undecided),
    PasswordRequest: Call("password", password.check, password.undecided),
    PasswordChangeRequest: Call("password_change", password.change, password.change_undecided),
    TellerRequest: Call("tellers", tellers.run, tellers.undecided),
    ParametersRequest: Call("parameters", parameters.run, parameters.undecided),
    ProductRequest: Call("product", product.run, product.undecided),
    StopListRequest: Call("stop_list", stop_list.run, stop_list.undecided),
    SettlementRequest: Call("settlement", settlement.settle, settlement.settle_undecided, is_long=True),
    SettlementCloseRequest: Call("settlement_close", settlement.close, settlement.close_undecided, is_long=True),
    BatchUploadRequest: Call("batch_upload", settlement.take_part, settlement.take_part_undecided, is_long=True),
    BatchEndRequest: Call("batch_end", settlement.end_parts, settlement.end_parts_undecided, is_long=True),
    DifferencesRequest: Call("differences", settlement.differences, settlement.differences_undecided, is_long=True),
}
