"""What makes a terminal this terminal: its number, its key, where its host is. Written by enrolment as a key file.

The key file is JSON, readable by its owner alone:
{"terminal": "3-58", "key_version": 1, "root_key": "<64 hex digits>", "host": "127.0.0.1", "port": 4105}

While the root key is being changed, the next one stands beside it as next_key_version and next_root_key.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from protocol import TerminalNumber
from protocol.security import ROOT_KEY_SIZE

Language = Literal["zh", "en"]
LANGUAGES: Final = ("zh", "en")
PROFILES: Final = ("", "canteen", "member")
DEFAULT_PORT: Final = 4105
PORT_MAX: Final = 0xFFFF
OPERATOR_MAX: Final = 0xFFFF
FIRMWARE: Final = "fanka-term 1"
"""What this terminal is, for the host and for whoever asks at the keypad."""
MODE_SECRET: Final = 0o600
EXPECTED: Final = "expected a key file as `fanka admin terminal enrol --out` writes it"


class SettingsError(ValueError):
    """A key file or a settings value that cannot be used; the text says which, what was expected and what came."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen settings of one terminal. `root_key` and `next_root_key` are secrets and stay out of repr()."""

    terminal: TerminalNumber
    root_key: bytes
    key_version: int
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    language: Language = "zh"
    serial_number: str = ""
    operator: int = 0
    profile: str = ""
    """What the keys at rest mean: canteen, member, or as the host says."""
    sign_on_required: bool | None = None
    """Whether somebody has to sign on before anything is sold; None: in the member profile alone."""
    next_root_key: bytes = b""
    """The root key that was fetched and is not proved yet; empty if there is none."""
    next_key_version: int = 0

    def __post_init__(self) -> None:
        if len(self.root_key) != ROOT_KEY_SIZE:
            raise SettingsError(f"root_key: expected {ROOT_KEY_SIZE} bytes, got {len(self.root_key)}: enrol again")
        if not 0 <= self.key_version <= 0xFFFF:
            raise SettingsError(f"key_version: expected 0..65535, got {self.key_version}")
        if len(self.next_root_key) != (ROOT_KEY_SIZE if self.next_key_version else 0):
            raise SettingsError(
                f"next_root_key: expected {ROOT_KEY_SIZE} bytes with a next_key_version and none without,"
                f" got {len(self.next_root_key)}"
            )
        if self.next_key_version and not self.key_version < self.next_key_version <= 0xFFFF:
            raise SettingsError(
                f"next_key_version: expected {self.key_version + 1}..65535, got {self.next_key_version}"
            )
        if not 0 < self.port <= PORT_MAX:
            raise SettingsError(f"port: expected 1..{PORT_MAX}, got {self.port}")
        if self.language not in LANGUAGES:
            raise SettingsError(f"language: expected zh or en, got {self.language!r}")
        if self.profile not in PROFILES:
            raise SettingsError(f"profile: expected canteen, member or nothing, got {self.profile!r}")
        if self.sign_on_required not in (None, True, False):
            raise SettingsError(f"sign_on_required: expected true, false or null, got {self.sign_on_required!r}")
        if not 0 <= self.operator <= OPERATOR_MAX:
            raise SettingsError(f"operator: expected 0..{OPERATOR_MAX}, got {self.operator}")

    def __repr__(self) -> str:
        return f"<Settings of {self.terminal} at {self.host}:{self.port}, key version {self.key_version}>"


def settings_from_json(text: str, where: str) -> Settings:
    """Read a key file's text; SettingsError names `where` and the field."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SettingsError(f"{where}: {EXPECTED}, got {'other JSON' if found is not None else 'no JSON'}")
    try:
        values: dict[str, Any] = dict(found)
        unknown = values.keys() - set(Settings.__struct_fields__)
        if unknown:
            raise SettingsError(f"unknown field {min(unknown)!r}")
        values["terminal"] = TerminalNumber.parse(values["terminal"])
        values["root_key"] = bytes.fromhex(values["root_key"])
        values["next_root_key"] = bytes.fromhex(values.get("next_root_key", ""))
        for name in ("key_version", "port", "operator", "next_key_version"):
            if name in values and type(values[name]) is not int:
                raise SettingsError(f"{name}: expected a whole number, got {values[name]!r}")
        return Settings(**values)
    except KeyError as missing:
        raise SettingsError(f"{where}: field {missing} is missing: write the file anew with `fanka admin`") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"{where}: {error}") from None


def settings_to_json(settings: Settings) -> str:
    """The key file's text."""
    values = msgspec.structs.asdict(settings)
    values["terminal"] = str(settings.terminal)
    values["root_key"] = settings.root_key.hex()
    if settings.next_key_version:
        values["next_root_key"] = settings.next_root_key.hex()
    else:
        del values["next_root_key"], values["next_key_version"]
    if not settings.profile:
        del values["profile"]
    if settings.sign_on_required is None:
        del values["sign_on_required"]
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def read_settings(path: Path) -> Settings:
    """Read a key file. SettingsError if it cannot be used, OSError if it cannot be read.

    Its name is made durable first: the program before may have been killed, or failed, right after it replaced the
    file. A key that the host has seen in use must not be gone again after a power cut.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: {EXPECTED}, got bytes that are no text") from None
    found = settings_from_json(text, str(path))
    sync_folder(path.parent)
    return found


def write_settings(path: Path, settings: Settings) -> None:
    """Write a key file so that after a crash either the old or the new one is there, whole; mode 0600."""
    write_atomically(path, settings_to_json(settings).encode("utf-8"))


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file: temporary file, fsync, rename, fsync of the folder."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE_SECRET)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
