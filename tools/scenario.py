"""`fanka scenario`: a cashier's work at one terminal, played from a script on a host that exists for it alone.

The scripts stand in terminal_emulator/scenarios and run on any terminal with `fanka terminal --script`. What the host
has to know for one stands in its comments:

    card 张三 04A1B2C3             gets an account with 100.00 yuan
    # virtual: 王五                has 100.00 yuan too, and a virtual card, which the script scans by this name
    # needs: points.set fen_per_point=100 merchant_id=MERCHANT
                                  an administrative operation with its arguments; MERCHANT is the script's own
    # alone                       it changes rules of the whole campus: no other script runs on its host
"""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from protocol import TerminalNumber
from server.folder import DataFolder
from terminal_emulator.outlet import Outlet
from terminal_emulator.script import Names, parse_script
from terminal_emulator.settings import Settings, write_settings
from tools.admin_client import AdminChannel, open_admin
from tools.faults import InputError, explained
from tools.host_process import serving
from tools.listing import console
from tools.pictures import read_picture
from tools.terminal import choose, powered, run_with_script
from tools.terminal import explained as explained_terminal

SCENARIOS: Final = Path(__file__).resolve().parent.parent / "terminal_emulator" / "scenarios"
OPENING_FEN: Final = 10_000
REQUEST_BATCH: Final = 2
MERCHANT_WORD: Final = "MERCHANT"
MERCHANT: Final = "一食堂"
TERMINAL: Final = "3-58"
ALONE: Final = "# alone"


class Scene(msgspec.Struct, frozen=True):
    """What a script needs: a terminal with its key, and the names it calls cards and virtual cards by."""

    settings: Settings
    names: Names


def scenario(name: str = "", /, *, quiet: bool = False, printer: Path | None = None, escpos: Path | None = None) -> int:
    """Play one of the bundled scenarios on a host of its own, key by key; without a name, list them.

    Parameters
    ----------
    name
        Which one, as the list has it.
    quiet
        Do not show the LCD and the slips; only the exit code says how it went.
    printer
        Append every slip to this file, as plain text.
    escpos
        Append every slip to this file or printer device, as ESC/POS bytes.
    """
    from tools.terminal import paper_of

    if not name:
        for path in bundled():
            console().print(f"{path.stem:<14} {about(path)}", highlight=False)
        return 0
    path = SCENARIOS / f"{name}.txt"
    with explained():
        if not path.exists():
            known = ", ".join(found.stem for found in bundled())
            raise InputError(f"scenario: expected one of {known}, got {name!r}")
    with explained(), explained_terminal(), tempfile.TemporaryDirectory(prefix="fanka-scenario-") as temporary:
        base = Path(temporary)
        ports: dict[tuple[str, str], Any] = {("listen", "port"): 0, ("http", "port"): 0}
        folder = DataFolder.create(base / "data", secrets.token_bytes, ports)
        with serving(folder) as host:
            text = path.read_text(encoding="utf-8")
            scene = prepare(folder, text, TERMINAL, host.running.terminals[1])
            play(scene, text, path.name, base, print if not quiet else None, paper_of(printer, escpos))
    return 0


def bundled() -> list[Path]:
    """The scenarios that come with the program."""
    return sorted(SCENARIOS.glob("*.txt"))


def about(path: Path) -> str:
    """The first line of a scenario says what it is about."""
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip()


def prepare(folder: DataFolder, script: str, terminal: str, port: int, merchant: str = MERCHANT) -> Scene:
    """Make what a script needs at a running host: a merchant, a terminal, accounts, cards."""
    with open_admin(folder) as admin:
        merchant_id = admin.call("merchant.add", name=merchant)["merchant_id"]
        enrolled = admin.call("terminal.enrol", terminal=terminal, merchant_id=merchant_id)
        cards, codes = {}, {}
        customer = partial(_open_account, admin, terminal)
        for line, (name, uid) in enumerate(re.findall(r"^card +(\S+) +([0-9A-Fa-f]+)", script, re.MULTILINE), 1):
            student = customer(name, line)
            admin.call("card.issue", uid=uid, student_number=student)
            cards[name] = bytes.fromhex(uid)
        for line, name in enumerate(re.findall(r"^# virtual: +(\S+)", script, re.MULTILINE), 1001):
            student = customer(name, line)
            admin.call("virtual_card.issue", student_number=student)
            codes[name] = partial(_code, folder, student)
        for operation, words in re.findall(r"^# needs: +(\S+)(.*)$", script, re.MULTILINE):
            admin.call(operation, **_arguments(words, merchant_id, terminal))
    settings = Settings(
        terminal=TerminalNumber.parse(terminal),
        root_key=bytes.fromhex(enrolled["root_key"]),
        key_version=enrolled["key_version"],
        port=port,
    )
    return Scene(settings, Names(cards, codes, read_picture))


def play(
    scene: Scene,
    script: str,
    name: str,
    base: Path,
    show: Callable[[str], None] | None = None,
    paper: Any = None,
) -> None:
    """Play a script on the terminal of its scene, with a key file and a memory in `base`."""
    steps = parse_script(script, name, scene.names)
    key_file, memory = base / "key.json", base / "memory"
    write_settings(key_file, scene.settings)
    outlet = Outlet(partial(powered, key_file, memory, partial(choose, host=None, port=None, language=None), paper))
    trio.run(run_with_script, outlet, steps, show)


def _open_account(admin: AdminChannel, terminal: str, name: str, line: int) -> str:
    """A customer with money; the student number."""
    student = f"{terminal}-{line}"
    admin.call("account.open", student_number=student, name=name)
    batch = REQUEST_BATCH + TerminalNumber.parse(terminal).device
    admin.call("account.topup", who=student, amount_fen=OPENING_FEN, batch=batch, line=line)
    return student


def _code(folder: DataFolder, student: str) -> str:
    with open_admin(folder) as admin:
        return str(admin.call("virtual_card.code", card=student)["code"])


def _arguments(words: str, merchant_id: int, terminal: str) -> dict[str, Any]:
    """`name=value` pairs; digits are numbers but for codes and names."""
    found: dict[str, Any] = {}
    for word in words.split():
        key, _, value = word.partition("=")
        if value == MERCHANT_WORD:
            found[key] = merchant_id
        elif value == "TERMINAL":
            found[key] = terminal
        else:
            found[key] = int(value) if value.isdecimal() and key not in ("code", "name", "uid", "pin") else value
    return found
