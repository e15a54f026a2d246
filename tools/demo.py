"""`fanka demo`: a throw-away host, one sale shown key by key, a lunch rush, and proof that the money adds up."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import Parameter

from protocol import TerminalNumber
from server.folder import DataFolder
from terminal_emulator.brain import Brain
from terminal_emulator.file_storage import FileStorage
from terminal_emulator.outlet import Outlet
from terminal_emulator.player import ScriptFailure
from terminal_emulator.script import parse_script
from terminal_emulator.settings import Settings
from tools.admin_client import open_admin
from tools.audit import Audit
from tools.faults import explained
from tools.host_process import serving
from tools.listing import console
from tools.load import check_rush, full_report, rush
from tools.load_report import print_result
from tools.terminal import machine_of, run_with_script
from tools.verify import check_ledger

MERCHANT: Final = "一食堂"
TERMINAL: Final = "3-58"
STUDENT: Final = "2013010652"
HOLDER: Final = "张三"
CARD_UID: Final = "04A1B2C3"
OPENING_FEN: Final = 10_000

SCRIPT: Final = """\
wait-for online
key 1 2 . 5 ENTER                     # the cashier keys 12.50 yuan and presses 确认
tap 04A1B2C3                          # the customer holds the card to the reader
expect lcd 交易成功 / 12.50 / 87.50
expect beep ok
expect slip 87.50
key 9 9 ENTER                         # more than is left
tap 04A1B2C3
expect lcd 余额不足
expect beep error
"""


def demo(
    *,
    terminals: int = 300,
    seconds: float = 10.0,
    quiet: Annotated[bool, Parameter(negative="", help="No live display.")] = False,
) -> int:
    """See it work: a sale key by key, then a lunch rush whose money adds up to the fen. Exit code 0 only if all held.

    Parameters
    ----------
    terminals
        Terminals in the lunch rush.
    seconds
        How long lunch lasts.
    """
    out = console()
    with explained():
        check_rush(terminals, terminals, seconds)
    with explained(), tempfile.TemporaryDirectory(prefix="fanka-demo-") as temporary:
        base = Path(temporary)
        ports: dict[tuple[str, str], Any] = {("listen", "port"): 0, ("http", "port"): 0}
        folder = DataFolder.create(base / "data", secrets.token_bytes, ports)
        with serving(folder) as host:
            out.print(f"A host is running on 127.0.0.1:{host.running.terminals[1]}, its ledger in {folder.path}.\n")
            settings = _set_up(folder, host.running.terminals[1])
            out.print(f"One sale at terminal {TERMINAL} of {MERCHANT}; {HOLDER} has 100.00 yuan on the card.\n")
            if not _one_sale(settings, base / "memory"):
                return 1
            out.print(f"\nLunch: {terminals} terminals for {seconds:g} seconds.\n")
            result, verdict = rush(
                folder,
                selling=terminals,
                connected=terminals,
                cards=2000,
                seconds=seconds,
                rate_per_s=float(terminals),
                quiet=quiet,
            )
            print_result(full_report(result, verdict), verdict)
            if result.stopped:
                raise KeyboardInterrupt
        return _verdict(folder, verdict, unserved=result.failed + result.unresolved)


def _set_up(folder: DataFolder, port: int) -> Settings:
    """A merchant, a terminal with its key, a card with money."""
    with open_admin(folder) as channel:
        merchant = channel.call("merchant.add", name=MERCHANT)
        enrolled = channel.call("terminal.enrol", terminal=TERMINAL, merchant_id=merchant["merchant_id"])
        channel.call(
            "import.apply",
            lines=[
                {
                    "line": 1,
                    "student_number": STUDENT,
                    "name": HOLDER,
                    "card_uid": CARD_UID,
                    "balance_fen": OPENING_FEN,
                }
            ],
        )
    return Settings(
        terminal=TerminalNumber.parse(TERMINAL),
        root_key=bytes.fromhex(enrolled["root_key"]),
        key_version=enrolled["key_version"],
        port=port,
    )


def _one_sale(settings: Settings, memory: Path) -> bool:
    """Play the script on a terminal with a memory of its own, LCD and slips on the screen."""
    storage = FileStorage(memory)
    failures: list[BaseException] = []
    try:
        brain = Brain(settings, storage, jitter=secrets.SystemRandom().random)
        outlet = Outlet(lambda: nullcontext(machine_of(brain)))
        trio.run(run_with_script, outlet, parse_script(SCRIPT, "demo"), print)
    except* ScriptFailure as group:
        failures.extend(group.exceptions)
    finally:
        storage.close()
    for failure in failures:
        console().print(f"the terminal did not do what it should: {failure}")
    return not failures


def _verdict(folder: DataFolder, verdict: Audit, *, unserved: int) -> int:
    """Recompute the whole ledger, and say whether everything held."""
    checks = check_ledger(folder, quiet=True)
    broken = [check for check in checks if not check.ok]
    out = console()
    out.print(f"ledger: {len(checks) - len(broken)} of {len(checks)} checks hold")
    for check in broken:
        out.print(f"  {check.name}: {check.detail}")
    held = verdict.ok and not broken and not unserved and verdict.acknowledged > 0
    out.print("\nEvery fen is accounted for." if held else "\nSOMETHING DID NOT HOLD: see above.")
    return 0 if held else 1
