"""Keys at rest: RFC 3394 wrapping, the key-encryption key's file, and the ledger's tie to it."""

from __future__ import annotations

import errno

import pytest

from server.keys import (
    COMING,
    KeyFault,
    KeyRing,
    bind_kek,
    coming_fingerprint,
    fingerprint_of,
    known_fingerprint,
    load_kek,
)
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore

KEK = bytes(range(32))


def kek_file(tmp_path, text: str, mode: int = 0o600):
    path = tmp_path / "kek.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_rfc_3394_test_vector_4_6():
    ring = KeyRing(bytes.fromhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"))
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    wrapped = "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
    assert ring.wrap(key).hex().upper() == wrapped
    assert ring.unwrap(bytes.fromhex(wrapped)) == key


@pytest.mark.parametrize("size", [16, 32])
def test_wrapped_and_unwrapped(size):
    key = bytes(range(100, 100 + size))
    assert KeyRing(KEK).unwrap(KeyRing(KEK).wrap(key)) == key


def test_another_kek_or_a_flipped_bit_is_noticed():
    wrapped = KeyRing(KEK).wrap(bytes(32))
    with pytest.raises(KeyFault, match=r"is it the right file\?"):
        KeyRing(bytes(32)).unwrap(wrapped)
    for bit in range(8 * len(wrapped)):
        flipped = bytearray(wrapped)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeyFault):
            KeyRing(KEK).unwrap(bytes(flipped))
    for size in (0, 8, 39, 41):
        with pytest.raises(KeyFault):
            KeyRing(KEK).unwrap(bytes(size))


def test_nothing_of_the_key_is_shown():
    assert KEK.hex() not in repr(KeyRing(KEK)) + KeyRing(KEK).fingerprint
    assert repr(KeyRing(KEK)) == "<KeyRing>"


def test_read_from_its_file(tmp_path):
    assert load_kek(kek_file(tmp_path, KEK.hex() + "\n")) == KEK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected 64 hex digits, got 0"),
        (KEK.hex()[:-2], "expected 64 hex digits, got 62"),
        (KEK.hex() + "00", "expected 64 hex digits, got 66"),
        ("zz" * 32, "got other characters"),
        ("\u00e9" * 32, "cannot read them"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, text, said):
    path = kek_file(tmp_path, text)
    with pytest.raises(KeyFault, match=said) as caught:
        load_kek(path)
    assert str(path) in str(caught.value)


def test_a_file_of_somebody_else_is_not_called_malformed(tmp_path, monkeypatch):
    path = kek_file(tmp_path, KEK.hex())
    monkeypatch.setattr("pathlib.Path.read_text", denied)
    with pytest.raises(KeyFault, match=r"kek.key: cannot be read: permission denied: look at its owner and perm"):
        load_kek(path)


def denied(path, *_):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_open_to_others_is_refused(tmp_path, mode):
    path = kek_file(tmp_path, KEK.hex(), mode)
    with pytest.raises(KeyFault, match=rf"expected permissions 0600 \(owner only\), got 0{mode:o}; run chmod 600"):
        load_kek(path)


def test_a_missing_file_is_told_with_what_it_means(tmp_path):
    with pytest.raises(KeyFault, match="restore it from the backup of the keys"):
        load_kek(tmp_path / "kek.key")


def test_a_ledger_knows_its_kek():
    store = SqliteStore(":memory:")
    registry = Registry(store)
    assert known_fingerprint(registry) is None
    bind_kek(registry, KeyRing(KEK))
    bind_kek(registry, KeyRing(KEK))
    with pytest.raises(KeyFault, match=r"put back the kek[.]key that belongs to this ledger"):
        bind_kek(registry, KeyRing(bytes(32)))
    assert known_fingerprint(registry) == KeyRing(KEK).fingerprint
    store.close()


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_kek_of_another_size_is_refused(size):
    with pytest.raises(KeyFault, match=f"expected 32 bytes, got {size}"):
        KeyRing(bytes(size))
    with pytest.raises(KeyFault, match=f"expected 32 bytes, got {size}"):
        KeyRing(KEK, bytes(size))


def test_wraps_under_the_first_and_unwraps_under_all():
    other, secret = bytes(range(1, 33)), bytes(range(40, 72))
    ring = KeyRing(other, KEK)
    assert ring.wrap(secret) == KeyRing(other).wrap(secret)
    assert ring.unwrap(KeyRing(KEK).wrap(secret)) == secret
    assert ring.fingerprint == KeyRing(other).fingerprint
    ring.use(other)
    with pytest.raises(KeyFault):
        ring.unwrap(KeyRing(KEK).wrap(secret))


def test_the_same_secret_is_known_however_it_is_wrapped():
    other, secret = bytes(range(1, 33)), bytes(range(40, 56))
    ring = KeyRing(other, KEK)
    old, new = KeyRing(KEK).wrap(secret), ring.wrap(secret)
    assert ring.same(old, new)
    assert ring.same(old, old)
    assert not ring.same(old, ring.wrap(bytes(16)))
    assert not ring.same(old, bytes(24))
    assert not KeyRing(other).same(old, new)


def test_a_kek_that_is_needed_and_not_there_is_named():
    store = SqliteStore(":memory:")
    registry = Registry(store)
    bind_kek(registry, KeyRing(KEK))
    other = bytes(range(1, 33))
    with store.transaction():
        registry.set_meta(COMING, fingerprint_of(other))
    assert coming_fingerprint(registry) == fingerprint_of(other)
    with pytest.raises(KeyFault, match=f"with fingerprint {fingerprint_of(other)}.*while keys are being re-wrapped"):
        bind_kek(registry, KeyRing(KEK))
    ring = KeyRing(KEK, other)
    bind_kek(registry, ring)
    assert ring.fingerprint == fingerprint_of(other)
    store.close()
