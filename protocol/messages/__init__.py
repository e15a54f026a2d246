"""Every message of wire version 1: one module per capability, and this table of them all."""

from typing import Final

from protocol.messages import echo, enrol, key_change, link, query, reject, reversal, sale, upload
from protocol.messages.echo import EchoAnswer, EchoRequest
from protocol.messages.enrol import EnrolAnswer, EnrolRequest
from protocol.messages.fields import Layout, Message
from protocol.messages.key_change import KeyAnswer, KeyRequest
from protocol.messages.link import Auth, Challenge, Hello, Ready, SignOffAnswer, SignOffRequest
from protocol.messages.query import QueryAnswer, QueryRequest, TransactionState
from protocol.messages.reject import Reject
from protocol.messages.reversal import ReversalAnswer, ReversalRequest
from protocol.messages.sale import EntryMode, SaleAnswer, SaleRequest
from protocol.messages.upload import UploadAnswer, UploadRequest, UploadVerdict

CAPABILITIES: Final = (link, enrol, key_change, echo, sale, reversal, query, upload, reject)
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
    "KeyAnswer",
    "KeyRequest",
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
    "UploadAnswer",
    "UploadRequest",
    "UploadVerdict",
]
