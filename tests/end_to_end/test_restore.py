"""The drill of docs/operating.md, line by line as it stands there: a machine is lost, and every sale comes back."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys

import pytest

from tests.end_to_end.process import ROOT

PATIENCE_S = 240
"""For some thirty commands, each of them a process of its own."""


def recipe() -> str:
    """The commands after the marker in the document."""
    found = re.search(
        r"<!-- drill -->\n+```sh\n(.*?)```", (ROOT / "docs" / "operating.md").read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    return found[1]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def environment(tmp_path):
    """`fanka` is this very source; nothing of the caller's settings counts."""
    command = tmp_path / "bin" / "fanka"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from tools.main import main; main()" "$@"\n')
    command.chmod(0o700)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FANKA_")}
    return kept | {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@pytest.mark.slow
def test_the_drill(tmp_path, environment):
    commands = recipe()
    for written, free in zip(("4205", "4206"), free_ports(2), strict=True):
        assert commands.count(written) == 1
        commands = commands.replace(written, str(free))
    # Whatever happens, no host outlives the shell.
    script = f"set -eux\ntrap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT\n{commands}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks hold" in done.stdout
    assert "comes back by itself: every sale" in done.stdout
    assert done.stdout.count("kek.key") >= 1
    assert sorted(path.name for path in (tmp_path / "drill" / "D").iterdir() if "ledger" in path.name) == ["ledger.db"]
