"""`fanka terminal`: one terminal, on the screen or operated by a script. Here its parts are put together.

A terminal lives in a place: a key file as `fanka admin terminal enrol --out FILE` writes it, with its memory in a
folder beside it (FILE.memory), or a folder that holds both (key.json and memory/).
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import trio
from cyclopts import Parameter

from protocol import TerminalNumber
from protocol.security import ENROL_CODE_SIZE
from terminal_emulator.brain import Brain
from terminal_emulator.escpos import escpos as escpos_bytes
from terminal_emulator.face import MAX_CARDS
from terminal_emulator.file_storage import FileStorage
from terminal_emulator.machine import Machine
from terminal_emulator.outlet import Outlet
from terminal_emulator.player import ScriptFailure, run_script
from terminal_emulator.printer import Paper
from terminal_emulator.rotation import Keep
from terminal_emulator.script import Code, Names, ScriptSyntaxError, Step, parse_script, parse_uid
from terminal_emulator.settings import DEFAULT_PORT, Settings, SettingsError, read_settings, write_settings
from terminal_emulator.slip import Slip
from terminal_emulator.storage import StorageError
from terminal_emulator.terminal import EnrolError, enrol
from tools.options import Data, admin_channel
from tools.os_errors import leave
from tools.pictures import read_picture
from tools.words import counted

KEY_FILE_NAME: Final = "key.json"
MEMORY_NAME: Final = "memory"
QR_PREFIX: Final = "FANKA:"
NOT_FULFILLED: Final = 1
"""Exit code of a script whose expectation was not fulfilled."""
USAGE: Final = 2
"""Exit code when something outside is wrong: a file, a setting, a code. The message says what to do."""


class UsageError(ValueError):
    """An option that cannot be used; says what was expected."""


def terminal(
    place: Path,
    /,
    *,
    host: str | None = None,
    port: int | None = None,
    language: Literal["zh", "en"] | None = None,
    card: Annotated[list[str] | None, Parameter(negative="")] = None,
    virtual: Annotated[list[str] | None, Parameter(negative="")] = None,
    data: Data = None,
    script: Path | None = None,
    show: Annotated[bool, Parameter(negative="")] = False,
    printer: Path | None = None,
    escpos: Path | None = None,
    bell: Annotated[bool, Parameter(negative="")] = False,
    enrol_code: str | None = None,
    number: str | None = None,
    serial_number: str = "",
) -> None:
    """Run one terminal: on this screen, with keyboard and mouse, or with --script without a screen.

    Parameters
    ----------
    place
        Its key file (its memory is kept beside it), or a folder that holds key.json and memory/.
    host
        Address of the host; default: what the key file says.
    port
        Its TCP port; default: what the key file says.
    language
        What LCD and slips speak, zh or en; default: what the key file says.
    card
        A card to tap, as NAME=UID (hex digits); several may be given. Scripts may tap it by name.
    virtual
        A virtual card to scan by name, as NAME=CARD (its number or its holder's student number); wants --data. Several
        may be given; only with --script.
    data
        The data folder of the host on this machine that knows the virtual cards.
    script
        Run this file of keys, taps and expectations, then end: 0 all fulfilled, 1 not, 2 the script cannot be read.
    show
        With --script: print the LCD key by key.
    printer
        Append every slip to this file, as plain text.
    escpos
        Append every slip to this file or printer device, as ESC/POS bytes with Chinese in GBK.
    bell
        Ring the bell of this window when the terminal beeps.
    enrol_code
        First trade this one-time code for the terminal's key, and write the key file. Wants --number.
    number
        The terminal's number for --enrol-code, such as 3-58.
    serial_number
        Its serial number for --enrol-code, if the code was made for one.
    """
    with explained():
        cards = [read_card(text) for text in card or []]
        codes = dict(read_virtual(text, data) for text in virtual or [])
        known = Names(dict(cards), codes, read_picture)
        steps = None if script is None else parse_script(read_script(script), str(script), known)
        paper = paper_of(printer, escpos)
        key_file, memory = find_place(place)
        if enrol_code is not None:
            address = (host or "127.0.0.1", port or DEFAULT_PORT)
            check_memory(memory, key_file, read_enrol_code(enrol_code, number)[0])
            trio.run(enrol_into, key_file, enrol_code, number, serial_number, address)
        if steps is None and len(cards) > MAX_CARDS:
            raise UsageError(f"--card: expected at most {MAX_CARDS} cards on the screen, got {len(cards)}")
        if steps is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("expected a window with keyboard and screen, got none: use --script FILE without one")
        start = partial(powered, key_file, memory, partial(choose, host=host, port=port, language=language), paper)
        if steps is None:
            with start() as machine:
                trio.run(partial(run_screen_on, machine, cards, bell=bell))
        else:
            outlet = Outlet(start)
            trio.run(run_with_script, outlet, steps, print if show else None)
            machine = outlet.machine
        if machine.unresolved:
            kept = counted(machine.unresolved, "transaction")
            print(f"kept, to be resolved at the next start: {kept} without a final state", file=sys.stderr)


@contextmanager
def powered(
    key_file: Path, memory: Path, chosen: Callable[[Settings], Settings], paper: Paper | None
) -> Iterator[Machine]:
    """A terminal as its key file and its memory have it at this moment; also after each restart."""
    filed = read_key_file(key_file)
    storage = FileStorage(memory)
    if storage.torn:
        # Whoever wrote it was cut off before it counted: nothing was sent on the strength of it.
        print(f"{memory}: dropped {counted(storage.torn, 'byte')} of an unfinished last entry", file=sys.stderr)
    if storage.owner not in (None, filed.terminal) and storage.is_settled:
        whose = f"the settled memory of terminal {storage.owner}"
        print(f"{memory}: {whose} begins anew as that of terminal {filed.terminal}", file=sys.stderr)
    try:
        brain = Brain(chosen(filed), storage, jitter=secrets.SystemRandom().random)
        yield machine_of(brain, paper, partial(keep_keys, key_file, filed))
    finally:
        storage.close()


def keep_keys(key_file: Path, filed: Settings, settings: Settings) -> None:
    """Write new keys, or a new number, into the key file; what the command line says instead of it stays out of it."""
    write_settings(
        key_file,
        msgspec.structs.replace(
            filed,
            terminal=settings.terminal,
            root_key=settings.root_key,
            key_version=settings.key_version,
            next_root_key=settings.next_root_key,
            next_key_version=settings.next_key_version,
        ),
    )


def machine_of(brain: Brain, paper: Paper | None = None, keep: Keep | None = None) -> Machine:
    """A machine on the real network, with the real clock and real randomness."""
    settings = brain.settings
    return Machine(
        brain,
        open_stream=partial(trio.open_tcp_stream, settings.host, settings.port),
        random_bytes=secrets.token_bytes,
        wall_clock=time.time,
        paper=paper,
        keep_settings=keep,
    )


async def run_with_script(outlet: Outlet, steps: list[Step], show: Callable[[str], None] | None = None) -> None:
    """Run a terminal until its script has ended; ScriptFailure, in an exception group, if it was not fulfilled."""
    async with trio.open_nursery() as nursery:
        await nursery.start(outlet.run)
        await run_script(outlet, steps, show)
        nursery.cancel_scope.cancel()


async def run_screen_on(machine: Machine, cards: Sequence[tuple[str, bytes]], *, bell: bool) -> None:
    """Run a terminal on this screen until somebody quits."""
    from terminal_emulator.screen import run_screen  # urwid is for screens only

    await run_screen(machine, cards, bell=bell, read_picture=read_picture)


def check_memory(memory: Path, key_file: Path, terminal: TerminalNumber) -> None:
    """StorageError, before a code is used up and the old key written over, if this memory is another terminal's."""
    if not memory.exists():
        return
    storage = FileStorage(memory)
    try:
        if storage.owner is None and key_file.exists():
            storage.claim(read_settings(key_file).terminal)  # it was written before memories named their terminal
        storage.check_owner(terminal)
    finally:
        storage.close()


async def enrol_into(
    key_file: Path, code: str, number: str | None, serial_number: str, address: tuple[str, int]
) -> None:
    """Trade a one-time code for a key and write it down at once: the code is used up."""
    terminal_number, code_bytes = read_enrol_code(code, number)
    key_file.parent.mkdir(parents=True, exist_ok=True)  # before the code is used up
    try:
        enrolled = await enrol(
            terminal=terminal_number,
            code=code_bytes,
            serial_number=serial_number,
            open_stream=partial(trio.open_tcp_stream, *address),
            random_bytes=secrets.token_bytes,
        )
    except EnrolError as error:
        raise EnrolError(f"host {address[0]}:{address[1]}: {error}") from None
    settings = Settings(
        terminal=terminal_number,
        root_key=enrolled.root_key,
        key_version=enrolled.key_version,
        host=address[0],
        port=address[1],
        serial_number=serial_number,
    )
    write_settings(key_file, settings)


def read_enrol_code(text: str, number: str | None) -> tuple[TerminalNumber, bytes]:
    """Terminal number and code, from the code as it is read out (with `-`) or from its QR code (FANKA:3-58:...)."""
    if text.upper().startswith(QR_PREFIX):
        number, _, text = text[len(QR_PREFIX) :].partition(":")
    if number is None:
        raise UsageError("--enrol-code: expected --number, such as --number 3-58, beside it; got none")
    try:
        code = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        code = b""
    if len(code) != ENROL_CODE_SIZE:
        raise UsageError(f"--enrol-code: expected {2 * ENROL_CODE_SIZE} hex digits, got {len(text)} characters")
    try:
        return TerminalNumber.parse(number), code
    except ValueError as error:
        raise UsageError(f"--number: {error}") from None


def find_place(place: Path) -> tuple[Path, Path]:
    """Key file and memory folder of a terminal that lives in `place`."""
    if place.is_dir() or (not place.exists() and not place.suffix):
        return place / KEY_FILE_NAME, place / MEMORY_NAME
    return place, place.with_name(f"{place.name}.{MEMORY_NAME}")


def read_key_file(key_file: Path) -> Settings:
    """The settings in it; UsageError with what to do if there is none."""
    if not key_file.exists():
        raise UsageError(
            f"{key_file}: expected a key file, got none: make one with `fanka admin terminal enrol --out FILE`, or "
            "fetch the key with --enrol-code and --number"
        )
    return read_settings(key_file)


def read_script(script: Path) -> str:
    """Its text; UsageError if it is none."""
    try:
        return script.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{script}: expected a script of keys and taps in UTF-8 text, got other bytes") from None


def choose(settings: Settings, host: str | None, port: int | None, language: Literal["zh", "en"] | None) -> Settings:
    """The settings of the key file, but for what the command line says."""
    return msgspec.structs.replace(
        settings,
        host=host or settings.host,
        port=settings.port if port is None else port,
        language=language or settings.language,
    )


def read_card(text: str) -> tuple[str, bytes]:
    """Label and UID from NAME=UID."""
    name, _, uid = text.rpartition("=")
    if not name:
        raise UsageError(f"--card: expected NAME=UID such as 张三=04A1B2C3, got {text!r}")
    try:
        return name, parse_uid(uid)
    except ValueError as error:
        raise UsageError(f"--card {name}: {error}") from None


def read_virtual(text: str, data: Path | None) -> tuple[str, Code]:
    """Name, and what gives the card's payment code of the moment, from NAME=CARD."""
    name, _, card = text.rpartition("=")
    if not name:
        raise UsageError(f"--virtual: expected NAME=CARD such as 张三=2013010652, got {text!r}")

    def code() -> str:
        with admin_channel(data) as admin:
            return str(admin.call("virtual_card.code", card=card)["code"])

    return name, code


def paper_of(text: Path | None, escpos: Path | None) -> Paper | None:
    """Where slips go. Tried at once, before anything is sold or a code used up; OSError if it cannot be written."""
    papers = [put for path, put in ((text, append_text), (escpos, append_escpos)) if path is not None]
    paths = [path for path in (text, escpos) if path is not None]
    for path in paths:
        path.open("ab").close()

    def put(slip: Slip) -> None:
        for path, append in zip(paths, papers, strict=True):
            append(path, slip)

    return put if paths else None


def append_text(path: Path, slip: Slip) -> None:
    """A slip for people to read."""
    with path.open("a", encoding="utf-8") as paper:
        paper.write(f"{slip.text}\n")


def append_escpos(path: Path, slip: Slip) -> None:
    """A slip for a printer."""
    with path.open("ab") as paper:
        paper.write(escpos_bytes(slip))


@contextmanager
def explained() -> Iterator[None]:
    """Known faults, also inside exception groups, as one message on standard error and an exit code."""
    try:
        yield
    except* ScriptFailure as group:
        leave(group, NOT_FULFILLED, prefix="")
    except* (UsageError, ScriptSyntaxError, SettingsError, StorageError, EnrolError, OSError) as group:
        leave(group, USAGE)
