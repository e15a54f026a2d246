"""Every business rule: one module per capability, and this table of them all. Pure: a batch and a command in, an
outcome out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from server.ledger.batch import Batch
from server.ledger.model import Adjustment, OfflineSale, Outcome, Query, Reversal, Sale, Upload
from server.ledger.rules import adjustment, offline, query, reversal, sale, upload

RULES: Final[dict[type, Callable[[Batch, Any], Outcome]]] = {
    Sale: sale.apply,
    Reversal: reversal.apply,
    Query: query.apply,
    Adjustment: adjustment.apply,
    Upload: upload.apply,
    OfflineSale: offline.apply,
}
