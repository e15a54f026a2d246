"""Every message of wire version 1: one module per capability, and this table of them all."""

from typing import Final

from protocol.messages import echo, enrol, link, query, reject, reversal, sale
from protocol.messages.echo import EchoAnswer, EchoRequest
from protocol.messages.enrol import EnrolAnswer, EnrolRequest
from protocol.messages.fields import Layout, Message
from protocol.messages.link import Auth, Challenge, Hello, Ready, SignOffAnswer, SignOffRequest
from protocol.messages.query import QueryAnswer, QueryRequest, TransactionState
from protocol.messages.reject import Reject
from protocol.messages.reversal import ReversalAnswer, ReversalRequest
from protocol.messages.sale import EntryMode, SaleAnswer, SaleRequest

CAPABILITIES: Final = (link, enrol, echo, sale, reversal, query, reject)
"""To add a message type, write its module and add it here."""

LAYOUTS: Final[dict[tuple[int, int], Layout]] = {
    (layout.mti, layout.processing_code): layout for module in CAPABILITIES for layout in module.LAYOUTS
}

__all__ = [
    "CAPABILITIES",
    "LAYOUTS",
    "Auth",
    "Challenge",
    "EchoAnswer",
    "EchoRequest",
    "EnrolAnswer",
    "EnrolRequest",
    "EntryMode",
    "Hello",
    "Layout",
    "Message",
    "QueryAnswer",
    "QueryRequest",
    "Ready",
    "Reject",
    "ReversalAnswer",
    "ReversalRequest",
    "SaleAnswer",
    "SaleRequest",
    "SignOffAnswer",
    "SignOffRequest",
    "TransactionState",
]
