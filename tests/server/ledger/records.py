"""Offline records of a terminal for the ledger's tests: numbered and chained, as commands. Tags are made up: that they
are a terminal's work, the shell has found out."""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from server.ledger.model import Identity, OfflineSale
from tests.server.ledger.campus import ANN, CARDS, TILL

NO_TAG = bytes(16)


class Recorder:
    """Makes the next record of one terminal."""

    def __init__(self, terminal_id: int = TILL) -> None:
        self.terminal_id = terminal_id
        self.sequence, self.tag = 0, NO_TAG

    def sold(
        self,
        stan: int,
        amount_fen: int,
        account_id: int = ANN,
        *,
        token: bytes | None = None,
        batch: int = 1,
        stop_list_version: int = 0,
        is_authentic: bool = True,
    ) -> OfflineSale:
        token = CARDS[account_id] if token is None else token
        claimed_at_s = 1_788_200_000 + stan
        content = sha256(f"offline {amount_fen} {token.hex()} {claimed_at_s}".encode()).digest()[:16]
        self.sequence += 1
        previous, self.tag = self.tag, sha256(self.tag + content + bytes([stan % 256])).digest()[:16]
        return OfflineSale(
            Identity(self.terminal_id, batch, stan),
            content,
            token,
            amount_fen,
            7,
            claimed_at_s,
            saf_sequence=self.sequence,
            previous_tag=previous,
            tag=self.tag,
            stop_list_version=stop_list_version,
            is_authentic=is_authentic,
        )


def renumbered(sale: OfflineSale, sequence: int, previous_tag: bytes) -> OfflineSale:
    """The same record in another place of the chain."""
    return replace(sale, saf_sequence=sequence, previous_tag=previous_tag, tag=sha256(previous_tag).digest()[:16])
