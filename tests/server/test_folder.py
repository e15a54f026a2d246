"""A data folder is made once, belongs to its owner alone, and has one writer: proven with real processes."""

import errno
import os
import random
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.config import Config, load_config
from server.folder import DataFolder, FolderBusy, FolderError, Running, find_folder
from server.ledger.sqlite import SqliteStore
from server.ledger.store import StoreRefused

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from server.folder import DataFolder
with DataFolder(Path(sys.argv[1])).locked("fanka serve"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def create(path, changes=None):
    return DataFolder.create(path, random.Random(5).randbytes, changes)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def holder(folder):
    """Another process that has the lock; its process number."""
    command = [sys.executable, "-c", HOLD, str(folder.path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.kill()


# --- Making one


def test_a_new_folder_has_a_configuration_and_a_key(tmp_path):
    folder = create(tmp_path / "deep" / "data", {("listen", "port"): 0})
    config = load_config(folder.config_path)
    assert config.listen.port == 0
    assert config.limits == Config().limits
    assert folder.kek_path.read_text() == random.Random(5).randbytes(32).hex() + "\n"
    store = SqliteStore(folder.ledger_path, create=False)
    assert store.head()[0] == 0
    store.close()
    folder.check()


def test_a_new_folder_is_its_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        folder = create(tmp_path / "data")
    finally:
        os.umask(old)
    assert mode(folder.path) == 0o700
    assert mode(folder.kek_path) == mode(folder.ledger_path) == 0o600


def test_a_new_folder_survives_a_power_cut_whole_or_is_none_yet(tmp_path, monkeypatch):
    """The configuration makes it a data folder: it appears only when all the rest is on the disk, and complete."""
    synced = []
    real = os.fsync

    def fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        inside = {child.name for child in path.iterdir()} if path.is_dir() else path.read_bytes()
        synced.append((path, inside))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = create(tmp_path / "deep" / "data")
    kek = (folder.kek_path, folder.kek_path.read_bytes())
    before = (folder.path, {"kek.key", "ledger.db"})
    after = (folder.path, {"kek.key", "ledger.db", "fanka.toml"})
    [config] = [entry for entry in synced if entry[1] == folder.config_path.read_bytes()]
    assert config[0] != folder.config_path
    assert [synced.index(step) for step in (kek, before, config, after)] == sorted(
        synced.index(step) for step in (kek, before, config, after)
    )
    # The way to it too: each new folder is a name in the one above.
    assert (tmp_path / "deep", {"data"}) in synced
    assert (tmp_path, {"deep"}) in synced


def test_a_folder_whose_making_was_cut_off_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
    with pytest.raises(OSError, match="power cut"):
        create(tmp_path / "data")
    with pytest.raises(FolderError, match="expected a data folder"):
        DataFolder(tmp_path / "data").check()


def test_an_empty_folder_will_do(tmp_path):
    (tmp_path / "lost+found").mkdir()  # a file system of its own, just mounted
    create(tmp_path).check()
    assert mode(tmp_path) == 0o700


@pytest.mark.parametrize("name", ["fanka.toml", "ledger.db", "kek.key", "lock", "notes.txt"])
def test_nothing_is_ever_overwritten(tmp_path, name):
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    (path / name).write_text("mine")
    with pytest.raises(FolderError, match=f"expected a new or empty folder, found {name} in it; choose another place"):
        create(path)
    assert {child.name: child.read_text() for child in path.iterdir()} == {name: "mine"}
    assert mode(path) == 0o755


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(FolderError, match="expected a new or empty folder, found a file"):
        create(tmp_path / "data")


def test_a_folder_is_made_once(tmp_path):
    folder = create(tmp_path / "data")
    kek = folder.kek_path.read_bytes()
    with pytest.raises(FolderError, match="expected a new or empty folder"):
        create(tmp_path / "data")
    assert folder.kek_path.read_bytes() == kek


# --- The lock


def test_a_second_process_is_refused_by_the_name_of_the_first(tmp_path):
    folder = create(tmp_path / "data")
    with holder(folder) as first:
        with pytest.raises(FolderBusy) as caught, folder.locked("fanka admin"):
            raise AssertionError("two holders")
        assert str(caught.value) == (
            f"{folder.path}: in use by fanka serve, process {first.pid}: two programs must not write one ledger;"
            " stop that one first"
        )
        # The refusal has not disturbed the holder, nor its name.
        with pytest.raises(FolderBusy, match=f"fanka serve, process {first.pid}"), folder.locked("fanka admin"):
            raise AssertionError("two holders")


def test_the_lock_dies_with_its_holder(tmp_path):
    folder = create(tmp_path / "data")
    with holder(folder) as first:
        first.kill()
        first.wait()
        with folder.locked("fanka serve"):
            assert folder.lock_path.read_text() == f"fanka serve, process {os.getpid()}\n"


def test_two_holders_in_one_process_are_refused_too(tmp_path):
    folder = create(tmp_path / "data")
    with folder.locked("one"), pytest.raises(FolderBusy, match="in use by one, process"), folder.locked("two"):
        raise AssertionError("two holders")


def test_the_lock_is_let_go_by_an_error(tmp_path):
    folder = create(tmp_path / "data")
    with pytest.raises(ZeroDivisionError), folder.locked("one, with a long name"):
        raise ZeroDivisionError
    with folder.locked("two"):
        assert folder.lock_path.read_text() == f"two, process {os.getpid()}\n"
    assert mode(folder.lock_path) == 0o600


def test_a_holder_without_a_name_is_another_process(tmp_path):
    folder = create(tmp_path / "data")
    with folder.locked("one"):
        folder.lock_path.write_text("")
        with pytest.raises(FolderBusy, match="in use by another process"), folder.locked("two"):
            raise AssertionError("two holders")


# --- The note of where a host listens


def test_a_running_host_leaves_a_note_of_where_it_listens(tmp_path):
    folder = create(tmp_path / "data")
    running = Running(42, ("127.0.0.1", 4105), ("127.0.0.1", 4106))
    assert folder.running() is None
    with folder.announced(running):
        assert folder.running() == running
    assert folder.running() is None
    assert not folder.running_path.exists()


@pytest.mark.parametrize("left", [b"", b"{", b"[1, 2]", b'{"terminals": ["\xff", 1]}'])
def test_a_note_that_cannot_be_read_is_none(tmp_path, left):
    folder = create(tmp_path / "data")
    folder.running_path.write_bytes(left)
    assert folder.running() is None


# --- Finding one


def test_the_folder_named_is_taken(tmp_path):
    folder = create(tmp_path / "named")
    create(tmp_path / "other")
    assert find_folder(folder.path, str(tmp_path / "other"), tmp_path).path == folder.path


def test_then_the_environment(tmp_path):
    folder = create(tmp_path / "environment")
    create(tmp_path / "other")
    assert find_folder(None, str(folder.path), tmp_path).path == folder.path


def test_then_here_and_then_the_only_one_below(tmp_path):
    folder = create(tmp_path / "data")
    assert find_folder(None, None, folder.path).path == folder.path
    assert find_folder(None, "", tmp_path).path == folder.path


@pytest.mark.parametrize(("names", "found"), [([], "none"), (["b", "a"], "a, b")])
def test_none_or_many_below_are_no_answer(tmp_path, names, found):
    for name in names:
        create(tmp_path / name)
    with pytest.raises(FolderError, match=f"expected one data folder here or directly below, found {found}; name it"):
        find_folder(None, None, tmp_path)


@pytest.mark.parametrize("left", ["kek.key", "ledger.db"])
def test_a_lost_configuration_is_brought_back_by_a_restore(tmp_path, left):
    (tmp_path / left).touch()
    said = (
        rf"with fanka\.toml, found {left} without it; bring it back from a backup: `fanka restore BACKUP .* --replace`"
    )
    with pytest.raises(FolderError, match=said):
        find_folder(tmp_path, None, tmp_path)


def test_another_users_folder(tmp_path, monkeypatch):
    def denied(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.is_file", denied)  # root, who may be running this, is denied nothing
    with pytest.raises(FolderError, match="cannot be read: permission denied: look at its owner and permissions"):
        find_folder(tmp_path, None, tmp_path)


def test_a_ledger_that_is_not_finished_is_its_owners_alone(tmp_path, monkeypatch):
    def full(*_):
        raise StoreRefused("the disk is full")

    monkeypatch.setattr("server.ledger.sqlite.SqliteStore._migrate", full)
    with pytest.raises(StoreRefused):
        create(tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "data" / "ledger.db").stat().st_mode) == 0o600


def test_a_named_folder_must_be_one(tmp_path):
    for explicit, environment in ((tmp_path, None), (None, str(tmp_path))):
        with pytest.raises(FolderError, match=r"expected a data folder with fanka\.toml; `fanka init"):
            find_folder(explicit, environment, tmp_path)
