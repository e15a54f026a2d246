"""Where log lines leave the process: a bounded queue and a thread that writes them to a file descriptor.

A log must never stop the host or hold it up: its reader may go away, its disk may be full, its terminal may be stopped
with Ctrl-S. Then lines are dropped and counted, and whoever logs notices nothing.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from typing import Final

LINES_MAX: Final = 10_000
"""Lines that wait for a slow reader: some 3 MB, and minutes of a busy host's log."""
BATCH_LINES: Final = 256
"""Lines per write: under load one call of the system carries many."""
CLOSE_TIMEOUT_S: Final = 2.0
"""How long the end waits for the last lines: a disk takes milliseconds, and a reader that is stuck gets no more."""


class LogSink:
    """A file-like object for `structlog.WriteLoggerFactory`: one call of `write` is one line, its end included.

    `write` and `flush` may be called from any thread, never block and never raise for what becomes of the lines.
    """

    def __init__(self, descriptor: int, *, lines_max: int = LINES_MAX) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(lines_max)
        self._dropped = 0
        self._counting = threading.Lock()
        self._closed = False
        self._end_is_queued = False
        self._cut_off = False  # the last line that was written lacks its end
        # A daemon: if it is stuck in a write, the process ends all the same.
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines lost so far: the queue was full, or the write failed."""
        return self._dropped

    def write(self, text: str) -> int:
        """Take one line; its length, as files do."""
        if self._closed:
            self._drop(1)
            return len(text)
        try:
            self._lines.put_nowait(text.encode("utf-8", "backslashreplace"))
        except queue.Full:
            self._drop(1)
        return len(text)

    def flush(self) -> None:
        """Nothing: the thread writes as soon as it can."""

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Take no more lines, and wait until those taken are written, but not longer than `timeout_s` seconds."""
        give_up_at_s = time.monotonic() + timeout_s
        self._closed = True
        if not self._end_is_queued:
            try:
                self._lines.put(None, timeout=timeout_s)
            except queue.Full:
                return
            self._end_is_queued = True
        self._thread.join(max(0.0, give_up_at_s - time.monotonic()))

    def _drop(self, count: int) -> None:
        with self._counting:
            self._dropped += count

    def _work(self) -> None:
        going_on = True
        while going_on:
            batch = [self._lines.get()]
            while batch[-1] is not None and len(batch) < BATCH_LINES:
                try:
                    batch.append(self._lines.get_nowait())
                except queue.Empty:
                    break
            going_on = batch[-1] is not None
            lines = [line for line in batch if line is not None]
            if lines:
                self._put(lines)

    def _put(self, lines: list[bytes]) -> None:
        """Write some lines; count those that could not be written whole."""
        # Whoever reads JSON lines must lose only the one that was cut off, not the next one with it.
        data = memoryview((b"\n" if self._cut_off else b"") + b"".join(lines))
        offset = len(data) - sum(map(len, lines))
        done = 0
        try:
            while done < len(data):
                try:
                    done += os.write(self._descriptor, data[done:])
                except BlockingIOError:  # a terminal or pipe that another process has made non-blocking
                    select.select([], [self._descriptor], [])
        except (OSError, ValueError):
            if done:
                self._cut_off = data[done - 1] != ord("\n")
            written = done - offset
            for line in lines:
                written -= len(line)
                if written < 0:
                    self._drop(1)
        else:
            self._cut_off = False
