"""Selling while there is no host to ask: what may be sold, and the chain over what was. Pure: no storage, no line.

A sale made offline is money that nobody has checked. So the host says how much of it there may be, every card is looked
up in the stop list that was downloaded last, and every record is numbered, and tagged over the record before it, the
moment it is made (`protocol.messages.offline`).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from protocol.messages import EntryMode, OfflineSaleRequest
from protocol.messages.offline import NO_TAG, tag_of
from protocol.messages.stop_list import token_hash
from protocol.security import same_bytes
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import Record, Saf


class OfflineLimits(msgspec.Struct, frozen=True):
    """How much may be sold without the host, in fen; 0 = nothing. `card_fen`, `total_fen`, `count`: of what waits."""

    sale_fen: int = 0
    card_fen: int = 0
    total_fen: int = 0
    count: int = 0

    @property
    def allow_any(self) -> bool:
        """Whether there is such a thing as an offline sale here."""
        return min(self.sale_fen, self.card_fen, self.total_fen, self.count) > 0


NO_OFFLINE_SALES: Final = OfflineLimits()
"""What holds until the host has said otherwise."""


class OfflineRefusal(StrEnum):
    """Why a sale may not be made offline."""

    NOT_ALLOWED = "not_allowed"  # the host allows this terminal none
    NOT_A_CARD = "not_a_card"  # payment codes are checked by the host alone
    NO_STOP_LIST = "no_stop_list"  # this terminal has never had a stop list
    STOPPED = "stopped"  # the card is on the stop list
    OVER_SALE = "over_sale"  # this sale is too large
    OVER_CARD = "over_card"  # this card has spent enough since the host was there last
    OVER_TOTAL = "over_total"  # this terminal holds enough unchecked money
    OVER_COUNT = "over_count"  # this terminal holds enough records


class Chain(NamedTuple):
    """Where a chain of records stands: the number and tag of its last one."""

    sequence: int
    tag: bytes


NEW_CHAIN: Final = Chain(0, NO_TAG)


def limits_of(parameters: Parameters) -> OfflineLimits:
    """The part of the downloaded parameters that is about offline sales."""
    return OfflineLimits(
        parameters.offline_sale_limit_fen,
        parameters.offline_card_limit_fen,
        parameters.offline_total_limit_fen,
        parameters.offline_count_limit,
    )


def refusal(
    limits: OfflineLimits,
    waiting: Iterable[Record],
    stopped: Container[bytes] | None,
    *,
    payer: bytes,
    entry_mode: EntryMode,
    amount_fen: int,
) -> OfflineRefusal | None:
    """The first reason not to make this sale offline, or None. `waiting` is what has been sold so and not uploaded,
    `stopped` the stop list, None if there was never one."""
    if not limits.allow_any:
        return OfflineRefusal.NOT_ALLOWED
    if entry_mode is not EntryMode.CARD:
        return OfflineRefusal.NOT_A_CARD
    if stopped is None:
        return OfflineRefusal.NO_STOP_LIST
    if token_hash(payer) in stopped:
        return OfflineRefusal.STOPPED
    if amount_fen > limits.sale_fen:
        return OfflineRefusal.OVER_SALE
    count = total_fen = card_fen = 0
    for record in waiting:
        count += 1
        total_fen += record.amount_fen
        if record.payer == payer:
            card_fen += record.amount_fen
    if count >= limits.count:
        return OfflineRefusal.OVER_COUNT
    if card_fen + amount_fen > limits.card_fen:
        return OfflineRefusal.OVER_CARD
    if total_fen + amount_fen > limits.total_fen:
        return OfflineRefusal.OVER_TOTAL
    return None


def request_of(record: Record) -> OfflineSaleRequest:
    """How a record goes up, tag and all."""
    saf = record.saf
    assert saf is not None
    return OfflineSaleRequest(
        **record.told(),
        stop_list_version=saf.stop_list_version,
        saf_sequence=saf.sequence,
        previous_tag=saf.previous_tag,
        tag=saf.tag,
    )


def sealed(record: Record, chain: Chain, key: bytes, stop_list_version: int) -> Record:
    """The record as the next one of the chain, under K_saf `key`."""
    open_saf = Saf(chain.sequence + 1, chain.tag, NO_TAG, stop_list_version)
    tag = tag_of(key, request_of(replace(record, saf=open_saf)))
    return replace(record, saf=replace(open_saf, tag=tag))


def is_sealed(record: Record, key: bytes) -> bool:
    """Whether the record's tag is right under this key."""
    assert record.saf is not None
    return same_bytes(tag_of(key, request_of(record)), record.saf.tag)


def chain_of(record: Record) -> Chain:
    """Where the chain stands after this record."""
    assert record.saf is not None
    return Chain(record.saf.sequence, record.saf.tag)


def renumbered(waiting: Sequence[Record], chain: Chain, key: bytes, known_keys: Collection[bytes] = ()) -> list[Record]:
    """The same records in the same order, as what follows `chain`.

    One that no key of this terminal has sealed gets its place, but no new tag: somebody has changed it in the memory,
    and the host must see that.
    """
    result = []
    for record in waiting:
        saf = record.saf
        assert saf is not None
        if any(is_sealed(record, one) for one in (key, *known_keys)):
            record = sealed(record, chain, key, saf.stop_list_version)
        else:
            record = replace(record, saf=replace(saf, sequence=chain.sequence + 1, previous_tag=chain.tag))
        result.append(record)
        chain = chain_of(record)
    return result


def mended(waiting: Sequence[Record], key: bytes, known_keys: Collection[bytes]) -> list[Record]:
    """The records that have to change so that all are one chain under `key`, in order: the last ones, or none.

    There are some after a change of the root key, and after a power cut in the middle of renumbering.
    """
    chain: Chain | None = None
    for index, record in enumerate(waiting):
        saf = record.saf
        assert saf is not None
        before = Chain(saf.sequence - 1, saf.previous_tag)
        if chain not in (None, before) or (
            not is_sealed(record, key) and any(is_sealed(record, one) for one in known_keys)
        ):
            return renumbered(waiting[index:], before if chain is None else chain, key, known_keys)
        chain = chain_of(record)
    return []
