"""The handshake: HELLO, CHALLENGE, AUTH, READY.

Mutual challenge-response in the shape of GlobalPlatform SCP03 (S16 mode).
`cryptogram` fields are filled in and checked by `protocol.connection`; callers leave them empty.
"""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout, Message, code2, octets, text, unsigned
from protocol.state import Kind

NO_CRYPTOGRAM: Final = bytes(16)


class Hello(Message, frozen=True, kw_only=True):
    """Terminal to host, first frame. The terminal's number stands in the header."""

    lowest_version: int = 1
    highest_version: int = 1
    key_version: int
    """Which of the terminal's root keys; 0 = a one-time enrolment code stands in for the key."""
    terminal_challenge: bytes
    last_epoch: int = 0
    last_saf_sequence: int = 0
    firmware: str = ""


class Challenge(Message, frozen=True, kw_only=True):
    """Host to terminal: the host proves itself first."""

    version: int = 1
    host_challenge: bytes
    host_time_ms: int
    epoch: int
    cryptogram: bytes = NO_CRYPTOGRAM


class Auth(Message, frozen=True, kw_only=True):
    """Terminal to host: the terminal proves itself."""

    cryptogram: bytes = NO_CRYPTOGRAM


class Ready(Message, frozen=True, kw_only=True):
    """Host to terminal, the first sealed frame: the session is open."""

    host_time_ms: int
    business_day: int
    config_version: int
    sale_limit_fen: int
    last_batch: int
    last_stan: int
    merchant_number: int
    merchant_name: str
    currency: int = 156
    history: int = 1
    restored_at_s: int = 0
    next_key_version: int = 0


class SignOffRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: this session ends on purpose. Anything after it is refused."""


class SignOffAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: nothing is outstanding; both ends close."""

    response_code: str = "00"


LAYOUTS: Final = (
    Layout(
        Hello,
        0x0800,
        0x90,
        "HELLO",
        [
            unsigned("lowest_version", 1, "lowest wire version the terminal speaks", low=1),
            unsigned("highest_version", 1, "highest wire version the terminal speaks", low=1),
            unsigned("key_version", 2, "which root key; 0 = one-time enrolment code"),
            octets("terminal_challenge", 16, "Rt: 16 fresh random bytes"),
            unsigned(
                "last_epoch", 4, "host epoch seen last, 0 at first; a lower one from the host means a rolled-back host"
            ),
            unsigned("last_saf_sequence", 4, "number of the newest record the terminal has made offline, 0 = none"),
            text("firmware", 16, "name and version of the terminal program, for the host's records"),
        ],
        kind=Kind.HELLO,
    ),
    Layout(
        Challenge,
        0x0810,
        0x90,
        "CHALLENGE",
        [
            unsigned("version", 1, "the wire version the host chose", low=1),
            octets("host_challenge", 16, "Rs: 16 fresh random bytes"),
            unsigned("host_time_ms", 8, "host clock, milliseconds since 1970-01-01 UTC"),
            unsigned("epoch", 4, "host epoch: grows with every start of the host"),
            octets("cryptogram", 16, 'CMAC(K_mac, "S" + transcript)'),
        ],
        kind=Kind.CHALLENGE,
    ),
    Layout(
        Auth,
        0x0800,
        0x91,
        "AUTH",
        [octets("cryptogram", 16, 'CMAC(K_mac, "T" + transcript)')],
        kind=Kind.AUTH,
    ),
    Layout(
        Ready,
        0x0810,
        0x91,
        "READY",
        [
            unsigned("host_time_ms", 8, "host clock, milliseconds since 1970-01-01 UTC; the terminal may show it"),
            unsigned("business_day", 4, "the open business day as YYYYMMDD"),
            unsigned("config_version", 4, "grows when parameters of this host change"),
            unsigned(
                "sale_limit_fen", 4, "largest sale the host accepts from this terminal; 0 = no limit but the field's"
            ),
            unsigned("last_batch", 3, "batch number of the newest transaction the host has of this terminal; 0 = none"),
            unsigned(
                "last_stan", 3, "its STAN; a terminal whose counters are behind has lost memory and must skip ahead"
            ),
            unsigned("merchant_number", 4, "the merchant this terminal sells for"),
            text("merchant_name", 48, "its name, for slips"),
            unsigned("currency", 2, "ISO 4217 number; 156 = yuan"),
            unsigned(
                "history",
                4,
                "counts how often the host's ledger was restored from a backup; a terminal that has not uploaded its"
                " records for this one does so",
                low=1,
            ),
            unsigned(
                "restored_at_s",
                4,
                "when it was restored last, host clock, seconds since 1970-01-01 UTC, 0 = never: tells two histories"
                " of one number apart",
            ),
            unsigned("next_key_version", 2, "a new root key is ready to be fetched; 0 = none"),
        ],
        kind=Kind.READY,
    ),
    Layout(SignOffRequest, 0x0800, 0x02, "sign-off", [], kind=Kind.SIGN_OFF),
    Layout(SignOffAnswer, 0x0810, 0x02, "sign-off answer", [code2("response_code", "00")], kind=Kind.SIGNED_OFF),
)
