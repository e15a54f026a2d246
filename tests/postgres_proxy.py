"""A line to a PostgreSQL server that is cut at a chosen statement, before it arrives or before its answer does."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.postgres import PORT, PostgresServer

CHUNK: Final = 65_536
KEY_DATA: Final = b"K\x00\x00\x00\x0c"
"""BackendKeyData: the server's process number and a secret follow."""


class CuttingProxy:
    """Listens on a Unix socket of its own folder; use as a context manager.

    `cut_at`: when a client sends these bytes, its line is cut once. With `answer_lost` the server gets them and does
    them first, with `server_unaware` it gets them and never notices that the client is gone, who is cut off when
    `server_is_there` says that the server has come that far. `refusals`: so many connections are turned away after
    that. `other_process`: names another process number than the server's, as a connection pooler does.
    """

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.folder = Path(tempfile.mkdtemp(prefix="fanka-cut-"))
        self.cut_at: bytes | None = None
        self.answer_lost = self.server_unaware = False
        self.server_is_there: Callable[[], object] = lambda: True
        self.refusals = 0
        self.cuts = 0
        self.other_process = False
        self._lines: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / f".s.PGSQL.{PORT}"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def dsn(self, dsn: str) -> str:
        """The same database over this line."""
        return f"{dsn} host={self.folder}"

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        _hang_up(self._listener)
        for line in self._lines:
            _hang_up(*line)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusals:
                self.refusals -= 1
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self.server.folder / f".s.PGSQL.{PORT}"))
            self._lines.append((client, server))
            cut = threading.Event()
            threading.Thread(target=self._requests, args=(client, server, cut), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, server, cut), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK):
                if self.cut_at is not None and self.cut_at in data:
                    self.cut_at = None
                    self.cuts += 1
                    if self.server_unaware:
                        server.sendall(data)
                        cut.set()
                        while not self.server_is_there():
                            pass
                        _hang_up(client)
                        return
                    if not self.answer_lost:
                        break
                    cut.set()
                server.sendall(data)
        if not cut.is_set():
            _hang_up(client, server)

    def _answers(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK):
                if cut.is_set():  # it is done, and nobody will hear of it
                    if self.server_unaware:
                        return
                    break
                if self.other_process and (at := data.find(KEY_DATA)) >= 0:
                    first = at + len(KEY_DATA)
                    data = data[:first] + bytes([data[first] ^ 1]) + data[first + 1 :]
                client.sendall(data)
        _hang_up(client, server)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
