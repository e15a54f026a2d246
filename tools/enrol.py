"""What `fanka admin terminal enrol` hands out: key files, ranges of them, one-time codes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from protocol import TerminalNumber
from server.config import load_config
from server.folder import DataFolder
from terminal_emulator.settings import Settings, write_settings
from tools.faults import InputError

EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - to recognise it, not to listen on it
"""What a host listens on to be reached everywhere; a terminal needs an address to go to."""
THIS_MACHINE: Final = "127.0.0.1"


def parse_range(text: str) -> tuple[TerminalNumber, int]:
    """`3-58` as (3-58, 1), `3-1..3-500` as (3-1, 500). InputError otherwise."""
    first_text, dots, last_text = text.partition("..")
    try:
        first = TerminalNumber.parse(first_text)
        last = TerminalNumber.parse(last_text) if dots else first
    except ValueError as error:
        raise InputError(str(error)) from None
    if last.group != first.group or last.device < first.device:
        raise InputError(f"terminal range: expected growing device numbers of one group, like 3-1..3-500; got {text!r}")
    return first, last.device - first.device + 1


def check_out(out: Path, *, is_folder: bool) -> None:
    """Find out before a key is made whether it can be written; a folder is created."""
    if is_folder:
        if out.exists() and not out.is_dir():
            raise InputError(f"{out}: expected a folder for the key files of a range, got a file")
        out.mkdir(parents=True, exist_ok=True)
    elif out.is_dir() or not out.parent.is_dir():
        raise InputError(f"{out}: expected the name of a key file in a folder that exists")
    if not os.access(out if is_folder else out.parent, os.W_OK):
        raise InputError(f"{out}: expected a place that can be written to")


def write_key_files(
    enrolled: list[dict[str, Any]],
    out: Path,
    folder: DataFolder,
    *,
    is_folder: bool,
    host: str | None,
    port: int | None,
    serial: str,
) -> list[dict[str, Any]]:
    """Write each terminal's key file; what was written where, without the keys."""
    listen = load_config(folder.config_path).listen
    written = []
    for row in enrolled:
        settings = Settings(
            terminal=TerminalNumber.parse(row["terminal"]),
            root_key=bytes.fromhex(row["root_key"]),
            key_version=row["key_version"],
            host=host or (THIS_MACHINE if listen.host in EVERY_ADDRESS else listen.host),
            port=port or listen.port or 4105,
            serial_number=serial,
        )
        path = out / f"{settings.terminal}.json" if is_folder else out
        write_settings(path, settings)
        written.append({"terminal": row["terminal"], "key_version": row["key_version"], "file": str(path)})
    return written


def spaced(code: str) -> str:
    """A code in groups of four, as it is read out and typed."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4)).upper()


def print_qr(offered: dict[str, Any]) -> None:
    """The code as a QR code of text characters: number and code, to be scanned at the terminal."""
    import segno

    segno.make(f"FANKA:{offered['terminal']}:{offered['code'].upper()}", micro=False).terminal(compact=True)
