"""What may be sold without a host, and the chain over what was sold."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.messages import EntryMode
from protocol.messages.offline import NO_TAG
from protocol.messages.stop_list import token_hash
from terminal_emulator.offline import (
    NEW_CHAIN,
    NO_OFFLINE_SALES,
    Chain,
    OfflineLimits,
    OfflineRefusal,
    chain_of,
    is_sealed,
    limits_of,
    mended,
    refusal,
    renumbered,
    request_of,
)
from terminal_emulator.parameters import Parameters
from tests.terminal_emulator.offline_host import KEY, NEXT_KEY, OTHER_CARD, ChainHost, chained, sold
from tests.terminal_emulator.till import CARD

LIMITS = OfflineLimits(sale_fen=500, card_fen=700, total_fen=1_000, count=4)


def refused(amount_fen, *waiting, limits=LIMITS, stopped=(), payer=CARD, entry_mode=EntryMode.CARD):
    return refusal(limits, waiting, stopped, payer=payer, entry_mode=entry_mode, amount_fen=amount_fen)


# ------------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    ("amount_fen", "waiting", "expected"),
    [
        (500, [], None),
        (501, [], OfflineRefusal.OVER_SALE),
        (300, [sold(1, 400)], None),
        (301, [sold(1, 400)], OfflineRefusal.OVER_CARD),
        (301, [sold(1, 400, OTHER_CARD)], None),
        (400, [sold(1, 300, OTHER_CARD), sold(2, 300)], None),
        (401, [sold(1, 300, OTHER_CARD), sold(2, 300, b"x")], OfflineRefusal.OVER_TOTAL),
        (1, [sold(n, 1) for n in range(1, 4)], None),
        (1, [sold(n, 1) for n in range(1, 5)], OfflineRefusal.OVER_COUNT),
    ],
)
def test_each_limit_lets_its_own_value_pass_and_not_one_more(amount_fen, waiting, expected):
    assert refused(amount_fen, *waiting) is expected


@pytest.mark.parametrize("name", ["sale_fen", "card_fen", "total_fen", "count"])
def test_one_limit_of_0_and_nothing_is_sold(name):
    assert refused(1, limits=replace(LIMITS, **{name: 0})) is OfflineRefusal.NOT_ALLOWED
    assert refused(1, limits=NO_OFFLINE_SALES) is OfflineRefusal.NOT_ALLOWED


def test_a_payment_code_is_no_card_and_a_stopped_card_is_refused_first():
    assert refused(1, entry_mode=EntryMode.CODE) is OfflineRefusal.NOT_A_CARD
    assert refused(501, stopped={token_hash(CARD)}) is OfflineRefusal.STOPPED
    assert refused(500, stopped={token_hash(OTHER_CARD)}) is None


def test_the_limits_are_the_hosts():
    parameters = Parameters(
        offline_sale_limit_fen=1, offline_card_limit_fen=2, offline_total_limit_fen=3, offline_count_limit=4
    )
    assert limits_of(parameters) == OfflineLimits(1, 2, 3, 4)
    assert limits_of(Parameters()) == NO_OFFLINE_SALES


# ------------------------------------------------------------------------------------------------- chain


def is_one_chain(records, key=KEY, chain=NEW_CHAIN):
    before = [chain, *map(chain_of, records)]
    linked = all(
        (record.saf.sequence, record.saf.previous_tag) == (last.sequence + 1, last.tag)
        for last, record in zip(before, records, strict=False)
    )
    return linked and all(is_sealed(record, key) for record in records)


def test_a_chain_begins_at_one_and_goes_on_across_batches():
    records = chained(sold(999_999), sold(1, batch=2), sold(2, batch=2))
    assert is_one_chain(records)
    assert [record.saf.sequence for record in records] == [1, 2, 3]
    assert records[0].saf.previous_tag == NO_TAG
    assert request_of(records[1]).stop_list_version == 3


def test_what_is_one_chain_is_left_alone():
    records = chained(*map(sold, range(1, 6)), chain=Chain(40, b"t" * 16))
    assert mended(records, KEY, [NEXT_KEY]) == []
    assert mended([], KEY, []) == []


def test_a_new_key_seals_what_waits_from_where_it_stood():
    records = chained(*map(sold, range(1, 4)), chain=Chain(40, b"t" * 16))
    changed = mended(records, NEXT_KEY, [KEY])
    assert is_one_chain(changed, NEXT_KEY, Chain(40, b"t" * 16))
    assert [record.stan for record in changed] == [1, 2, 3]


@pytest.mark.parametrize("cut", range(6))
def test_a_change_of_keys_cut_off_anywhere_is_completed(cut):
    records = chained(*map(sold, range(1, 6)))
    half = [*mended(records, NEXT_KEY, [KEY])[:cut], *records[cut:]]
    whole = [*half[:cut], *mended(half, NEXT_KEY, [KEY])]
    assert is_one_chain(whole, NEXT_KEY)


@pytest.mark.parametrize("cut", range(6))
def test_renumbering_cut_off_anywhere_is_completed(cut):
    records = chained(*map(sold, range(1, 6)))
    to = Chain(77, b"h" * 16)
    half = [*renumbered(records, to, KEY)[:cut], *records[cut:]]
    changed = {record.stan: record for record in mended(half, KEY, [])}
    whole = [changed.get(record.stan, record) for record in half]
    assert is_one_chain(whole, KEY, to if cut else NEW_CHAIN)


def test_what_no_key_of_ours_has_sealed_is_not_made_good():
    """Whoever can write the memory, but has no key, gets nothing sealed by changing it before a new key comes."""
    first, second, third = chained(*map(sold, range(1, 4)))
    records = mended([first, replace(second, amount_fen=1), third], NEXT_KEY, [KEY])
    records = renumbered(records, Chain(8, b"h" * 16), NEXT_KEY)
    assert [is_sealed(record, NEXT_KEY) for record in records] == [True, False, True]
    host = ChainHost(NEXT_KEY)
    host.sequence, host.tag = 8, b"h" * 16
    assert [host.answer(request_of(record)).response_code for record in records] == ["00", "A0", "00"]


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=12), st.data())
def test_a_host_notices_what_is_missing_doubled_or_out_of_order(amounts, data):
    """Whatever order they come in, the host takes them in the order they were made, each once."""
    records = chained(*(sold(stan, fen) for stan, fen in enumerate(amounts, 1)))
    host = ChainHost()
    for record in data.draw(st.lists(st.sampled_from(records), max_size=30)):
        before = host.sequence
        host.answer(request_of(record))
        assert host.sequence in (before, before + 1)
    assert [stan for _, stan in host.booked] == list(range(1, host.sequence + 1))
    assert all(later == earlier + 1 for earlier, later in pairwise(stan for _, stan in host.booked))
