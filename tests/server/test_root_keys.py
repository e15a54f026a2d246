"""Which root key a handshake must prove, and the key nobody has."""

from __future__ import annotations

import random

import msgspec
import pytest

from protocol import TerminalNumber
from protocol.security import root_key_from_enrol_code
from server.keys import KeyRing
from server.ledger.model import Status
from server.ledger.registry import TerminalRecord
from server.root_keys import RootKeys

KEK, OTHER_KEK = bytes(range(32)), bytes(range(1, 33))
RING = KeyRing(KEK)
TILL = TerminalNumber(3, 58)
FIRST, SECOND, CODE = b"1" * 32, b"2" * 32, b"c" * 16
NOW_MS = 1_000_000
RECORD = TerminalRecord(
    terminal_id=TILL.to_int(),
    merchant_id=1,
    merchant_name="一食堂",
    status=Status.ACTIVE,
    serial_number="",
    key_version=4,
    wrapped_key=RING.wrap(FIRST),
    wrapped_code=None,
    code_serial_number="",
    code_expires_at_ms=0,
    enrolled_at_ms=0,
    next_key_version=5,
    next_wrapped_key=RING.wrap(SECOND),
    key_made_at_ms=0,
)
WITH_CODE = {"wrapped_code": RING.wrap(CODE), "code_expires_at_ms": NOW_MS + 1}


@pytest.fixture
def keys():
    return RootKeys(KeyRing(KEK), now_ms=lambda: NOW_MS, random_bytes=random.Random(1).randbytes)


def record(**changes) -> TerminalRecord:
    return msgspec.structs.replace(RECORD, **changes)


@pytest.mark.parametrize(
    ("changes", "version", "key"),
    [
        ({}, 4, FIRST),
        ({}, 5, SECOND),
        ({"next_wrapped_key": None}, 4, FIRST),
        (WITH_CODE, 0, root_key_from_enrol_code(CODE, TILL)),
        (WITH_CODE, 4, FIRST),
        (WITH_CODE | {"wrapped_key": None, "key_version": 0}, 0, root_key_from_enrol_code(CODE, TILL)),
    ],
)
def test_known(keys, changes, version, key):
    assert keys.of(TILL, record(**changes), version) == key


@pytest.mark.parametrize(
    ("changes", "version", "got"),
    [
        ({}, 3, "3"),
        ({}, 6, "6"),
        ({"next_wrapped_key": None}, 5, "5"),  # the number stays when the key is dropped
        ({}, 0, "none"),
        (WITH_CODE | {"code_expires_at_ms": NOW_MS}, 0, "an expired one"),
        ({"wrapped_key": None}, 4, "one that has none yet"),
        ({"wrapped_key": None}, 5, "one that has none yet"),
        ({"status": Status.CLOSED}, 4, "a revoked one"),
        ({"status": Status.CLOSED}, 5, "a revoked one"),
        (WITH_CODE | {"status": Status.CLOSED}, 0, "a revoked one"),
        ({"wrapped_key": bytes(40)}, 4, "a damaged one: enrol the terminal again"),
        ({"next_wrapped_key": bytes(40)}, 5, "a damaged one: enrol the terminal again"),
        (WITH_CODE | {"wrapped_code": bytes(24)}, 0, "a damaged one: enrol the terminal again"),
    ],
)
def test_refused(keys, changes, version, got):
    found = keys.of(TILL, record(**changes), version)
    assert isinstance(found, tuple)
    assert found[1] == got


def test_nobody(keys):
    assert keys.of(TILL, None, 1) == ("an enrolled terminal", "a number nobody has")


def test_the_key_nobody_has_outlives_a_change_of_the_kek():
    ring = KeyRing(KEK)
    keys = RootKeys(ring, now_ms=lambda: NOW_MS, random_bytes=random.Random(1).randbytes)
    dummy = keys.dummy()
    assert dummy not in (FIRST, SECOND)
    ring.use(OTHER_KEK, KEK)
    assert keys.dummy() == dummy
    ring.use(OTHER_KEK)
    assert keys.dummy() == dummy
    assert keys.dummy() == dummy
