"""The disk and its damages by themselves: each one really happens, and what was synced is never touched."""

import errno
import os
from random import Random

import apsw
import pytest

from terminal_emulator import settings as settings_module
from tests.torture.damage import KINDS, SECTOR, WITH_DICE, Damage, damages
from tests.torture.disk import Disk, Gone, contents_of
from tests.torture.files import Files
from tests.torture.posix import installed

OLD = bytes([1]) * 4 * SECTOR
NEW = bytes([2]) * 4 * SECTOR


@pytest.fixture
def files():
    """One file rewritten and one new, nothing of it synced."""
    files = Files({"kept": OLD, "synced": OLD})
    files.write("synced", NEW, 0)
    files.sync("synced")
    files.write("kept", NEW, 0)
    files.create("new")
    files.write("new", NEW, 0)
    return files


def images(files, kind, count=200):
    return [Damage(kind, seed).image(files) for seed in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_touches_what_was_synced(files, kind):
    files.sync("kept")
    files.sync("new")
    files.sync_folder()
    assert all(image == files.seen() for image in images(files, kind))


def test_nothing_or_everything(files):
    assert Damage("lost").image(files) == {"kept": OLD, "synced": NEW}
    assert Damage("kept").image(files) == files.seen() == {"kept": NEW, "synced": NEW, "new": NEW}


def test_names_and_contents_are_lost_apart(files):
    assert Damage("names-lost").image(files) == {"kept": NEW, "synced": NEW}
    assert Damage("empty").image(files) == {"kept": OLD, "synced": NEW, "new": b""}
    assert Damage("zeros").image(files) == {"kept": OLD, "synced": NEW, "new": bytes(len(NEW))}


def test_deleted_files_come_back_and_renames_have_not_happened():
    files = Files({"a": OLD, "b": NEW})
    files.delete("a")
    files.rename("b", "c")
    assert files.seen() == {"c": NEW}
    assert Damage("lost").image(files) == {"a": OLD, "b": NEW}
    found = {tuple(image) for image in images(files, "sectors")}
    assert found == {("a", "b"), ("b",), ("c",)}, "names change in their order, up to any of them"
    files.sync_folder()
    assert Damage("lost").image(files) == {"c": NEW}


def test_sectors_are_torn_apart(files):
    seen = {image["kept"] for image in images(files, "sectors")}
    assert len(seen) > 10
    for content in seen:
        assert {content[place : place + SECTOR] for place in range(0, len(content), SECTOR)} <= {
            OLD[:SECTOR],
            NEW[:SECTOR],
        }


def test_later_writes_arrive_before_earlier_ones(files):
    assert any(image["kept"] == OLD and image.get("new") == NEW for image in images(files, "latest"))
    assert any(image["kept"] == OLD and image.get("new") == NEW for image in images(files, "one-file"))
    assert any(image["kept"] == OLD and image.get("new") == NEW for image in images(files, "writes"))


def test_writes_in_order_end_at_any_byte():
    files = Files({"journal": b""})
    for number in range(5):
        files.write("journal", bytes([number]) * 3, 3 * number)
    whole = files.seen()["journal"]
    found = {image["journal"] for image in images(files, "in-order")}
    assert found == {whole[:size] for size in range(len(whole) + 1)}


def test_holes_read_as_zeros():
    files = Files({"log": b""})
    files.write("log", NEW, 0)
    holes = [image["log"] for image in images(files, "zero-sectors")]
    assert {len(content) for content in holes} == {len(NEW)}
    assert any(set(content) == {0, 2} for content in holes)


def test_a_cut_and_a_growth_are_pending_like_writes():
    files = Files({"log": OLD})
    files.truncate("log", 10)
    files.truncate("log", 20)
    assert files.seen() == {"log": OLD[:10] + bytes(10)}
    assert Damage("lost").image(files) == {"log": OLD}
    files.sync("log")
    assert Damage("lost").image(files) == files.seen()


def test_a_sync_that_failed_is_not_made_up_for_by_a_later_one():
    files = Files({"log": b""})
    files.write("log", b"first", 0)
    files.lose_sync("log")
    files.write("log", b"second", 5)
    files.sync("log")
    assert files.seen() == {"log": b"firstsecond"}
    assert Damage("lost").image(files) == {"log": bytes(5) + b"second"}


def test_a_copy_goes_its_own_way(files):
    twin = files.copy()
    twin.write("kept", b"x", 0)
    twin.sync("kept")
    twin.delete("new")
    assert files.seen() == {"kept": NEW, "synced": NEW, "new": NEW}
    assert Damage("lost").image(files)["kept"] == OLD


def test_the_same_damage_is_always_the_same(files):
    for kind in WITH_DICE:
        assert Damage(kind, 7).image(files) == Damage(kind, 7).image(files.copy())
        assert Damage.parse(str(Damage(kind, 7))) == Damage(kind, 7)
    with pytest.raises(ValueError, match="expected one of lost"):
        Damage.parse("gone.1")


def test_few_damages_are_of_every_sort():
    assert {damage.kind for number in range(50) for damage in damages(1, number, first=number)} == {*KINDS}
    assert len({*damages(100, 1)}) == 100


def test_an_sqlite_works_on_it_and_all_it_does_is_recorded(tmp_path):
    disk = Disk(tmp_path)
    db = apsw.Connection(str(tmp_path / "x.db"), vfs=disk.vfs)
    db.pragma("journal_mode", "WAL")
    db.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    assert contents_of(tmp_path) == disk.files.seen()
    assert len(disk.trace) == disk.operations > 10
    again = Files({})
    again.carry_out(disk.trace)
    assert again.seen() == disk.files.seen()
    db.close()
    disk.close()


@pytest.mark.parametrize("torn", [False, True])
def test_a_write_that_fails_writes_nothing_or_half(tmp_path, torn):
    disk = Disk(tmp_path)
    disk.fail(2, apsw.FullError, last=2, only="write", torn=torn)
    with installed(disk, settings_module):
        settings_module.write_atomically(tmp_path / "a", b"first")
        with pytest.raises(OSError, match="No space left") as caught:
            settings_module.write_atomically(tmp_path / "a", b"second")
        assert caught.value.errno == errno.ENOSPC
        assert contents_of(tmp_path) == disk.files.seen() == {"a": b"first", "a.new": b"sec" if torn else b""}
        settings_module.write_atomically(tmp_path / "a", b"third")
    assert disk.faults == 1
    assert Damage("lost").image(disk.files) == {"a": b"third"}
    disk.close()


def test_a_program_that_was_killed_lets_go_of_its_files(tmp_path):
    disk = Disk(tmp_path)
    with installed(disk, settings_module) as system:
        descriptor = system.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
        disk.fail(1, Gone)
        with pytest.raises(Gone):
            system.write(descriptor, b"x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert settings_module.os is os
    disk.close()


def test_a_power_cut_into_another_folder(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a").write_bytes(OLD)
    disk = Disk(tmp_path / "disk")
    disk.do("write", "a", NEW, 0)
    for share, expected in ((0.0, OLD), (1.0, NEW)):
        disk.cut_power(tmp_path / f"after-{share}", Random(1), share)
        assert contents_of(tmp_path / f"after-{share}") == {"a": expected}
    disk.close()
