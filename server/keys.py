"""Terminal keys at rest: wrapped under the folder's key-encryption key (KEK) with AES key wrap, RFC 3394.

The ledger holds only wrapped keys, the KEK stands in a file of its own: either one alone is useless to a thief.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from server.ledger.registry import Registry

KEK_SIZE: Final = 32
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_META_NAME: Final = "kek_fingerprint"


class KeyFault(Exception):
    """The key-encryption key is missing, malformed, readable by others, or not this ledger's. Says what to do."""


def load_kek(path: Path) -> bytes:
    """Read a KEK file: 64 hex digits, readable by its owner alone. Raises KeyFault."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise KeyFault(
            f"{path}: expected the key-encryption key, found no file; restore it from the backup of the keys:"
            " without it every terminal has to be enrolled again"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFault(f"{path}: expected {2 * KEK_SIZE} hex digits, cannot read them: {error}") from None
    if mode & OTHERS:
        raise KeyFault(
            f"{path}: expected permissions 0600 (owner only), got {stat.S_IMODE(mode):04o}; run chmod 600 {path}"
        )
    try:
        kek = bytes.fromhex(text)
    except ValueError:
        raise KeyFault(f"{path}: expected {2 * KEK_SIZE} hex digits, got other characters; restore the file") from None
    if len(kek) != KEK_SIZE:
        raise KeyFault(f"{path}: expected {2 * KEK_SIZE} hex digits, got {2 * len(kek)}; restore the file")
    return kek


class KeyRing:
    """Wraps and unwraps terminal keys and enrolment codes. repr() shows nothing of the KEK."""

    def __init__(self, kek: bytes) -> None:
        if len(kek) != KEK_SIZE:
            raise KeyFault(f"key-encryption key: expected {KEK_SIZE} bytes, got {len(kek)}")
        self._kek = kek

    def __repr__(self) -> str:
        return "<KeyRing>"

    def wrap(self, key: bytes) -> bytes:
        """16 or 32 bytes of key become 24 or 40 bytes for the database."""
        return aes_key_wrap(self._kek, key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key again; KeyFault if it was wrapped under another KEK or has been tampered with."""
        try:
            return aes_key_unwrap(self._kek, wrapped)
        except (InvalidUnwrap, ValueError):
            raise KeyFault(
                "a terminal's key does not unwrap: expected one wrapped under this folder's kek.key;"
                " is it the right file?"
            ) from None

    @property
    def fingerprint(self) -> str:
        """Tells two KEKs apart and gives nothing away."""
        return hashlib.sha256(b"FK kek fingerprint" + self._kek).hexdigest()[:16]


def known_fingerprint(registry: Registry) -> str | None:
    """The fingerprint of the KEK the ledger's keys are wrapped under; None before the first start."""
    return registry.meta(_META_NAME)


def bind_kek(registry: Registry, keys: KeyRing) -> None:
    """Tie the ledger to its KEK at first use, and ever after raise KeyFault when another one is put in its place."""
    known = known_fingerprint(registry)
    if known is None:
        with registry.store.transaction():
            registry.set_meta(_META_NAME, keys.fingerprint)
    elif known != keys.fingerprint:
        raise KeyFault(
            f"kek.key: expected the key-encryption key with fingerprint {known}, got {keys.fingerprint};"
            " put back the kek.key that belongs to this ledger"
        )
