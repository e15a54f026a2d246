"""The files of key-encryption keys: found by fingerprint, replaced whole, never lost."""

from __future__ import annotations

import os
import stat

import pytest

from server.kek_files import KekFiles, KeyFault, fingerprint_of, load_kek

FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.fixture
def files(tmp_path):
    path = tmp_path / "kek.key"
    path.write_text(FIRST.hex() + "\n")
    path.chmod(0o600)
    return KekFiles(path)


def names(files) -> set[str]:
    return {path.name for path in files.path.parent.iterdir()}


def test_a_next_one_is_made_once(files):
    assert files.make_next(lambda size: SECOND[:size]) == SECOND
    assert files.make_next(lambda _: pytest.fail("there is one")) == SECOND
    assert load_kek(files.next_path) == SECOND
    assert stat.S_IMODE(files.next_path.stat().st_mode) == 0o600
    assert names(files) == {"kek.key", "kek.key.new"}


def test_a_next_one_that_is_the_one_in_force_is_none(files):
    files.next_path.write_text(FIRST.hex())
    files.next_path.chmod(0o600)
    assert files.make_next(lambda size: SECOND[:size]) == SECOND


def test_a_damaged_next_one_is_a_fault(files):
    files.next_path.write_text("rubbish")
    files.next_path.chmod(0o600)
    with pytest.raises(KeyFault, match=r"kek\.key\.new: expected 64 hex digits"):
        files.make_next(lambda size: SECOND[:size])


def test_found_by_fingerprint_wherever_it_is(files):
    files.make_next(lambda size: SECOND[:size])
    assert [files.find(fingerprint_of(kek)) for kek in (FIRST, SECOND, THIRD)] == [FIRST, SECOND, None]
    files.settle(SECOND)
    files.make_next(lambda size: THIRD[:size])
    assert [files.find(fingerprint_of(kek)) for kek in (FIRST, SECOND, THIRD)] == [FIRST, SECOND, THIRD]


def test_one_that_others_can_read_is_not_taken(files):
    files.make_next(lambda size: SECOND[:size])
    files.next_path.chmod(0o640)
    assert files.find(fingerprint_of(SECOND)) is None


def test_settled_the_old_one_is_kept(files):
    files.make_next(lambda size: SECOND[:size])
    files.settle(SECOND)
    retired = f"kek.key.{fingerprint_of(FIRST)}.old"
    assert names(files) == {"kek.key", retired}
    assert files.load() == SECOND
    assert load_kek(files.path.with_name(retired)) == FIRST
    assert [path.name for path in files.retired()] == [retired]
    files.settle(SECOND)
    assert names(files) == {"kek.key", retired}


def test_an_old_one_may_be_put_back(files):
    """A ledger restored from a backup needs the KEK of its time."""
    files.make_next(lambda size: SECOND[:size])
    files.settle(SECOND)
    files.settle(FIRST)
    assert files.load() == FIRST
    assert files.find(fingerprint_of(SECOND)) == SECOND
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.path.parent.iterdir()} == {0o600}


def test_kek_key_is_there_and_whole_at_every_moment(files, monkeypatch):
    """Whatever call is the last one before the power fails."""
    calls = ("replace", "fsync", "unlink", "open")
    reals = {name: getattr(os, name) for name in calls}
    count = limit = 0

    def counted(name):
        def call(*arguments, **named):
            nonlocal count
            count += 1
            if count == limit:
                raise KeyboardInterrupt  # no handler of ours catches it
            return reals[name](*arguments, **named)

        return call

    while True:
        limit, count = limit + 1, 0
        with monkeypatch.context() as patched:
            for name in calls:
                patched.setattr(os, name, counted(name))
            try:
                files.make_next(lambda size: SECOND[:size])
                files.settle(SECOND)
                break
            except KeyboardInterrupt:
                pass
        assert files.load() in (FIRST, SECOND)
        assert files.find(fingerprint_of(FIRST)) == FIRST
        if files.next_path.exists() or files.load() == SECOND:
            assert files.find(fingerprint_of(SECOND)) == SECOND
        for path in files.path.parent.iterdir():
            path.unlink()
        files.path.write_text(FIRST.hex())
        files.path.chmod(0o600)
    assert limit > 12
    assert files.load() == SECOND
