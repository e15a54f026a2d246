"""`fanka admin terminal rotate` and `fanka admin keys`, as they are typed."""

from __future__ import annotations

import json

import pytest

from server.keys import KeyRing, known_fingerprint, load_kek
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from tools import admin_keys


@pytest.fixture
def terminals(fanka, folder, tmp_path):
    """Merchant 1 with terminals 3-1 to 3-6, one of them revoked."""
    fanka("admin", "merchant", "add", "一食堂")
    assert fanka("admin", "terminal", "enrol", "3-1..3-6", "--merchant", 1, "--out", tmp_path / "keys") == 0
    assert fanka("admin", "terminal", "revoke", "3-6") == 0


def waiting(fanka):
    return [one["terminal"] for one in fanka.json("admin", "terminal", "list") if one["next_key_version"]]


def test_one(fanka, terminals):
    assert fanka("admin", "terminal", "rotate", "3-2") == 0
    assert fanka.out == "terminal 3-2: key version 2 waits for it\n"
    assert waiting(fanka) == ["3-2"]
    assert "enrolled, new key waits" in shown(fanka)


def shown(fanka):
    fanka("admin", "terminal", "list")
    return fanka.out


def test_a_range(fanka, terminals):
    assert fanka("admin", "terminal", "rotate", "3-2..3-4", "--now") == 0
    assert fanka.out == "3 terminals: new keys wait for them\n"
    assert waiting(fanka) == ["3-2", "3-3", "3-4"]


def test_all_that_have_a_key_page_by_page(fanka, terminals, monkeypatch):
    monkeypatch.setattr(admin_keys, "PAGE", 2)
    made = fanka.json("admin", "terminal", "rotate", "--all")
    assert made == [{"terminal": f"3-{n}", "key_version": 1, "next_key_version": 2} for n in range(1, 6)]
    assert waiting(fanka) == ["3-1", "3-2", "3-3", "3-4", "3-5"]


def test_by_age(fanka, terminals, folder):
    store = SqliteStore(folder.ledger_path)
    with store.transaction():
        store.execute(
            "UPDATE terminals SET key_made_at_ms = key_made_at_ms - ? WHERE terminal_id < ?",
            (400 * 86_400_000, 3 << 16 | 3),
        )
    store.close()
    assert fanka("admin", "terminal", "rotate", "--older-than", 365) == 0
    assert fanka.out == "2 terminals: new keys wait for them\n"
    assert waiting(fanka) == ["3-1", "3-2"]


@pytest.mark.parametrize("words", [(), ("3-1", "--all"), ("--all", "--older-than", "3"), ("3-1", "--older-than", "3")])
def test_one_way_to_say_which(fanka, terminals, words):
    assert fanka("admin", "terminal", "rotate", *words) == 2
    assert "expected one of a terminal's number, a range, --all, --older-than DAYS" in fanka.err
    assert waiting(fanka) == []


def test_who_has_no_key_is_refused(fanka, terminals):
    assert fanka("admin", "terminal", "rotate", "3-5..3-6") == 2
    assert "terminal 3-6: expected one with a key in force, got one that is revoked" in fanka.err
    assert waiting(fanka) == []


def test_rewrapped(fanka, terminals, folder):
    before = load_kek(folder.kek_path)
    assert fanka("admin", "keys", "show") == 0
    assert fanka.out == f"in force: fingerprint {KeyRing(before).fingerprint}\n"
    assert fanka("admin", "keys", "rewrap") == 0
    after = load_kek(folder.kek_path)
    assert after != before
    fingerprint = KeyRing(after).fingerprint
    assert fanka.out.startswith(f"6 terminals under the new kek.key, fingerprint {fingerprint}. Copy it to the backup")
    assert f"kek.key.{KeyRing(before).fingerprint}.old" in fanka.out
    assert fanka.json("admin", "keys", "show") == {
        "fingerprint": fingerprint,
        "coming": "",
        "retired": [f"kek.key.{KeyRing(before).fingerprint}.old"],
    }
    fanka("doctor", folder.path)
    assert "kek.key: fingerprint" in fanka.out
    assert fanka("verify") == 0


def test_broken_off_it_is_said_and_goes_on(fanka, terminals, folder, monkeypatch):
    real, steps = admin_keys.admin_channel, []

    class Dies:
        def __init__(self, channel):
            self.channel = channel

        def call(self, operation, **arguments):
            steps.append(operation)
            if len(steps) > 1:
                raise KeyboardInterrupt
            return self.channel.call(operation, **arguments)

    from contextlib import contextmanager

    @contextmanager
    def dying(data):
        with real(data) as channel:
            yield Dies(channel)

    with monkeypatch.context() as patched:
        patched.setattr(admin_keys, "admin_channel", dying)
        with pytest.raises(KeyboardInterrupt):
            admin_keys.rewrap_keys(data=folder.path)
    assert fanka("admin", "keys", "show") == 0
    assert "`fanka admin keys rewrap` goes on with it" in fanka.out
    fanka("doctor", folder.path, "--json")
    [found] = [one for one in json.loads(fanka.out)["findings"] if one["name"] == "keys"]
    assert (found["level"], "being re-wrapped" in found["detail"]) == ("warn", True)
    moved = folder.kek_path.with_name("kek.key.new").rename(folder.path / "elsewhere")
    fanka("doctor", folder.path, "--json")
    [found] = [one for one in json.loads(fanka.out)["findings"] if one["name"] == "keys"]
    assert found["level"] == "bad"
    moved.rename(folder.kek_path.with_name("kek.key.new"))
    assert fanka("admin", "keys", "rewrap") == 0
    store = SqliteStore(folder.ledger_path, readonly=True)
    assert known_fingerprint(Registry(store)) == KeyRing(load_kek(folder.kek_path)).fingerprint
    store.close()
