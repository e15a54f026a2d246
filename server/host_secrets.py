"""The host's own secret, from which the keys of PIN verifiers, of passwords and of payment codes are derived.

It stands in the ledger wrapped under the key-encryption key (KEK), as every terminal's key does: a thief needs the
ledger and kek.key both, and whoever restores a ledger from an old backup has the secret that its verifiers were made
with. A PIN has a million values at most: what protects it is that nobody can try them without this secret.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from server.keys import KeyRing
from server.ledger.registry import Registry

SECRET_SIZE: Final = 32
ROW: Final = "host_secret"
"""Row of `meta`: the secret wrapped under the KEK, in hex."""

LABEL_PIN: Final = b"FK host pin"
LABEL_PASSWORD: Final = b"FK host password"
LABEL_CODE: Final = b"FK host payment code"


class HostSecrets:
    """See the module's docstring. repr() shows nothing of it."""

    def __init__(self, secret: bytes) -> None:
        self._pin_key = hmac.digest(secret, LABEL_PIN, sha256)
        self._password_key = hmac.digest(secret, LABEL_PASSWORD, sha256)
        self._code_key = hmac.digest(secret, LABEL_CODE, sha256)

    def __repr__(self) -> str:
        return "<HostSecrets>"

    def pin_verifier(self, token: bytes, pin: str) -> bytes:
        """What the ledger keeps of a card's PIN, and compares a keyed one with."""
        return hmac.digest(self._pin_key, bytes([len(token)]) + token + pin.encode("ascii"), sha256)

    def password_verifier(self, merchant_id: int, operator: int, password: str) -> bytes:
        """What the ledger keeps of the password of one of a merchant's operators."""
        owner = merchant_id.to_bytes(4, "big") + operator.to_bytes(4, "big")
        return hmac.digest(self._password_key, owner + password.encode("utf-8"), sha256)

    def code_secret(self, number: str) -> bytes:
        """The secret of a virtual card's payment codes: what its phone is given when it is set up."""
        return hmac.digest(self._code_key, number.encode("ascii"), sha256)


def bind_secrets(registry: Registry, keys: KeyRing, random_bytes: Callable[[int], bytes]) -> HostSecrets:
    """The secret of this ledger, made at first use. KeyFault if it does not unwrap under the KEKs there are."""
    wrapped = registry.meta(ROW)
    if wrapped is not None:
        return HostSecrets(keys.unwrap(bytes.fromhex(wrapped)))
    secret = random_bytes(SECRET_SIZE)
    with registry.store.transaction():
        registry.set_meta(ROW, keys.wrap(secret).hex())
    return HostSecrets(secret)


def wrap_secret_anew(registry: Registry, keys: KeyRing) -> None:
    """Put the secret under the KEK that `keys` wraps under. Inside the transaction that puts that KEK in force."""
    wrapped = registry.meta(ROW)
    if wrapped is not None:
        registry.set_meta(ROW, keys.wrap(keys.unwrap(bytes.fromhex(wrapped))).hex())
