"""Every business rule: one module per capability, and this table of them all. Pure: a batch and a command in, an
outcome out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from server.ledger.batch import Batch
from server.ledger.model import (
    Adjustment,
    Clearing,
    Completion,
    ExpireHolds,
    Inquiry,
    Lookup,
    OfflineSale,
    Outcome,
    PointsSale,
    PreAuth,
    Query,
    Refund,
    Reversal,
    Sale,
    TopUp,
    Upload,
    Void,
)
from server.ledger.rules import (
    adjustment,
    clearing,
    completion,
    lookup,
    offline,
    points,
    preauth,
    query,
    refund,
    reversal,
    sale,
    topup,
    upload,
    void,
)

RULES: Final[dict[type, Callable[[Batch, Any], Outcome]]] = {
    Sale: sale.apply,
    Void: void.apply,
    Refund: refund.apply,
    PreAuth: preauth.apply,
    Completion: completion.apply,
    ExpireHolds: preauth.expire,
    TopUp: topup.apply,
    PointsSale: points.apply,
    Reversal: reversal.apply,
    Query: query.apply,
    Lookup: lookup.look_up,
    Inquiry: lookup.inquire,
    Adjustment: adjustment.apply,
    Clearing: clearing.apply,
    Upload: upload.apply,
    OfflineSale: offline.apply,
}
