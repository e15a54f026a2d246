"""The load side as the rig sees it: a process, its events as they come, and the records it leaves on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from protocol import TerminalNumber
from tests.end_to_end.process import ROOT
from tests.kill.record import Record
from tests.wire import Address

PATIENCE_S: Final = 30.0
"""How long the rig waits for an event before it calls the run a failure: hours for the programs under test."""


class LoadSide:
    """Terminals in a process of their own, started again as often as it is killed."""

    def __init__(self, folder: Path, tills: list[dict[str, Any]], seed: int, terminal_patience_s: float) -> None:
        self.folder = folder
        self.terminals = [TerminalNumber.parse(one["terminal"]).to_int() for one in tills]
        self.events: dict[str, int] = {}
        """How often each kind of event came, over all lives."""
        self.wrong: list[str] = []
        self._names = [one["terminal"] for one in tills]
        self._seed = seed
        self._patience_s = terminal_patience_s
        self._changed = threading.Condition()
        self._address: Address | None = None
        self._lives = 0
        folder.mkdir()
        (folder / "keys.json").write_text(json.dumps(tills))
        self.start()

    def start(self) -> None:
        """A new life on the records of the one before."""
        self._lives += 1
        command = [sys.executable, "-m", "tests.kill.load", str(self.folder), str(self._seed + self._lives)]
        self._process = subprocess.Popen(
            [*command, str(self._patience_s)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if self._address is not None:
            self.call(self._address)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            kind = line.split(None, 1)[0]
            with self._changed:
                self.events[kind] = self.events.get(kind, 0) + 1
                if kind == "wrong":
                    self.wrong.append(line.strip())
                self._changed.notify_all()

    def call(self, address: Address) -> None:
        """All terminals call there from now on."""
        self._address = address
        assert self._process.stdin is not None
        self._process.stdin.write(f"{address[0]} {address[1]}\n")
        self._process.stdin.flush()

    def wait(self, kind: str, count: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Until so many more events of a kind have come; False if `until` became true before, or nothing came."""
        with self._changed:
            wanted = self.events.get(kind, 0) + count
            self._changed.wait_for(
                lambda: self.events.get(kind, 0) >= wanted or bool(self.wrong) or until(), PATIENCE_S
            )
            return self.events.get(kind, 0) >= wanted

    def stir(self) -> None:
        """Have whoever waits look at its condition again."""
        with self._changed:
            self._changed.notify_all()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._end()

    def records(self) -> dict[int, Record]:
        """What each terminal has on its disk, by its number."""
        found = {}
        for terminal, name in zip(self.terminals, self._names, strict=True):
            record = Record(self.folder / f"{name}.jsonl", reading=True)
            record.close()
            found[terminal] = record
        return found
