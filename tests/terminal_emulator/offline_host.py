"""A host that judges offline sales, written from docs/protocol.md and not from the server; and records for it."""

from __future__ import annotations

from protocol.messages import OfflineSaleAnswer, OfflineVerdict
from protocol.messages.money import TransactionKind
from protocol.messages.offline import NO_TAG, tag_of
from protocol.security import saf_key
from terminal_emulator.offline import NEW_CHAIN, chain_of, sealed
from terminal_emulator.record import Record, RecordState
from tests.terminal_emulator.till import CARD, NUMBER

KEY = saf_key(bytes(range(32)), NUMBER)
NEXT_KEY = saf_key(bytes(range(32, 64)), NUMBER)
OTHER_CARD = bytes.fromhex("04B2C3D4")


def sold(stan, amount_fen=100, payer=CARD, batch=1, state=RecordState.OFFLINE) -> Record:
    return Record(
        kind=TransactionKind.OFFLINE_SALE,
        batch=batch,
        stan=stan,
        amount_fen=amount_fen,
        payer=payer,
        claimed_at_s=1_760_000_000 + stan,
        operator=7,
        state=state,
    )


def chained(*records, chain=NEW_CHAIN, key=KEY) -> list[Record]:
    """The records as one chain, in the order given."""
    result = []
    for record in records:
        result.append(sealed(record, chain, key, 3))
        chain = chain_of(result[-1])
    return result


class ChainHost:
    """`booked` is what it has taken, in order; `stopped` are payers it refuses; `quarantine` what nobody had sealed."""

    def __init__(self, key=KEY):
        self.key = key
        self.sequence, self.tag = 0, NO_TAG
        self.verdicts = {}
        self.booked = []
        self.quarantine = []
        self.stopped = set()

    def snapshot(self):
        return self.sequence, self.tag, dict(self.verdicts), list(self.booked)

    def go_back_to(self, snapshot):
        """Restored from a backup."""
        self.sequence, self.tag, verdicts, booked = snapshot
        self.verdicts, self.booked = dict(verdicts), list(booked)

    def answer(self, request):
        identity = (request.batch, request.stan)
        fits = (request.saf_sequence, request.previous_tag) == (self.sequence + 1, self.tag)
        known = self.verdicts.get(identity)
        if known is None and not fits:
            return self._say(request, OfflineVerdict.GAP, "79")
        if fits:
            self.sequence, self.tag = request.saf_sequence, request.tag
        if known is not None:
            return self._say(request, OfflineVerdict.DUPLICATE, known)
        verdict, code = self._judge(request)
        self.verdicts[identity] = code
        if verdict is OfflineVerdict.ACCEPTED:
            self.booked.append(identity)
        return self._say(request, verdict, code)

    def _judge(self, request):
        if tag_of(self.key, request) != request.tag:
            self.quarantine.append(request)
            return OfflineVerdict.TAMPERED, "A0"
        if request.payer in self.stopped:
            return OfflineVerdict.STOPPED, "41"
        return OfflineVerdict.ACCEPTED, "00"

    def _say(self, request, verdict, code):
        return OfflineSaleAnswer(
            stan=request.stan,
            batch=request.batch,
            amount_fen=request.amount_fen,
            verdict=verdict,
            response_code=code,
            rrn=900 + request.stan if verdict is not OfflineVerdict.GAP else 0,
            charged_fen=request.amount_fen if code == "00" else 0,
            points=request.amount_fen // 100 if code == "00" else 0,
            next_saf_sequence=self.sequence + 1,
            last_tag=self.tag,
        )
