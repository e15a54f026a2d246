"""Commands that stand in a document for people to type, run line by line as they stand there."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.process import ROOT

PATIENCE_S = 240
"""For some forty commands, each of them a process of its own."""
PORTS = ("4205", "4206")
"""What recipes give their host, each once; another that is free is taken in its place."""


def recipe(page: str, marker: str) -> str:
    """The commands in the document after each of these markers."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    found = re.findall(rf"<!-- {marker} -->\n+```sh\n(.*?)```", text, re.DOTALL)
    assert found, f"docs/{page}: expected commands after <!-- {marker} -->"
    return "".join(found)


def run(commands: str, folder: Path) -> str:
    """Run them in a shell that stops at the first that fails, and ends every host; what they have printed."""
    for written, free in zip(PORTS, _free_ports(len(PORTS)), strict=True):
        assert commands.count(written) == 1
        commands = commands.replace(written, str(free))
    script = f"set -eux\ntrap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT\n{commands}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    """`fanka` is this very source; nothing of the caller's settings counts."""
    command = folder / "bin" / "fanka"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from tools.main import main; main()" "$@"\n')
    command.chmod(0o700)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FANKA_")}
    return kept | {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
