"""The host's own secret: the same for ever, wrapped at rest, and different keys for different uses."""

import random

import pytest

from server.host_secrets import ROW, HostSecrets, bind_secrets
from server.keys import KeyFault, KeyRing
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore

KEK = bytes(range(32))
TOKEN = bytes.fromhex("04a1b2c3")


@pytest.fixture
def registry():
    store = SqliteStore(":memory:")
    yield Registry(store)
    store.close()


def test_it_is_made_once_and_wrapped(registry):
    made = bind_secrets(registry, KeyRing(KEK), random.Random(1).randbytes)
    again = bind_secrets(registry, KeyRing(KEK), random.Random(2).randbytes)
    assert made.pin_verifier(TOKEN, "1234") == again.pin_verifier(TOKEN, "1234")
    secret = random.Random(1).randbytes(32)
    assert KeyRing(KEK).unwrap(bytes.fromhex(registry.meta(ROW))) == secret
    assert secret.hex() not in registry.meta(ROW)
    assert HostSecrets(secret).pin_verifier(TOKEN, "1234") == made.pin_verifier(TOKEN, "1234")


def test_another_kek_does_not_open_it(registry):
    bind_secrets(registry, KeyRing(KEK), random.Random(1).randbytes)
    with pytest.raises(KeyFault):
        bind_secrets(registry, KeyRing(bytes(32)), random.Random(1).randbytes)


def test_no_verifier_is_good_for_anything_else():
    secrets = HostSecrets(bytes(32))
    found = {
        secrets.pin_verifier(TOKEN, "123456"),
        secrets.pin_verifier(TOKEN, "123457"),
        secrets.pin_verifier(TOKEN + b"1", "23456"),
        secrets.pin_verifier(b"\x04", "123456"),
        secrets.password_verifier(1, 0, "123456"),
        secrets.password_verifier(1, 1, "123456"),
        secrets.password_verifier(2, 0, "123456"),
        secrets.code_secret("0000000001"),
        secrets.code_secret("0000000002"),
        HostSecrets(bytes(31) + b"1").pin_verifier(TOKEN, "123456"),
    }
    assert len(found) == 10
    assert repr(secrets) == "<HostSecrets>"
