"""The files of key-encryption keys (KEK) in a data folder, and how one takes another's place.

    kek.key                    the KEK in force
    kek.key.new                the next one, while keys are being re-wrapped under it
    kek.key.FINGERPRINT.old    one that was in force once: backups of its time open with it and with no other

The ledger says by fingerprint which KEKs it needs; which of these files holds one does not matter. So a kill between
any two steps leaves nothing to be repaired, and a ledger restored from an old backup finds its KEK if it was kept.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server.folder import sync_folder, write_new

KEK_SIZE: Final = 32
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


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
    except PermissionError:
        raise KeyFault(f"{path}: cannot be read: permission denied: look at its owner and permissions") from None
    except (OSError, UnicodeDecodeError) as error:
        # The error of a decoder shows the bytes it met: they may be those of a key.
        why = error if isinstance(error, OSError) else "they are no ASCII text"
        raise KeyFault(f"{path}: expected {2 * KEK_SIZE} hex digits, cannot read them: {why}") from None
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


def fingerprint_of(kek: bytes) -> str:
    """Tells two KEKs apart and gives nothing away."""
    return hashlib.sha256(b"FK kek fingerprint" + kek).hexdigest()[:16]


class KekFiles:
    """See the module's docstring. `path` is that of kek.key. Writing needs the folder's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.next_path = path.with_name(path.name + ".new")

    def load(self) -> bytes:
        """The KEK in kek.key. Raises KeyFault."""
        return load_kek(self.path)

    def find(self, fingerprint: str) -> bytes | None:
        """The KEK with this fingerprint, in whatever file it is; None if in none that can be read."""
        for path in (self.path, self.next_path, *self.retired()):
            try:
                kek = load_kek(path)
            except KeyFault:
                continue
            if fingerprint_of(kek) == fingerprint:
                return kek
        return None

    def retired(self) -> list[Path]:
        """Files of KEKs that were in force once."""
        return sorted(self.path.parent.glob(f"{self.path.name}.*.old"))

    def make_next(self, random_bytes: Callable[[int], bytes]) -> bytes:
        """A KEK in kek.key.new: the one that an attempt before has left there, else a fresh one. On the disk when this
        returns. Raises KeyFault, OSError."""
        if self.next_path.exists():
            kek = load_kek(self.next_path)
            if kek != self.load():
                sync_folder(self.path.parent)  # the attempt may have been killed before its name was durable
                return kek
        kek = random_bytes(KEK_SIZE)
        self._write(self.next_path, kek)
        return kek

    def settle(self, kek: bytes) -> None:
        """Make this the KEK in kek.key and keep the one that was there as retired. Raises KeyFault, OSError."""
        before = self.load()
        if before == kek:
            return
        retired = self.path.with_name(f"{self.path.name}.{fingerprint_of(before)}.old")
        if not retired.exists():
            self._write(retired, before)
        if self.next_path.exists() and load_kek(self.next_path) == kek:
            self.next_path.replace(self.path)
            sync_folder(self.path.parent)
        else:  # a ledger restored from a backup: its KEK is a retired one
            self._write(self.path, kek)

    def _write(self, path: Path, kek: bytes) -> None:
        """A file for its owner alone, whole or not at all."""
        unfinished = path.with_name(path.name + ".writing")
        unfinished.unlink(missing_ok=True)
        write_new(unfinished, kek.hex() + "\n")
        unfinished.replace(path)
        sync_folder(self.path.parent)
