"""Any text as fanka.toml: a Config within its own limits, or ConfigError in one line that names the file."""

from __future__ import annotations

import msgspec

from server.config import Config, ConfigError, parse_config, settings
from tests.fuzz.target import Target

PLACES = {f"{setting.table}.{setting.key}" for setting in settings()} | {setting.table for setting in settings()}


def run(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "no text"
    try:
        config = parse_config(text, "x.toml")
    except ConfigError as error:
        assert str(error).startswith("x.toml: "), error
        assert len(str(error)) < 2000 + 20 * len(text)
        place = str(error).removeprefix("x.toml: ").split(":")[0]
        return f"refused {place if place in PLACES else 'otherwise'}"
    again = msgspec.convert(msgspec.to_builtins(config), Config)
    assert again == config
    return "taken, default" if config == Config() else "taken"


def seeds() -> list[bytes]:
    found = []
    for setting in settings():
        value = getattr(getattr(Config(), setting.table), setting.key)
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        found.append(f"[{setting.table}]\n{setting.key} = {shown}\n".encode())
    return [b"", *found, b"[listen]\nport = 4106\n", b"[day]\nstarts_at = '24:00'\n", b"[lsten]\nport = 1\n", b"x = "]


WORDS = (
    *{f"[{setting.table}]\n".encode() for setting in settings()},
    *(f"{setting.key} = ".encode() for setting in settings()),
    *(
        b"nan",
        b"inf",
        b"-1",
        b"1e999",
        b"0x10",
        b"1979-05-27",
        b'"""',
        b"'",
        b"{",
        b"}",
        b"[[",
        b"]]",
        b"\n",
        b"9" * 40,
    ),
    *(b"[" * 40, b"a." * 40, b'"::"', b'"0.0.0.0"', "．".encode()),
)
TARGET = Target(run, seeds, words=tuple(sorted(WORDS)), share=0.5)
