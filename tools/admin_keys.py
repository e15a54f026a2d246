"""`fanka admin terminal rotate` and `fanka admin keys`: new keys for terminals, a new key for the keys."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from tools.listing import print_done, print_json
from tools.options import PAGE, AsJson, Data, admin_channel
from tools.words import counted

keys_app = App(name="keys", help="The key under which the ledger keeps all other keys.", sort_key=2)


def rotate_terminals(
    terminal: str = "",
    /,
    *,
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
    older_than: int | None = None,
    now: Annotated[bool, Parameter(negative=())] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Change a terminal's key over the wire: it fetches the new one when it connects next.

    Parameters
    ----------
    terminal
        Its number, like 3-58; or a range, like 3-1..3-500.
    every
        All terminals that have a key in force.
    older_than
        All terminals whose key has been in force for so many days.
    now
        End their sessions, so that they connect anew at once; not at lunch.
    """
    from tools.enrol import parse_range
    from tools.faults import InputError, explained

    with explained():
        if (terminal != "") + every + (older_than is not None) != 1:
            raise InputError("terminal rotate: expected one of a terminal's number, a range, --all, --older-than DAYS")
        chosen = parse_range(terminal) if terminal else None
    made: list[dict[str, Any]] = []
    with admin_channel(data) as admin:
        if chosen is not None:
            first, count = chosen
            for start in range(0, count, PAGE):
                part = str(first._replace(device=first.device + start))
                made += admin.call("terminal.rotate", first=part, count=min(PAGE, count - start), now=now)
        else:
            last, days = "0-0", older_than or 0
            while last:
                page = admin.call("terminal.rotate_page", after=last, limit=PAGE, older_than_days=days, now=now)
                made += page["terminals"]
                last = page["last"]
    if json:
        print_json(made)
    elif len(made) == 1:
        print(f"terminal {made[0]['terminal']}: key version {made[0]['next_key_version']} waits for it")
    else:
        print(f"{counted(len(made), 'terminal')}: new keys wait for them")


@keys_app.command(name="show")
def show_keys(*, data: Data = None, json: AsJson = False) -> None:
    """Which key-encryption key is in force, and whether keys are being re-wrapped under another."""
    with admin_channel(data) as admin:
        found = admin.call("keys.show")
    lines = [f"in force: fingerprint {found['fingerprint']}"]
    if found["coming"]:
        lines.append(f"being re-wrapped under {found['coming']}: `fanka admin keys rewrap` goes on with it")
    lines += [f"kept for backups of its time: {name}" for name in found["retired"]]
    print_done(found, "\n".join(lines), as_json=json)


@keys_app.command(name="rewrap")
def rewrap_keys(*, data: Data = None, json: AsJson = False) -> None:
    """Wrap every terminal's key under a new key-encryption key; goes on where one was broken off."""
    terminals, damaged = 0, []
    with admin_channel(data) as admin:
        while True:
            step = admin.call("keys.rewrap")
            terminals += step["terminals"]
            damaged += step["damaged"]
            if step["done"]:
                break
        found = admin.call("keys.show")
    result = {
        "fingerprint": step["fingerprint"],
        "terminals": terminals,
        "damaged": damaged,
        "retired": found["retired"],
    }
    sentence = (
        f"{counted(terminals, 'terminal')} under the new kek.key, fingerprint {step['fingerprint']}. Copy it to the"
        " backup of the keys now. Backups of the ledger made before need the old one: keep"
        f" {', '.join(found['retired'])}"
        " until the last of them is gone, then delete it"
    )
    if damaged:
        sentence += f"\nenrol these anew, their keys open under no key there is: {', '.join(damaged)}"
    print_done(result, sentence, as_json=json)
