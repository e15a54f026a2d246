"""Every way in which two lists of a batch can differ, each injected and named; and lists at random."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ledger.comparison import Difference, Item, Standing, Total, compare, totals

APPROVED, DECLINED, REVERSED = int(Standing.APPROVED), int(Standing.DECLINED), int(Standing.REVERSED)
SALE, VOID = 1, 5


def sale(stan: int, amount_fen: int = 1000, *, standing: int = APPROVED, kind: int = SALE, rrn: int = 0) -> Item:
    return Item(stan, kind, standing, amount_fen, amount_fen if standing == APPROVED else 0, rrn or 100 + stan)


HOST = [sale(1), sale(2, 2000), sale(3, 500, standing=REVERSED), sale(4, 700, standing=DECLINED), sale(5, 900)]


def test_the_same_lists_do_not_differ():
    assert compare(HOST, HOST) == []


def test_what_moved_no_money_may_be_missing():
    assert compare([item for item in HOST if item.is_approved], HOST) == []
    assert compare(HOST, [item for item in HOST if item.is_approved]) == []


def without(stan: int) -> list[Item]:
    return [item for item in HOST if item.stan != stan]


@pytest.mark.parametrize(
    ("terminal", "host", "expected"),
    [
        (HOST, without(2), (2, Difference.MISSING_AT_HOST, SALE, APPROVED, 2000, Standing.NONE, 0, 102)),
        (without(2), HOST, (2, Difference.MISSING_AT_TERMINAL, SALE, Standing.NONE, 0, APPROVED, 2000, 102)),
        ([*HOST, sale(2, 2000)], HOST, (2, Difference.DOUBLED, SALE, APPROVED, 2000, APPROVED, 2000, 102)),
        ([*HOST, sale(9, rrn=101)], HOST, (9, Difference.DOUBLED, SALE, APPROVED, 1000, Standing.NONE, 0, 101)),
        ([sale(1, 10), *without(1)], HOST, (1, Difference.AMOUNT, SALE, APPROVED, 10, APPROVED, 1000, 101)),
        (
            [Item(1, SALE, APPROVED, 1000, 900, 101), *without(1)],
            HOST,
            (1, Difference.AMOUNT, SALE, APPROVED, 900, APPROVED, 1000, 101),
        ),
        (
            [Item(1, SALE, APPROVED, 1100, 1000, 101), *without(1)],
            HOST,
            (1, Difference.AMOUNT, SALE, APPROVED, 1100, APPROVED, 1000, 101),
        ),
        ([sale(3, 500), *without(3)], HOST, (3, Difference.STATUS, SALE, APPROVED, 500, REVERSED, 500, 103)),
        ([sale(4, 700), *without(4)], HOST, (4, Difference.STATUS, SALE, APPROVED, 700, DECLINED, 700, 104)),
        (
            [sale(5, 900, standing=REVERSED), *without(5)],
            HOST,
            (5, Difference.STATUS, SALE, REVERSED, 900, APPROVED, 900, 105),
        ),
        ([*HOST, sale(8, rrn=50)], HOST, (8, Difference.OTHER_DAY, SALE, APPROVED, 1000, Standing.NONE, 0, 50)),
        (
            [sale(1)._replace(points=3), *without(1)],
            HOST,
            (1, Difference.POINTS, SALE, APPROVED, 3, APPROVED, 0, 101),
        ),
        ([sale(1, kind=VOID), *without(1)], HOST, (1, Difference.KIND, VOID, APPROVED, 1000, APPROVED, 1000, 101)),
    ],
    ids=lambda value: Difference(value[1]).name.lower() if type(value) is tuple else "",
)
def test_one_mistake_is_named(terminal, host, expected):
    assert compare(terminal, host, other_batches={50}) == [expected]


def test_of_two_under_one_number_the_one_the_host_has_is_not_the_extra():
    [found] = compare([sale(2, 3), *HOST], HOST)
    assert (found.stan, found.difference, found.terminal_fen) == (2, Difference.DOUBLED, 3)


def test_the_list_is_in_the_order_of_the_numbers():
    found = compare([sale(1, 5), sale(9), sale(7)], [sale(4), sale(1, 6)])
    assert [(row.stan, row.difference) for row in found] == [
        (1, Difference.AMOUNT),
        (4, Difference.MISSING_AT_TERMINAL),
        (7, Difference.MISSING_AT_HOST),
        (9, Difference.MISSING_AT_HOST),
    ]


ITEMS = st.builds(
    Item,
    stan=st.integers(1, 9),
    kind=st.sampled_from([SALE, VOID]),
    standing=st.sampled_from([APPROVED, DECLINED, REVERSED]),
    amount_fen=st.integers(1, 4),
    charged_fen=st.integers(0, 4),
    rrn=st.integers(0, 20),
)
HOST_LISTS = st.lists(ITEMS, max_size=12, unique_by=lambda item: item.stan)


@given(st.lists(ITEMS, max_size=12), HOST_LISTS, st.sets(st.integers(1, 20)))
def test_no_difference_is_found_exactly_when_the_same_money_has_moved(terminal, host, other_batches):
    def moved(items: list[Item]) -> list[tuple[int, ...]]:
        return sorted(item[:2] + item[3:5] for item in items if item.is_approved)

    found = compare(terminal, host, other_batches)
    assert (found == []) == (moved(terminal) == moved(host))
    if not found:
        assert totals(terminal) == totals(host)


@given(HOST_LISTS, HOST_LISTS)
def test_differences_account_for_all_that_the_sides_differ_in(terminal, host):
    """Take what the list says from one side's sum, and it is the other's: nothing is named twice or forgotten."""

    def total_fen(items: list[Item]) -> int:
        return sum(item.charged_fen for item in items if item.is_approved)

    mine = {item.stan: item for item in terminal if item.is_approved}
    theirs = {item.stan: item for item in host if item.is_approved}
    named = {row.stan for row in compare(terminal, host)}
    explained = sum(side[stan].charged_fen for side in (mine,) for stan in named & side.keys())
    explained -= sum(side[stan].charged_fen for side in (theirs,) for stan in named & side.keys())
    assert total_fen(terminal) - explained == total_fen(host)


def test_totals_are_by_kind_in_order():
    items = [sale(1, 5, kind=VOID), sale(2, 7), sale(3, 9, standing=REVERSED), sale(4, 1)]
    assert totals(items) == [Total(SALE, 2, 8, 8), Total(VOID, 1, 5, 5)]
