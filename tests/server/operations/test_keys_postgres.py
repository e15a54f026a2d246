"""Key changes and re-wrapping with the ledger in PostgreSQL: the same statements, the same results."""

from __future__ import annotations

import pytest

from protocol import TerminalNumber
from server.kek_files import KekFiles, fingerprint_of
from server.keys import KeyFault, KeyRing
from server.operations import keys as operation
from server.stores import open_postgres
from tests.postgres import shared_server
from tests.server.office import KEK, Office

TILL = TerminalNumber(3, 2).to_int()


@pytest.mark.slow
def test_rotated_and_rewrapped(tmp_path, monkeypatch):
    monkeypatch.setattr(operation, "PAGE_MAX", 3)
    files = KekFiles(tmp_path / "kek.key")
    files.path.write_text(KEK.hex())
    files.path.chmod(0o600)
    store = open_postgres(shared_server().new_database())
    try:
        office = Office(store)
        office.keys.files = files
        office.call("merchant.add", name="一食堂")
        office.call("terminal.enrol_many", first="3-1", count=8, merchant_id=1)
        office.call("terminal.rotate", first="3-1", count=3)
        office.call("terminal.enrol", terminal="3-8", with_code=True)
        assert office.admin.adopt_key(TILL, 2)
        before = secrets_of(office, office.keys)
        assert len(before) == 8 + 2 + 1
        while not office.call("keys.rewrap")["done"]:
            assert secrets_of(office, office.keys) == before
        assert secrets_of(office, KeyRing(files.load())) == before
        with pytest.raises(KeyFault):
            secrets_of(office, KeyRing(KEK))
        shown = office.call("keys.show")
        assert (shown["fingerprint"], shown["coming"]) == (fingerprint_of(files.load()), "")
        found = office.registry.find_terminal(TILL)
        assert (found.key_version, found.waiting_version, found.key_made_at_ms) == (2, 0, office.now_ms)
        office.call("terminal.revoke", terminal="3-1")
        assert office.registry.find_terminal(TILL - 1).waiting_version == 0
        office.audit()
    finally:
        store.close()


def secrets_of(office, ring) -> dict[tuple[int, str], bytes]:
    records = office.registry.terminals(after=0, limit=100)
    names = ("wrapped_key", "next_wrapped_key", "wrapped_code")
    return {
        (record.terminal_id, name): ring.unwrap(getattr(record, name))
        for record in records
        for name in names
        if getattr(record, name) is not None
    }
