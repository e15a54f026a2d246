"""Any key file: Settings that write it again, or SettingsError; any wrapped key or KEK: itself, or KeyFault; no leak.

No secret is in what is said.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from server.keys import KeyFault, KeyRing, load_kek
from terminal_emulator.settings import SettingsError, settings_from_json, settings_to_json
from tests.fuzz.target import Target

KEK = bytes(range(32))
SECRET = re.compile(r"[0-9a-fA-F]{24,}")
RING = KeyRing(KEK)
_folder = tempfile.TemporaryDirectory(prefix="fanka-fuzz-")


def terminal_settings(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "no text"
    try:
        settings = settings_from_json(text, "x.json")
    except SettingsError as error:
        assert str(error).startswith("x.json: ")
        return "refused " + re.sub(r"[^a-z_ ].*", "", str(error)[8:])[:24]
    assert settings_from_json(settings_to_json(settings), "again") == settings
    assert settings.root_key.hex() not in repr(settings)
    return "settings"


def wrapped_key(data: bytes) -> str:
    try:
        key = RING.unwrap(data)
    except KeyFault as error:
        assert not SECRET.search(str(error))
        return "no wrapped key"
    assert RING.wrap(key) == data
    return "unwrapped"


def kek_file(data: bytes) -> str:
    path = Path(_folder.name) / "kek.key"
    path.touch(mode=0o600)
    path.write_bytes(data)
    try:
        kek = load_kek(path)
    except KeyFault as error:
        assert not SECRET.search(str(error).replace(_folder.name, ""))
        return "no KEK"
    assert len(kek) == 32
    assert kek.hex() not in repr(KeyRing(kek))
    return "KEK"


def run(data: bytes) -> str:
    kind, rest = data[0] % 3 if data else 0, data[1:]
    return (terminal_settings, wrapped_key, kek_file)[kind](rest)


def seeds() -> list[bytes]:
    good = b'{"terminal": "3-58", "key_version": 1, "root_key": "%s", "host": "::1", "port": 4105}' % KEK.hex().encode()
    return [
        b"\0" + good,
        b"\0" + good.replace(b"}", b', "language": "en", "serial_number": "A", "operator": 7}'),
        b"\0{}",
        b"\0[]",
        b"\1" + RING.wrap(bytes(32)),
        b"\1" + RING.wrap(bytes(16)),
        b"\2" + KEK.hex().encode() + b"\n",
        b"\2" + KEK.hex().encode()[:-2],
    ]


WORDS = (
    *(b'"terminal": ', b'"key_version": ', b'"root_key": ', b'"host": ', b'"port": ', b'"language": ', b'"operator": '),
    *(b"null", b"true", b"NaN", b"1e999", b"-1", b"65536", b'"zh"', b'"\\ud800"', b"[" * 40, b", ", b"9" * 5000, b"\0"),
)
TARGET = Target(run, seeds, words=WORDS, share=0.5)
