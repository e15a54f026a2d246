"""A host process on a data folder, for benchmarks and the demo: started, found, measured and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from server.folder import DataFolder, Running

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.02
PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


class HostProcess:
    """`fanka serve` as a child process."""

    def __init__(self, folder: DataFolder, log_path: Path) -> None:
        self.folder = folder
        self._log = log_path.open("ab")
        self.process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-m", "tools.main", "serve", str(folder.path), "--no-log-sessions"],
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        try:
            self.running = self._wait_running(log_path)
        except KeyboardInterrupt:
            self.kill()  # nobody else knows of it yet
            raise

    def _wait_running(self, log_path: Path) -> Running:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self.process.poll() is not None:
                said = log_path.read_text("utf-8", "replace").strip().splitlines()[-1:]
                raise RuntimeError(f"the host ended with {self.process.returncode} at start: {' '.join(said)}")
            running = self.folder.running()
            if running is not None and running.process == self.process.pid:
                return running
            time.sleep(POLL_S)
        self.kill()
        raise RuntimeError(f"the host was not ready within {START_TIMEOUT_S:g} s; see {log_path}")

    def resident_kib(self) -> int:
        """Resident memory of the process now."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_KIB

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self._log.close()

    def stop(self) -> int:
        """Ask it to drain and end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the host did not end within {STOP_TIMEOUT_S:g} s of SIGTERM") from None
        self._log.close()
        return code


@contextmanager
def serving(folder: DataFolder) -> Iterator[HostProcess]:
    """A host for the body's time. Its log is the folder's host.log."""
    host = HostProcess(folder, folder.path / "host.log")
    try:
        yield host
    finally:
        host.stop()
