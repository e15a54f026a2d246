"""`fanka doctor`: each thing it looks at, seen to be good and seen to be bad."""

from __future__ import annotations

import errno
import json
import socket
import time
from datetime import date, timedelta
from importlib.util import find_spec

import pytest

import tools.doctor
from server.business_day import business_day_at
from server.config import Day
from server.ledger.sqlite import SqliteStore
from tools.doctor import DISK_BAD_BYTES, DISK_WARN_BYTES


def levels(fanka, *words):
    """name -> level, after a run; the exit code is 1 exactly when something is bad."""
    code = fanka("doctor", *words, "--json")
    report = json.loads(fanka.out)
    found = {finding["name"]: finding["level"] for finding in report["findings"]}
    assert code == (0 if report["ok"] else 1)
    assert report["ok"] == ("bad" not in found.values())
    assert all(finding["mend"] for finding in report["findings"] if finding["level"] != "ok")
    return found


def detail(fanka, name):
    return next(f["detail"] + f["mend"] for f in json.loads(fanka.out)["findings"] if f["name"] == name)


def test_a_good_folder(fanka, folder):
    found = levels(fanka)
    for name in (
        "python",
        "packages",
        "sqlite",
        "clock",
        "permissions",
        "config",
        "keys",
        "ledger",
        "business day",
        "host",
    ):
        assert found[name] == "ok", name
    assert fanka("doctor", folder.path) in (0, 1)
    assert "kek.key: fingerprint" in fanka.out
    assert folder.kek_path.read_text().strip() not in fanka.out
    assert not [*folder.path.glob(".doctor*")]


def test_no_folder(fanka, tmp_path, monkeypatch):
    monkeypatch.delenv("FANKA_DATA")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert levels(fanka)["folder"] == "warn"
    assert levels(fanka, empty)["folder"] == "bad"


def test_another_users_folder(fanka, folder, monkeypatch):
    def denied(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.is_file", denied)  # root, who may be running this, is denied nothing
    assert levels(fanka, folder.path)["folder"] == "bad"
    assert "permission denied: look at its owner" in detail(fanka, "folder")


def test_files_open_to_others(fanka, folder):
    folder.ledger_path.chmod(0o644)
    folder.kek_path.chmod(0o640)
    found = levels(fanka)
    assert (found["permissions"], found["keys"]) == ("bad", "bad")
    assert "ledger.db is open to others (0644)" in detail(fanka, "permissions")


def test_a_setting_nobody_knows(fanka, folder):
    folder.config_path.write_text("[limits]\nidle_timeout_ms = 5\n")
    assert levels(fanka)["config"] == "bad"
    assert "did you mean `idle_timeout_s`?" in detail(fanka, "config")


def test_the_wrong_kek(fanka, folder):
    fanka("admin", "merchant", "list")
    folder.kek_path.write_text("00" * 32)
    assert levels(fanka)["keys"] == "bad"
    assert "put back the kek.key" in detail(fanka, "keys")


def test_no_ledger(fanka, folder):
    folder.ledger_path.unlink()
    assert levels(fanka)["ledger"] == "bad"


@pytest.mark.parametrize(("days_behind", "level"), [(0, "ok"), (7, "ok"), (8, "bad"), (62, "bad"), (-2, "bad")])
def test_a_business_day_that_waits_for_a_person(fanka, folder, days_behind, level):
    today = business_day_at(time.time_ns() // 1_000_000, Day())
    day = shown(date.fromisoformat(str(today)) - timedelta(days=days_behind))
    store = SqliteStore(folder.ledger_path)
    store.execute("INSERT INTO business_days VALUES (?, 0, 1)", (day,))
    store.close()
    assert levels(fanka)["business day"] == level
    assert str(day) in detail(fanka, "business day")
    if days_behind > 7:
        assert f"fanka admin day open {today}" in detail(fanka, "business day")


def shown(day):
    return int(f"{day:%Y%m%d}")


def test_a_ledger_that_is_none(fanka, folder):
    folder.ledger_path.write_text("not a database, but quite long enough to be looked at" * 50)
    assert levels(fanka)["ledger"] == "bad"


def test_a_port_in_use(fanka, folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        folder.config_path.write_text(f"[listen]\nport = {port}\n[http]\nport = 0\n")
        assert levels(fanka)[f"port {port}"] == "bad"
        assert "stop what listens there, or change fanka.toml" in detail(fanka, f"port {port}")


def test_a_host_that_runs(fanka, folder):
    with folder.locked("fanka serve"), socket.socket(socket.AF_UNIX) as control:
        control.bind(str(folder.control_path))
        control.listen()
        found = levels(fanka)
    assert found["host"] == "ok"
    assert not [name for name in found if name.startswith("port")]
    assert "running: fanka serve, process" in detail(fanka, "host")


def test_too_few_files(fanka, folder, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 1024))
    assert levels(fanka)["file limit"] == "bad"
    assert "LimitNOFILE=12064" in detail(fanka, "file limit")


@pytest.mark.parametrize(
    ("free", "level"), [(DISK_WARN_BYTES, "ok"), (DISK_WARN_BYTES - 1, "warn"), (DISK_BAD_BYTES - 1, "bad")]
)
def test_disk(fanka, monkeypatch, free, level):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert levels(fanka)["disk"] == level


@pytest.mark.parametrize(("seconds", "level"), [(0.0002, "ok"), (0.05, "warn"), (0.5, "bad")])
def test_fsync(tmp_path, seconds, level):
    ticks = iter(range(1000))
    found = tools.doctor._look_at_fsync(tmp_path, lambda: next(ticks) * seconds)
    assert found.level == level


def test_fsync_where_nothing_can_be_written(tmp_path):
    assert tools.doctor._look_at_fsync(tmp_path / "gone").level == "bad"


def test_an_old_sqlite(fanka, monkeypatch):
    import apsw

    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.45.1")
    found = levels(fanka)
    assert (found["sqlite"], found["ledger"]) == ("bad", "bad")
    assert "3.45.1: expected 3.51.3 or newer" in detail(fanka, "sqlite")


def test_crcmod_without_its_c_extension(fanka, monkeypatch):
    def without_extension(name):
        return None if name == "crcmod._crcfunext" else find_spec(name)

    monkeypatch.setattr("tools.doctor.find_spec", without_extension)
    assert levels(fanka)["crc"] == "warn"


def test_a_package_missing(fanka, monkeypatch):
    monkeypatch.setattr(tools.doctor, "PACKAGES", ("trio", "no-such-package"))
    assert levels(fanka)["packages"] == "bad"
    assert "missing: no-such-package" in detail(fanka, "packages")


def test_a_clock_without_battery(fanka, monkeypatch):
    from datetime import UTC, datetime

    class Long(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2001, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(tools.doctor, "datetime", Long)
    assert levels(fanka)["clock"] == "bad"


def test_for_people(fanka):
    fanka("doctor")
    assert fanka.out.startswith("ok    python")
