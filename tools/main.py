"""The command `fanka`: one name for everything. Commands are imported when used, so that each starts fast."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Final, NoReturn

import cyclopts

app = cyclopts.App(
    name="fanka",
    help="Fanka (饭卡): an open host for canteen POS terminals, its terminal emulator and its tools.",
    version=lambda: version("fanka"),
    suppress_keyboard_interrupt=False,  # main() says a word about it
)

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the signal's number."""

COMMANDS: Final = {
    "demo": ("tools.demo:demo", "See a terminal take a payment and a lunch rush add up, in a minute."),
    "init": ("tools.serve:init", "Create a data folder."),
    "serve": ("tools.serve:serve", "Run the host on a data folder."),
    "admin": (
        "tools.admin:admin_app",
        "Merchants, terminals, cards, prices, people, reports; also while the host runs.",
    ),
    "card": ("tools.card:card_app", "The payment code of a virtual card, as a telephone shows it."),
    "scenario": ("tools.scenario:scenario", "A cashier's work, played key by key on a host of its own."),
    "terminal": ("tools.terminal:terminal", "A terminal on your screen, or driven by a script."),
    "load": ("tools.load:load", "Thousands of terminals against a host; latency and a money audit."),
    "decode": ("tools.decode:decode", "Annotate frames byte by byte."),
    "verify": ("tools.verify:verify", "Recompute and check everything the ledger promises."),
    "backup": ("tools.backup:backup", "The ledger in one checked file, while the host serves."),
    "restore": ("tools.restore:restore", "A ledger back from its backup, into a folder that has lost it."),
    "doctor": ("tools.doctor:doctor", "What is installed and set, what is wrong, how to mend it."),
}
"""Name, place and one line of help of every command, in the order of the list."""

for _number, (_name, (_place, _help)) in enumerate(COMMANDS.items()):
    app.command(_place, name=_name, help=_help, sort_key=_number)


def main() -> None:
    """Entry point of the console script.

    A command line that cannot be understood ends with 2, as every bad input, and so does an output that cannot be
    written; Ctrl-C with one line and 130.
    """
    try:
        try:
            app(exit_on_error=False)
        finally:
            flush_output()
    except cyclopts.CycloptsError:
        sys.exit(2)  # cyclopts has said what is wrong
    except BaseException as error:
        interrupt = find_interrupt(error)
        if interrupt is None:
            if isinstance(error, OSError) and error.filename is None:
                leave_unwritten(error)  # every other is explained by its command
            raise
        print(": ".join(["interrupted", *map(str, interrupt.args)]), file=sys.stderr)
        sys.exit(INTERRUPTED)


def flush_output() -> None:
    """Write out what a command has printed, or end with one line and 2: a full disk is no verdict of the command."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        leave_unwritten(error)


def leave_unwritten(error: OSError) -> NoReturn:
    """Say it, and end."""
    sys.stdout = None  # it must not be tried again at the end, which would change the exit code
    print(f'error: standard output: cannot be written, got "{error.strerror or error}"', file=sys.stderr)
    sys.exit(2)


def find_interrupt(error: BaseException) -> KeyboardInterrupt | None:
    """The Ctrl-C that ended a command: trio puts it into exception groups, beside what else ended because of it."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(find_interrupt, error.exceptions)), None)
    return error if isinstance(error, KeyboardInterrupt) else None


if __name__ == "__main__":
    main()
