"""Every message of wire version 1: one module per capability, and this table of them all."""

from typing import Final

from protocol.messages import (
    balance,
    echo,
    enrol,
    key_change,
    link,
    lookup,
    offline,
    parameters,
    password,
    points,
    preauth,
    product,
    query,
    refund,
    reject,
    reversal,
    sale,
    settlement,
    sign_on,
    stop_list,
    tellers,
    topup,
    upload,
    void,
)
from protocol.messages.balance import BalanceAnswer, BalanceRequest, CardStatus
from protocol.messages.echo import EchoAnswer, EchoRequest
from protocol.messages.enrol import EnrolAnswer, EnrolRequest
from protocol.messages.fields import Layout, Message
from protocol.messages.key_change import KeyAnswer, KeyRequest
from protocol.messages.link import Auth, Challenge, Hello, Ready, SignOffAnswer, SignOffRequest
from protocol.messages.lookup import LookupAnswer, LookupRequest
from protocol.messages.money import EntryMode, FollowUpRequest, MoneyAnswer, MoneyRequest, TransactionKind
from protocol.messages.offline import OfflineSaleAnswer, OfflineSaleRequest, OfflineVerdict
from protocol.messages.parameters import Meal, ParametersAnswer, ParametersRequest, Profile
from protocol.messages.password import (
    PasswordAnswer,
    PasswordChangeAnswer,
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
)
from protocol.messages.points import PointsSaleAnswer, PointsSaleRequest, PointsVoidAnswer, PointsVoidRequest
from protocol.messages.preauth import (
    CompletionAnswer,
    CompletionRequest,
    CompletionVoidAnswer,
    CompletionVoidRequest,
    PreAuthAnswer,
    PreAuthRequest,
    PreAuthVoidAnswer,
    PreAuthVoidRequest,
)
from protocol.messages.product import ProductAnswer, ProductRequest
from protocol.messages.query import QueryAnswer, QueryRequest, TransactionState
from protocol.messages.refund import RefundAnswer, RefundRequest
from protocol.messages.reject import Reject
from protocol.messages.reversal import ReversalAnswer, ReversalRequest
from protocol.messages.sale import SaleAnswer, SaleRequest
from protocol.messages.settlement import (
    BatchEndAnswer,
    BatchEndRequest,
    BatchUploadAnswer,
    BatchUploadRequest,
    DifferencesAnswer,
    DifferencesRequest,
    SettlementAnswer,
    SettlementCloseAnswer,
    SettlementCloseRequest,
    SettlementRequest,
)
from protocol.messages.sign_on import OperatorRole, SignOnAnswer, SignOnRequest
from protocol.messages.stop_list import StopAction, StopListAnswer, StopListRequest, StopRow
from protocol.messages.tellers import TellerAction, TellerAnswer, TellerRequest
from protocol.messages.topup import TopUpAnswer, TopUpRequest, TopUpVoidAnswer, TopUpVoidRequest
from protocol.messages.upload import UploadAnswer, UploadRequest, UploadVerdict
from protocol.messages.void import VoidAnswer, VoidRequest

CAPABILITIES: Final = (
    link,
    enrol,
    key_change,
    echo,
    sign_on,
    password,
    tellers,
    parameters,
    sale,
    void,
    refund,
    preauth,
    topup,
    points,
    reversal,
    query,
    lookup,
    balance,
    product,
    upload,
    offline,
    stop_list,
    settlement,
    reject,
)
"""To add a message type, write its module and add it here."""

LAYOUTS: Final[dict[tuple[int, int], Layout]] = {
    (layout.mti, layout.processing_code): layout for module in CAPABILITIES for layout in module.LAYOUTS
}

__all__ = [
    "CAPABILITIES",
    "LAYOUTS",
    "Auth",
    "BalanceAnswer",
    "BalanceRequest",
    "BatchEndAnswer",
    "BatchEndRequest",
    "BatchUploadAnswer",
    "BatchUploadRequest",
    "CardStatus",
    "Challenge",
    "CompletionAnswer",
    "CompletionRequest",
    "CompletionVoidAnswer",
    "CompletionVoidRequest",
    "DifferencesAnswer",
    "DifferencesRequest",
    "EchoAnswer",
    "EchoRequest",
    "EnrolAnswer",
    "EnrolRequest",
    "EntryMode",
    "FollowUpRequest",
    "Hello",
    "KeyAnswer",
    "KeyRequest",
    "Layout",
    "LookupAnswer",
    "LookupRequest",
    "Meal",
    "Message",
    "MoneyAnswer",
    "MoneyRequest",
    "OfflineSaleAnswer",
    "OfflineSaleRequest",
    "OfflineVerdict",
    "OperatorRole",
    "ParametersAnswer",
    "ParametersRequest",
    "PasswordAnswer",
    "PasswordChangeAnswer",
    "PasswordChangeRequest",
    "PasswordPurpose",
    "PasswordRequest",
    "PointsSaleAnswer",
    "PointsSaleRequest",
    "PointsVoidAnswer",
    "PointsVoidRequest",
    "PreAuthAnswer",
    "PreAuthRequest",
    "PreAuthVoidAnswer",
    "PreAuthVoidRequest",
    "ProductAnswer",
    "ProductRequest",
    "Profile",
    "QueryAnswer",
    "QueryRequest",
    "Ready",
    "RefundAnswer",
    "RefundRequest",
    "Reject",
    "ReversalAnswer",
    "ReversalRequest",
    "SaleAnswer",
    "SaleRequest",
    "SettlementAnswer",
    "SettlementCloseAnswer",
    "SettlementCloseRequest",
    "SettlementRequest",
    "SignOffAnswer",
    "SignOffRequest",
    "SignOnAnswer",
    "SignOnRequest",
    "StopAction",
    "StopListAnswer",
    "StopListRequest",
    "StopRow",
    "TellerAction",
    "TellerAnswer",
    "TellerRequest",
    "TopUpAnswer",
    "TopUpRequest",
    "TopUpVoidAnswer",
    "TopUpVoidRequest",
    "TransactionKind",
    "TransactionState",
    "UploadAnswer",
    "UploadRequest",
    "UploadVerdict",
    "VoidAnswer",
    "VoidRequest",
]
