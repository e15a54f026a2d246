"""Which root key a terminal proves, and how the next one takes its place. No I/O but through `keep`.

    READY names a next key -> fetch it -> keep both, durably -> connect anew with the next -> READY -> keep it alone

A host in the middle of this knows either key or both, and one restored from an old backup may know the old one only. So
until the next key has been proved both are kept, and whoever is refused with one tries the other at the next
connection: whatever crashed, and when, one of them opens a session, and nobody has to come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from protocol.messages import KeyAnswer, KeyRequest, Ready
from protocol.security import saf_key, unwrap_root_key
from terminal_emulator.effects import Note, NoteKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.settings import Settings

Keep = Callable[[Settings], None]
"""Stores settings durably, all or nothing, or raises OSError."""

NEXT_TRIES_MAX: Final = 3
"""How often the same next key is tried in vain before it is left alone until the terminal is switched on again: the key
in force opens sessions, and each try costs one."""
ASKS_MAX: Final = 3
"""How often a key is asked for without an answer before it is not asked for until the terminal is switched on again: a
host that does not answer this must not keep a terminal from selling."""


class Rotation:
    """The keys of one terminal. Without `keep` it uses the keys it has and fetches none."""

    def __init__(self, settings: Settings, keep: Keep | None = None) -> None:
        self.settings = settings
        self.notes: list[Note] = []
        """What is to be told, for a log; whoever tells it empties the list."""
        self._keep = keep
        self._uses_next = settings.next_key_version > 0  # newest first: the host may have forgotten the other
        self._refusals = 0  # of the next key
        self._unanswered = 0

    @property
    def key_version(self) -> int:
        """The version for HELLO."""
        return self.settings.next_key_version if self._uses_next else self.settings.key_version

    @property
    def root_key(self) -> bytes:
        """The key to prove."""
        return self.settings.next_root_key if self._uses_next else self.settings.root_key

    def keep_settings(self) -> None:
        """They were changed from outside."""
        self._store(self.settings)

    @property
    def saf_keys(self) -> tuple[bytes, ...]:
        """K_saf of every root key there is: what was sold offline is sealed under one of them."""
        settings = self.settings
        keys = (settings.root_key, settings.next_root_key) if settings.next_key_version else (settings.root_key,)
        return tuple(saf_key(key, settings.terminal) for key in keys)

    def refused(self) -> None:
        """The host did not take this key: the other one's turn, if there is one."""
        if self.settings.next_key_version:
            self._refusals += self._uses_next
            self._uses_next = not self._uses_next

    def accepted(self, ready: Ready, *, may_fetch: bool = True) -> KeyRequest | None:
        """A session is open. What to ask in it before anything else; None: nothing. Not `may_fetch`: no new key now."""
        if self._uses_next:
            # The host has put it in force, or will: it knows it durably. The old one has done its service.
            proved = replace(
                self.settings,
                root_key=self.settings.next_root_key,
                key_version=self.settings.next_key_version,
                next_root_key=b"",
                next_key_version=0,
            )
            self._store(proved)
            self.notes.append(Note(NoteKind.KEY_CHANGED, f"version {proved.key_version}"))
            self.settings, self._uses_next, self._refusals = proved, False, 0
        if (
            not may_fetch
            or self._keep is None
            or ready.next_key_version <= self.settings.key_version
            or self._unanswered >= ASKS_MAX
        ):
            return None
        self._unanswered += 1
        return KeyRequest(key_version=ready.next_key_version)

    def answered(self, answer: KeyAnswer, asked: KeyRequest) -> bool:
        """Take the next key. Whether to connect anew with it, at once."""
        self._unanswered = 0
        if answer.response_code != APPROVED or answer.key_version != asked.key_version:
            self._note(f"version {asked.key_version}: the host answered {answer.response_code}")
            return False
        settings = self.settings
        found = unwrap_root_key(settings.root_key, settings.terminal, answer.key_version, answer.wrapped_key)
        if found is None:
            self._note(f"version {asked.key_version}: it does not open with the key in force")
            return False
        if (settings.next_key_version, settings.next_root_key) == (answer.key_version, found):
            if self._refusals >= NEXT_TRIES_MAX:
                # The very key that was refused: stay with the one that works.
                self._note(f"version {answer.key_version}: the host does not know the key that it gave out")
                return False
        else:
            both = replace(settings, next_root_key=found, next_key_version=answer.key_version)
            if not self._store(both):
                return False  # what is not kept must not be proved: the host would forget the one that is
            self.settings, self._refusals = both, 0
        self._uses_next = True
        return True

    def _store(self, settings: Settings) -> bool:
        try:
            if self._keep is not None:
                self._keep(settings)
        except OSError as error:
            self._note(f"the key file could not be written: {error}")
            return False
        return self._keep is not None

    def _note(self, detail: str) -> None:
        self.notes.append(Note(NoteKind.KEY_NOT_CHANGED, detail))
