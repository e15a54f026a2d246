"""Keys and seals of wire version 1: AES only, so that it fits a small terminal's controller.

Key derivation is NIST SP 800-108 in counter mode with AES-256-CMAC as its function (32-bit counter first, then label, a
zero byte, context, and the length in bits as 32 bits). Cryptograms are AES-CMAC (RFC 4493), frames AES-128-GCM (SP
800-38D), a new root key travels under AES key wrap (RFC 3394). Randomness is passed in by the caller. The shape is that
of GlobalPlatform SCP03: the same standards on both ends of a terminal's life, and all of them proven in smart cards.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from protocol.errors import LocalProtocolError
from protocol.framing import TerminalNumber
from protocol.state import Role

ROOT_KEY_SIZE: Final = 32
KEY_SIZE: Final = 16
CHALLENGE_SIZE: Final = 16
ENROL_CODE_SIZE: Final = 16
WRAPPED_KEY_SIZE: Final = ROOT_KEY_SIZE + 8
"""A root key under AES key wrap: 8 bytes more, by which unwrapping notices another key or any change."""

LABEL_MAC: Final = b"FK1 mac"
LABEL_TERMINAL_TO_HOST: Final = b"FK1 t2h"
LABEL_HOST_TO_TERMINAL: Final = b"FK1 h2t"
LABEL_ENROL: Final = b"FK1 enrol"
LABEL_WRAP: Final = b"FK1 wrap"
LABEL_PIN: Final = b"FK1 pin"
LABEL_SAF: Final = b"FK1 saf"


def derive(key: bytes, label: bytes, context: bytes, size: int = KEY_SIZE) -> bytes:
    """SP 800-108 counter mode, PRF AES-CMAC keyed with the 32-byte `key`."""
    kdf = KBKDFCMAC(
        algorithm=algorithms.AES,
        mode=Mode.CounterMode,
        length=size,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=label,
        context=context,
        fixed=None,
    )
    return kdf.derive(key)


def root_key_from_enrol_code(code: bytes, terminal: TerminalNumber) -> bytes:
    """The root key that stands in for a terminal's own during the one session its one-time code opens.

    The 16-byte code is doubled to be a key of the derivation; all its 128 bits of entropy stay.
    """
    if len(code) != ENROL_CODE_SIZE:
        raise LocalProtocolError(f"enrolment code: expected {ENROL_CODE_SIZE} bytes, got {len(code)}")
    return derive(code + code, LABEL_ENROL, terminal.to_int().to_bytes(4, "big"), ROOT_KEY_SIZE)


def wrapping_key(root_key: bytes, terminal: TerminalNumber, key_version: int) -> bytes:
    """K_wrap, 32 bytes: under it the root key in force carries the next one, number `key_version`, to its terminal.

    The number is part of the derivation, so that what was wrapped as one version opens as no other.
    """
    context = terminal.to_int().to_bytes(4, "big") + key_version.to_bytes(2, "big")
    return derive(root_key, LABEL_WRAP, context, ROOT_KEY_SIZE)


def wrap_root_key(root_key: bytes, terminal: TerminalNumber, key_version: int, new_key: bytes) -> bytes:
    """The next root key as KeyAnswer carries it: 40 bytes, the same however often it is asked for (RFC 3394)."""
    if len(new_key) != ROOT_KEY_SIZE:
        raise LocalProtocolError(f"new root key: expected {ROOT_KEY_SIZE} bytes, got {len(new_key)}")
    return aes_key_wrap(wrapping_key(root_key, terminal, key_version), new_key)


def unwrap_root_key(root_key: bytes, terminal: TerminalNumber, key_version: int, wrapped: bytes) -> bytes | None:
    """The next root key; None if it was wrapped under another key, for another terminal or version, or changed."""
    if len(wrapped) != WRAPPED_KEY_SIZE:
        return None
    try:
        return aes_key_unwrap(wrapping_key(root_key, terminal, key_version), wrapped)
    except InvalidUnwrap:
        return None


def cryptogram(root_key: bytes, terminal: TerminalNumber, sender: Role, transcript: bytes) -> bytes:
    """CMAC(K_mac, role letter + transcript): "S" for the host, "T" for the terminal, so none can be reflected."""
    mac = CMAC(algorithms.AES(derive(root_key, LABEL_MAC, terminal.to_int().to_bytes(4, "big"))))
    mac.update((b"S" if sender is Role.HOST else b"T") + transcript)
    return mac.finalize()


def same_bytes(left: bytes, right: bytes) -> bool:
    """Comparison in constant time."""
    return hmac.compare_digest(left, right)


class Seal:
    """AES-128-GCM of one direction of one session. The nonce is 8 zero bytes and the frame's sequence number.

    Each direction has its own key and a sequence number is used once, so no nonce repeats under a key.
    """

    __slots__ = ("_gcm",)

    def __init__(self, key: bytes) -> None:
        self._gcm = AESGCM(key)

    def close(self, sequence: int, header: bytes, body: bytes) -> bytes:
        """Ciphertext and 16-byte tag of a body; the header is associated data."""
        return self._gcm.encrypt(sequence.to_bytes(12, "big"), body, header)

    def open(self, sequence: int, header: bytes, sealed: bytes) -> bytes | None:
        """The body in clear, or None if the tag does not verify."""
        try:
            return self._gcm.decrypt(sequence.to_bytes(12, "big"), sealed, header)
        except InvalidTag:
            return None


def session_seals(
    root_key: bytes, terminal: TerminalNumber, terminal_challenge: bytes, host_challenge: bytes
) -> dict[Role, Seal]:
    """The seal of each sender, from the root key and both challenges."""
    context = terminal.to_int().to_bytes(4, "big") + terminal_challenge + host_challenge
    return {
        Role.TERMINAL: Seal(derive(root_key, LABEL_TERMINAL_TO_HOST, context)),
        Role.HOST: Seal(derive(root_key, LABEL_HOST_TO_TERMINAL, context)),
    }


def pin_key(root_key: bytes, terminal: TerminalNumber, terminal_challenge: bytes, host_challenge: bytes) -> bytes:
    """K_pin of one session, 16 bytes: PIN blocks of ISO 9564-1 format 4 are made under it (`protocol.pin_block`)."""
    return derive(root_key, LABEL_PIN, terminal.to_int().to_bytes(4, "big") + terminal_challenge + host_challenge)


def saf_key(root_key: bytes, terminal: TerminalNumber) -> bytes:
    """K_saf, 16 bytes: the AES-CMAC chain over offline records is made under it, with or without a session."""
    return derive(root_key, LABEL_SAF, terminal.to_int().to_bytes(4, "big"))


def chain_tag(key: bytes, previous_tag: bytes, sequence: int, record: bytes) -> bytes:
    """CMAC(K_saf, previous tag + u32 sequence + record): the tag of one offline record, which binds all before it."""
    mac = CMAC(algorithms.AES(key))
    mac.update(previous_tag + sequence.to_bytes(4, "big") + record)
    return mac.finalize()
