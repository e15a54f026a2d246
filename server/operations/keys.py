"""The key-encryption key (KEK): which one is in force, and re-wrapping every key of the ledger under a new one.

Re-wrapping goes by steps, each one bounded and one commit, so that sales go on between them:

1. a new KEK into kek.key.new; then the ledger knows its fingerprint, and whatever is wrapped from now on is under it
2. terminals in order of their numbers, some hundred a step, with a mark of how far it has come
3. the host's own secret; the ledger says that the new KEK is in force; then kek.key is replaced, and the old one kept
   as kek.key.*.old

Whoever is killed between two steps, or within one, goes on where it was by asking again; until then the host needs both
files, and finds them.
"""

from __future__ import annotations

from typing import ClassVar, Final

from server.host_secrets import wrap_secret_anew
from server.keys import COMING, IN_FORCE, KekFiles, KeyFault, coming_fingerprint, fingerprint_of, known_fingerprint
from server.ledger.model import CONSOLE
from server.ledger.registry import TerminalRecord
from server.operations.desk import PAGE_MAX, AdminError, Desk, Fields, show_terminal

MARK: Final = "kek_rewrapped_to"
"""Row of `meta`: the number of the last terminal whose keys are under the coming KEK."""


class Keys:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("show", "rewrap")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def show(self) -> Fields:
        """Fingerprints of the KEK in force and of the one that is coming, "" for none, and the files of old ones."""
        files = self._desk.keys.files
        return {
            "fingerprint": known_fingerprint(self._desk.registry) or "",
            "coming": coming_fingerprint(self._desk.registry) or "",
            "retired": [path.name for path in files.retired()] if files is not None else [],
        }

    def rewrap(self) -> Fields:
        """The next step. `done` says that it was the last one; `terminals` how many it re-wrapped, `damaged` which of
        them hold something that opens under no KEK: left as it is, such a terminal must be enrolled again anyway."""
        files = self._desk.keys.files
        if files is None:
            raise AdminError("kek.key: expected a data folder that keeps its key in a file, got none")
        coming = coming_fingerprint(self._desk.registry)
        if coming is None:
            return self._begin(files)
        records = self._desk.registry.terminals(after=self._mark(), limit=PAGE_MAX)
        return self._go_on(coming, records) if records else self._finish(files, coming)

    def _mark(self) -> int:
        return int(self._desk.registry.meta(MARK) or CONSOLE)

    def _begin(self, files: KekFiles) -> Fields:
        registry, keys = self._desk.registry, self._desk.keys
        before = files.find(known_fingerprint(registry) or keys.fingerprint)
        if before is None:
            raise AdminError(f"kek.key: expected the one with fingerprint {keys.fingerprint}, found it in no file")
        try:
            kek = files.make_next(self._desk.random_bytes)
        except (OSError, KeyFault) as error:
            raise AdminError(f"{files.next_path.name}: expected to write a new key there, cannot: {error}") from None
        with self._desk.transaction():
            registry.set_meta(COMING, fingerprint_of(kek))
            registry.set_meta(MARK, str(CONSOLE))
        keys.use(kek, before)
        return self._fields(fingerprint_of(kek))

    def _go_on(self, coming: str, records: list[TerminalRecord]) -> Fields:
        damaged = []
        with self._desk.transaction():
            for record in records:
                wrapped = (record.wrapped_key, record.next_wrapped_key, record.wrapped_code)
                anew = [self._wrapped_anew(secret) for secret in wrapped]
                if any(old is not None and new is None for old, new in zip(wrapped, anew, strict=True)):
                    damaged.append(show_terminal(record.terminal_id))
                key, next_key, code = (new or old for old, new in zip(wrapped, anew, strict=True))
                self._desk.registry.wrap_anew(record.terminal_id, key=key, next_key=next_key, code=code)
            self._desk.registry.set_meta(MARK, str(records[-1].terminal_id))
        return self._fields(coming, terminals=len(records), damaged=damaged)

    def _wrapped_anew(self, wrapped: bytes | None) -> bytes | None:
        """The same secret under the coming KEK; None if there is none, or it does not open."""
        if wrapped is None:
            return None
        try:
            return self._desk.keys.wrap(self._desk.keys.unwrap(wrapped))
        except KeyFault:
            return None

    def _finish(self, files: KekFiles, coming: str) -> Fields:
        registry = self._desk.registry
        kek = files.find(coming)
        if kek is None:  # it is in memory, or the host would not run, but a folder without it must not be left behind
            raise AdminError(f"{files.next_path.name}: expected the key with fingerprint {coming}, found it in no file")
        with self._desk.transaction():
            wrap_secret_anew(registry, self._desk.keys)
            registry.set_meta(IN_FORCE, coming)
            registry.drop_meta(COMING)
            registry.drop_meta(MARK)
        self._desk.keys.use(kek)
        try:
            files.settle(kek)
        except (OSError, KeyFault) as error:
            raise AdminError(
                f"keys are re-wrapped, but {files.path.name} could not be replaced: {error}; keep"
                f" {files.next_path.name}: the next start of the host does it"
            ) from None
        return self._fields(coming, done=True)

    @staticmethod
    def _fields(coming: str, *, done: bool = False, terminals: int = 0, damaged: list[str] | None = None) -> Fields:
        return {"done": done, "fingerprint": coming, "terminals": terminals, "damaged": damaged or []}
