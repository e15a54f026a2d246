"""A checked password allows one request, its copies included, and for a time."""

import pytest

from protocol.messages import PasswordPurpose
from server.permits import PERMIT_LIFETIME_S, TAKEN_MAX, Permits

TILL, OTHER = 0x0003_003A, 0x0003_003B
SUPERVISOR, RECHARGE = PasswordPurpose.SUPERVISOR, PasswordPurpose.RECHARGE
FIRST, SECOND = (1, 7), (1, 8)


class Clock:
    now_s = 100.0


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def permits(clock):
    return Permits(lambda: clock.now_s)


def approve(permits, number, *, is_copy=False):
    permits.decided(TILL, number, is_approved=True, is_copy=is_copy)


def test_none_without_a_password(permits):
    assert not permits.take(TILL, FIRST, [SUPERVISOR])


def test_one_approved_request_and_no_other(permits):
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    assert not permits.take(TILL, SECOND, [SUPERVISOR]), "while that one is being decided"
    approve(permits, FIRST)
    assert not permits.take(TILL, SECOND, [SUPERVISOR])
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, SECOND, [SUPERVISOR])


def test_another_terminals_password_or_the_other_one_is_none(permits):
    permits.grant(OTHER, SUPERVISOR)
    permits.grant(TILL, RECHARGE)
    assert not permits.take(TILL, FIRST, [SUPERVISOR])
    assert not permits.take(TILL, FIRST, [SUPERVISOR, RECHARGE])
    assert permits.take(TILL, FIRST, [RECHARGE]), "one that lacks is no reason to use the other up"


def test_both_where_both_are_needed(permits):
    permits.grant(TILL, SUPERVISOR)
    permits.grant(TILL, RECHARGE)
    assert permits.take(TILL, FIRST, [SUPERVISOR, RECHARGE])
    approve(permits, FIRST)
    assert not permits.take(TILL, SECOND, [SUPERVISOR])
    assert not permits.take(TILL, SECOND, [RECHARGE])


def test_not_for_ever(permits, clock):
    permits.grant(TILL, SUPERVISOR)
    clock.now_s += PERMIT_LIFETIME_S
    assert not permits.take(TILL, FIRST, [SUPERVISOR])


def test_copies_of_what_is_undecided_come_however_late(permits, clock):
    """A refund is repeated until the host decides: its password was checked in time."""
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    clock.now_s += 100 * PERMIT_LIFETIME_S
    assert permits.take(TILL, FIRST, [SUPERVISOR])


def test_what_is_repeated_keeps_its_own_when_the_next_password_is_keyed(permits):
    """The host was busy: a refund is repeated, and meanwhile the supervisor voids something else."""
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, SECOND, [SUPERVISOR])
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    approve(permits, SECOND)
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    approve(permits, FIRST)
    assert not permits.take(TILL, (1, 9), [SUPERVISOR])


def test_a_terminal_that_leaves_requests_undecided_is_not_remembered_for_ever(permits):
    for stan in range(1, 2 * TAKEN_MAX):
        permits.grant(TILL, SUPERVISOR)
        assert permits.take(TILL, (1, stan), [SUPERVISOR])
    assert not permits.take(TILL, (1, 1), [SUPERVISOR])
    assert permits.take(TILL, (1, 2 * TAKEN_MAX - 1), [SUPERVISOR])


def test_a_refused_request_leaves_it_to_the_next(permits, clock):
    """A wrong PIN: the same again under another number."""
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    permits.decided(TILL, FIRST, is_approved=False, is_copy=False)
    assert permits.take(TILL, SECOND, [SUPERVISOR])
    permits.decided(TILL, SECOND, is_approved=False, is_copy=False)
    clock.now_s += PERMIT_LIFETIME_S
    assert not permits.take(TILL, (1, 9), [SUPERVISOR]), "but not for longer"


def test_a_copy_of_something_old_uses_nothing_up(permits):
    """A terminal repeats what it has no answer to, while the next password is keyed."""
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    approve(permits, FIRST, is_copy=True)
    assert permits.take(TILL, SECOND, [SUPERVISOR])


def test_a_copy_of_what_is_approved_keeps_nothing_from_the_next_while_the_host_is_busy(permits):
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    approve(permits, FIRST)
    permits.grant(TILL, SUPERVISOR)
    permits.take(TILL, FIRST, [SUPERVISOR])  # answered BUSY: nothing is decided
    assert permits.take(TILL, SECOND, [SUPERVISOR])


def test_whose_answer_was_lost_has_used_it_up(permits):
    """The line broke while it was decided; its copy is told so."""
    permits.grant(TILL, SUPERVISOR)
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    assert permits.take(TILL, FIRST, [SUPERVISOR])
    approve(permits, FIRST, is_copy=True)
    assert not permits.take(TILL, SECOND, [SUPERVISOR])
