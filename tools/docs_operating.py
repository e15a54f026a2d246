"""Generated parts of docs/operating.md: commands, settings, metrics, scripts, as the program has them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from cyclopts import App
from prometheus_client import CollectorRegistry

from server.config import settings
from server.metrics import Metrics
from terminal_emulator import script
from tools.admin import admin_app
from tools.main import COMMANDS


def commands() -> str:
    """Every command and what it is for."""
    rows = [f"| `fanka {name}` | {about} |" for name, (_, about) in COMMANDS.items()]
    return "\n".join(["| command | does |", "|---|---|", *rows])


def admin_commands() -> str:
    """Every command of `fanka admin`, and the first line of its help."""
    return "\n".join(["| `fanka admin ...` | does |", "|---|---|", *_commands_of(admin_app)])


def _commands_of(app: App, path: str = "") -> Iterator[str]:
    for name in app:
        if name.startswith("-"):
            continue
        command, full = app[name], f"{path} {name}".lstrip()
        if command.default_command is None:
            yield from _commands_of(command, full)
        else:
            yield f"| `{full}` | {command.help.splitlines()[0]} |"


def settings_table() -> str:
    """Every setting of fanka.toml."""
    rows = [
        f"| `[{found.table}] {found.key}` | `{msgspec.json.encode(found.default).decode()}` | {found.description} |"
        for found in settings()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def metrics() -> str:
    """Every metric of the host."""
    rows = []
    for attribute in vars(Metrics(CollectorRegistry())).values():
        if isinstance(attribute, CollectorRegistry):
            continue
        (described,) = attribute.describe()
        labels = ", ".join(f"`{label}`" for label in getattr(attribute, "_labelnames", ())) or "-"
        suffix = "_total" if described.type == "counter" else ""
        rows.append(f"| `{described.name}{suffix}` | {described.type} | {labels} | {described.documentation} |")
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows])


def scripts() -> str:
    """The language of `fanka terminal --script`: the indented table of the module that reads it."""
    steps = [line[4:] for line in (script.__doc__ or "").splitlines() if line.startswith("    ")]
    return "\n".join(["```text", *steps, "```"])
