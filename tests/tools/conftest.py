"""A data folder and the `fanka` command inside the test's own process."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from server.folder import DataFolder
from server.ledger.sqlite import SqliteStore
from tools.main import app


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A fresh data folder; its ports are whatever the system gives."""
    changes = {("listen", "port"): 0, ("http", "port"): 0}
    folder = DataFolder.create(tmp_path / "data", random.Random(3).randbytes, changes)
    SqliteStore(folder.ledger_path).close()
    folder.ledger_path.chmod(0o600)
    return folder


class Fanka:
    """`fanka(...)` runs a command line on the folder and gives its exit code; `out` and `err` have what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: object) -> int:
        self._capsys.readouterr()
        code: object = 0
        try:
            app([str(word) for word in words], result_action="sys_exit")
        except SystemExit as done:
            code = done.code
        self.out, self.err = self._capsys.readouterr()
        assert "Traceback" not in self.err
        return code if isinstance(code, int) else 0

    def json(self, *words: object) -> Any:
        """The JSON that a command prints."""
        assert self(*words, "--json") == 0, self.err
        return json.loads(self.out)

    def error(self, *words: object) -> str:
        """The one line that a command fails with."""
        assert self(*words) == 2
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("error: ").rstrip("\n")


@pytest.fixture
def fanka(folder: DataFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fanka:
    monkeypatch.setenv("FANKA_DATA", str(folder.path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("os.nice", lambda _: 0)  # what a command takes from itself, the tests would be without
    return Fanka(capsys)
