"""Which key a terminal proves, and when it stores what. Whole changes with crashes: tests/security/test_rotation.py."""

import pytest

from protocol.messages import KeyAnswer, KeyRequest
from protocol.messages.key_change import NO_WRAPPED_KEY
from protocol.security import wrap_root_key
from terminal_emulator.effects import Note, NoteKind
from terminal_emulator.rotation import ASKS_MAX, NEXT_TRIES_MAX, Rotation
from tests.terminal_emulator.till import NUMBER, ready_of, settings_of

NEXT = b"n" * 32
OTHER = b"o" * 32


class File:
    """A key file that may be full."""

    def __init__(self):
        self.kept = []
        self.is_full = False

    def keep(self, settings):
        if self.is_full:
            raise OSError("no space left")
        self.kept.append(settings)


@pytest.fixture
def file():
    return File()


@pytest.fixture
def rotation(file):
    return Rotation(settings_of(), file.keep)


def ready(next_key_version=0):
    from msgspec.structs import replace

    return replace(ready_of((0, 0)), next_key_version=next_key_version)


def answer(rotation, version, key=NEXT, code="00", under=None):
    settings = rotation.settings
    wrapped = wrap_root_key(under or settings.root_key, NUMBER, version, key)
    return KeyAnswer(response_code=code, key_version=version, wrapped_key=wrapped)


def fetch(rotation, version=2, key=NEXT):
    request = rotation.accepted(ready(version))
    assert request == KeyRequest(key_version=version)
    return rotation.answered(answer(rotation, version, key), request)


def test_fetched_kept_proved_and_the_old_one_gone(rotation, file):
    old = rotation.root_key
    assert fetch(rotation)
    [both] = file.kept
    assert (both.root_key, both.next_root_key, both.next_key_version) == (old, NEXT, 2)
    assert (rotation.key_version, rotation.root_key) == (2, NEXT)
    assert rotation.accepted(ready()) is None
    alone = file.kept[-1]
    assert (alone.root_key, alone.key_version, alone.next_root_key, alone.next_key_version) == (NEXT, 2, b"", 0)
    assert rotation.notes == [Note(NoteKind.KEY_CHANGED, "version 2")]


@pytest.mark.parametrize("version", [0, 1])
def test_nothing_newer_is_not_asked_for(rotation, version):
    assert rotation.accepted(ready(version)) is None


def test_without_a_place_to_keep_it_none_is_fetched():
    assert Rotation(settings_of()).accepted(ready(2)) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"code": "58"},
        {"under": OTHER},  # wrapped under another key than the one in force
        {"version": 3},
    ],
)
def test_an_answer_that_is_no_use_changes_nothing(rotation, file, bad):
    request = rotation.accepted(ready(2))
    bad = {"version": 2} | bad
    assert not rotation.answered(answer(rotation, **bad), request)
    assert (rotation.key_version, file.kept) == (1, [])
    assert [note.kind for note in rotation.notes] == [NoteKind.KEY_NOT_CHANGED]
    assert not rotation.answered(KeyAnswer(response_code="00", key_version=2, wrapped_key=NO_WRAPPED_KEY), request)


def test_a_host_that_does_not_answer_is_asked_three_times(rotation):
    for _ in range(ASKS_MAX):
        assert rotation.accepted(ready(2)) is not None
    assert rotation.accepted(ready(2)) is None


def test_an_answer_starts_the_count_anew(rotation):
    for _ in range(10):
        request = rotation.accepted(ready(2))
        assert not rotation.answered(answer(rotation, 2, code="58"), request)


def test_what_is_not_kept_is_not_used(rotation, file):
    file.is_full = True
    assert not fetch(rotation)
    assert rotation.key_version == 1
    file.is_full = False
    assert fetch(rotation)


def test_a_file_that_fails_when_the_old_one_is_to_go_holds_both(rotation, file):
    fetch(rotation)
    file.is_full = True
    rotation.accepted(ready())
    assert rotation.settings.key_version == 2
    [both] = file.kept
    assert both.next_key_version == 2
    again = Rotation(both, file.keep)
    assert again.key_version == 2


def test_refused_they_take_turns(rotation):
    fetch(rotation)
    seen = []
    for _ in range(5):
        seen.append(rotation.key_version)
        rotation.refused()
    assert seen == [2, 1, 2, 1, 2]


def test_one_key_has_no_turns(rotation):
    rotation.refused()
    assert rotation.key_version == 1


def test_the_same_key_that_was_refused_is_tried_so_often_and_no_more(rotation):
    assert fetch(rotation)
    tries = 1
    while True:
        rotation.refused()
        assert rotation.key_version == 1
        if not fetch(rotation):
            break
        tries += 1
    assert tries == NEXT_TRIES_MAX
    assert rotation.key_version == 1
    assert rotation.notes[-1].detail == "version 2: the host does not know the key that it gave out"


def test_another_key_under_the_same_number_takes_its_place_and_is_tried_anew(rotation, file):
    """The host was restored from an old backup and made that number's key again."""
    fetch(rotation)
    for _ in range(NEXT_TRIES_MAX):
        rotation.refused()
        fetch(rotation)
    rotation.refused()
    rotation.refused()
    rotation._uses_next = False
    assert fetch(rotation, key=OTHER)
    assert (file.kept[-1].next_root_key, file.kept[-1].key_version) == (OTHER, 1)


def test_two_keys_and_no_place_to_keep_them():
    """A terminal that keeps nothing, given a key file with both: it proves the next and goes on with it."""
    rotation = Rotation(settings_of(next_root_key=NEXT, next_key_version=2))
    assert rotation.accepted(ready(3)) is None
    assert (rotation.key_version, rotation.root_key) == (2, NEXT)


def test_a_newer_one_while_one_waits(rotation, file):
    fetch(rotation)
    rotation.refused()
    assert fetch(rotation, version=5, key=OTHER)
    assert (file.kept[-1].next_key_version, file.kept[-1].next_root_key) == (5, OTHER)


def test_switched_on_with_two_it_tries_the_newer_first(file):
    rotation = Rotation(settings_of(next_root_key=NEXT, next_key_version=2), file.keep)
    assert (rotation.key_version, rotation.root_key) == (2, NEXT)
    assert "nnn" not in repr(rotation)
