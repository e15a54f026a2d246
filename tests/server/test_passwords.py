"""Passwords of people at terminals: factory ones, wrong ones, locks that a restart does not open, new ones."""

from __future__ import annotations

import pytest

from server.host_secrets import HostSecrets
from server.ledger.operators import FACTORY_PASSWORDS, RECHARGE, SUPERVISOR, WRONG_TRIES_MAX, Role
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.passwords import UNUSABLE, Passwords, Verdict, may_be_password

SECRETS = HostSecrets(bytes(range(32)))
TELLER = 1


class People:
    """A merchant's operators on a disk; `reopen` is a restart of the host."""

    def __init__(self, path):
        self.path = path
        self.open()
        with self.store.transaction():
            self.merchant_id = Registry(self.store).add_merchant("一食堂")
            self.other_id = Registry(self.store).add_merchant("二食堂")

    def open(self):
        self.store = SqliteStore(self.path)
        self.passwords = Passwords(self.store, SECRETS)

    def reopen(self):
        self.store.close()
        self.open()

    def check(self, operator, password, merchant_id=0):
        with self.store.transaction():
            return self.passwords.check(merchant_id or self.merchant_id, operator, password)[0]

    def change(self, operator, old, new):
        with self.store.transaction():
            return self.passwords.change(self.merchant_id, operator, old, new)[0]

    def lock(self, operator):
        for _ in range(WRONG_TRIES_MAX):
            self.check(operator, "99999")


@pytest.fixture
def people(tmp_path):
    people = People(tmp_path / "ledger.db")
    yield people
    people.store.close()


@pytest.mark.parametrize(
    ("operator", "password"), [(SUPERVISOR, "123456"), (TELLER, "0000"), (RECHARGE, "111111")], ids=str
)
def test_factory_passwords_are_right_and_to_be_changed(people, operator, password):
    assert people.check(operator, password) is Verdict.RIGHT
    assert people.passwords.operators.find(people.merchant_id, operator).must_change == 1
    for other in {"123456", "0000", "111111", "", "00000"} - {password}:
        assert people.check(operator, other) is Verdict.WRONG


def test_a_number_nobody_has_is_a_wrong_password_and_is_never_told_apart(people):
    assert people.check(77, "0000") is Verdict.WRONG
    assert [people.check(77, "0000") for _ in range(WRONG_TRIES_MAX)] == [Verdict.WRONG] * WRONG_TRIES_MAX


def test_wrong_ones_lock_and_the_right_one_does_not_open(people):
    tries = [people.check(TELLER, "1") for _ in range(WRONG_TRIES_MAX)]
    assert tries == [Verdict.WRONG] * (WRONG_TRIES_MAX - 1) + [Verdict.LOCKED]
    assert people.check(TELLER, "0000") is Verdict.LOCKED
    assert people.change(TELLER, "0000", "4711") == Verdict.LOCKED
    assert people.check(SUPERVISOR, "123456") is Verdict.RIGHT, "another operator's"
    assert people.check(TELLER, "0000", people.other_id) is Verdict.RIGHT, "another merchant's"


def test_a_lock_and_a_count_survive_a_restart(people):
    people.lock(TELLER)
    for _ in range(WRONG_TRIES_MAX - 1):
        people.check(SUPERVISOR, "1")
    people.reopen()
    assert people.check(TELLER, "0000") is Verdict.LOCKED
    assert people.check(SUPERVISOR, "1") is Verdict.LOCKED


def test_the_right_one_ends_the_count(people):
    for _ in range(3):
        for _ in range(WRONG_TRIES_MAX - 1):
            assert people.check(TELLER, "1") is Verdict.WRONG
        assert people.check(TELLER, "0000") is Verdict.RIGHT


def test_a_reset_opens_a_lock(people):
    people.lock(TELLER)
    with people.store.transaction():
        people.passwords.operators.set_password(people.merchant_id, TELLER, None, must_change=True)
    assert people.check(TELLER, "0000") is Verdict.RIGHT


def test_a_changed_password_counts_alone_and_for_ever(people):
    assert people.change(TELLER, "0000", "4711") == Verdict.RIGHT
    people.reopen()
    assert people.check(TELLER, "4711") is Verdict.RIGHT
    assert people.check(TELLER, "0000") is Verdict.WRONG
    record = people.passwords.operators.find(people.merchant_id, TELLER)
    assert record.must_change == 0
    assert b"4711" not in record.verifier


@pytest.mark.parametrize("new", ["", "123", "1234567890123", "12a4", "１２３４", "0000"], ids=repr)
def test_what_may_not_become_a_password(people, new):
    assert people.change(TELLER, "0000", new) == UNUSABLE
    assert people.check(TELLER, "0000") is Verdict.RIGHT


def test_the_factory_password_does_not_come_back(people):
    assert people.change(TELLER, "0000", "4711") == Verdict.RIGHT
    assert people.change(TELLER, "4711", FACTORY_PASSWORDS[Role.TELLER]) == UNUSABLE


def test_a_wrong_old_one_changes_nothing_and_counts(people):
    for _ in range(WRONG_TRIES_MAX - 1):
        assert people.change(TELLER, "1111", "4711") == Verdict.WRONG
    assert people.change(TELLER, "1111", "4711") == Verdict.LOCKED


def test_the_same_password_of_two_people_leaves_no_trace(people):
    assert people.change(TELLER, "0000", "471147") == Verdict.RIGHT
    assert people.change(SUPERVISOR, "123456", "471147") == Verdict.RIGHT
    found = people.passwords.operators
    verifiers = {found.find(people.merchant_id, operator).verifier for operator in (TELLER, SUPERVISOR)}
    assert len(verifiers) == 2


def test_lengths():
    assert may_be_password("0000")
    assert may_be_password("0" * 12)
    assert not may_be_password("000")
    assert not may_be_password("0" * 13)
