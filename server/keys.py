"""Terminal keys at rest: wrapped under the folder's key-encryption key (KEK) with AES key wrap, RFC 3394.

The ledger holds only wrapped keys, the KEK stands in a file of its own: either one alone is useless to a thief. While
keys are being re-wrapped under a new KEK (`server.operations.keys`) both are needed: the ledger says by fingerprint
which, in two rows of `meta`.
"""

from __future__ import annotations

import contextlib
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from protocol.security import same_bytes
from server.kek_files import KEK_SIZE, KekFiles, KeyFault, fingerprint_of, load_kek
from server.ledger.registry import Registry

__all__ = [
    "KEK_SIZE",
    "KekFiles",
    "KeyFault",
    "KeyRing",
    "bind_kek",
    "coming_fingerprint",
    "fingerprint_of",
    "known_fingerprint",
    "load_kek",
]

IN_FORCE: Final = "kek_fingerprint"
COMING: Final = "kek_next_fingerprint"
"""Rows of `meta`: under which KEK keys are wrapped, and under which they are being re-wrapped."""


class KeyRing:
    """Wraps and unwraps terminal keys and enrolment codes. repr() shows nothing of the KEK.

    Wraps under its first KEK and unwraps under any it has. May be used by two threads: what it holds is one value.
    """

    def __init__(self, kek: bytes, *older: bytes, files: KekFiles | None = None) -> None:
        self.files = files
        """Where KEKs are kept; None in tests that have none."""
        self._keks: tuple[bytes, ...] = ()
        self.use(kek, *older)

    @classmethod
    def of(cls, files: KekFiles) -> KeyRing:
        """With the KEK in kek.key. Raises KeyFault."""
        return cls(files.load(), files=files)

    def use(self, kek: bytes, *older: bytes) -> None:
        """From now on wrap under `kek`, and unwrap under all of them."""
        for one in (kek, *older):
            if len(one) != KEK_SIZE:
                raise KeyFault(f"key-encryption key: expected {KEK_SIZE} bytes, got {len(one)}")
        self._keks = (kek, *older)

    def __repr__(self) -> str:
        return "<KeyRing>"

    def wrap(self, key: bytes) -> bytes:
        """16 or 32 bytes of key become 24 or 40 bytes for the database."""
        return aes_key_wrap(self._keks[0], key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key again; KeyFault if it was wrapped under another KEK or has been tampered with."""
        for kek in self._keks:
            with contextlib.suppress(InvalidUnwrap, ValueError):
                return aes_key_unwrap(kek, wrapped)
        raise KeyFault(
            "a terminal's key does not unwrap: expected one wrapped under this folder's kek.key; is it the right file?"
        )

    def same(self, wrapped: bytes, other: bytes) -> bool:
        """Whether both hold the same secret, also if it has been re-wrapped between."""
        if same_bytes(wrapped, other):
            return True
        try:
            return same_bytes(self.unwrap(wrapped), self.unwrap(other))
        except KeyFault:
            return False

    @property
    def fingerprint(self) -> str:
        """That of the KEK it wraps under."""
        return fingerprint_of(self._keks[0])

    def choose(self, in_force: str, coming: str | None) -> None:
        """Take the KEKs with these fingerprints, from its files if need be. KeyFault names the one that is missing."""
        known = {fingerprint_of(kek): kek for kek in self._keks}
        chosen = []
        for wanted in [coming, in_force] if coming else [in_force]:
            kek = known.get(wanted) or (self.files.find(wanted) if self.files is not None else None)
            if kek is None:
                more = ", while keys are being re-wrapped under another," if coming else ""
                raise KeyFault(
                    f"kek.key: expected the key-encryption key with fingerprint {wanted}, got {self.fingerprint};"
                    f"{more} put back the kek.key that belongs to this ledger"
                )
            chosen.append(kek)
        self.use(*chosen)


def known_fingerprint(registry: Registry) -> str | None:
    """The fingerprint of the KEK the ledger's keys are wrapped under; None before the first start."""
    return registry.meta(IN_FORCE)


def coming_fingerprint(registry: Registry) -> str | None:
    """That of the KEK they are being re-wrapped under; None if they are not."""
    return registry.meta(COMING)


def bind_kek(registry: Registry, keys: KeyRing) -> None:
    """Tie the ledger to its KEK at first use, and ever after take the KEKs it needs, or raise KeyFault."""
    known = known_fingerprint(registry)
    if known is None:
        with registry.store.transaction():
            registry.set_meta(IN_FORCE, keys.fingerprint)
        return
    coming = coming_fingerprint(registry)
    keys.choose(known, coming)
    if coming is None and keys.files is not None and (kek := keys.files.find(known)) is not None:
        # What a kill has kept from being tidied up. It can wait for the next start: the file is found wherever it is.
        with contextlib.suppress(OSError):
            keys.files.settle(kek)
