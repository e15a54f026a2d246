"""Terminals: key files, one-time codes, revocation. A code works once, in time, on its own machine."""

from __future__ import annotations

import pytest

from protocol import TerminalNumber
from server.operations.terminals import CODE_LIFETIME_MS, KEY_VERSION_MAX

TILL = TerminalNumber(3, 58).to_int()


@pytest.fixture
def campus(office):
    """An office with one merchant."""
    office.call("merchant.add", name="一食堂")
    return office


def record(office):
    return office.registry.find_terminal(TILL)


def offer(office, **arguments):
    """A code for terminal 3-58, as the host finds it wrapped in the ledger."""
    offered = office.call("terminal.enrol", terminal="3-58", merchant_id=1, with_code=True, **arguments)
    assert office.keys.unwrap(record(office).wrapped_code).hex() == offered["code"]
    assert len(bytes.fromhex(offered["code"])) == 16
    return offered


def test_enrolled_with_a_key(campus):
    enrolled = campus.call("terminal.enrol", terminal="3-58", merchant_id=1, serial_number="SN1")
    assert enrolled["terminal"] == "3-58"
    assert enrolled["key_version"] == 1
    found = record(campus)
    assert campus.keys.unwrap(found.wrapped_key).hex() == enrolled["root_key"]
    assert len(bytes.fromhex(enrolled["root_key"])) == 32
    assert bytes.fromhex(enrolled["root_key"]) not in found.wrapped_key
    assert (found.merchant_name, found.serial_number, found.enrolled_at_ms) == ("一食堂", "SN1", campus.now_ms)
    assert campus.revoked == []


def test_listings_show_no_key(campus):
    enrolled = campus.call("terminal.enrol", terminal="3-58", merchant_id=1)
    [shown] = campus.call("terminal.listing")
    assert shown == {
        "terminal": "3-58",
        "merchant_id": 1,
        "merchant_name": "一食堂",
        "state": "enrolled",
        "serial_number": "",
        "key_version": 1,
        "next_key_version": 0,
        "key_made_at_ms": campus.now_ms,
        "enrolled_at_ms": campus.now_ms,
    }
    assert enrolled["root_key"] not in str(shown)


def test_enrolled_again_the_old_key_is_gone_and_its_session_cut(campus):
    first = campus.call("terminal.enrol", terminal="3-58", merchant_id=1)
    second = campus.call("terminal.enrol", terminal="3-58")
    assert second["key_version"] == 2
    assert second["root_key"] != first["root_key"]
    assert record(campus).merchant_id == 1
    assert campus.revoked == [TILL]


def test_many_at_once(campus):
    campus.call("terminal.enrol", terminal="3-2", merchant_id=1)
    rows = campus.call("terminal.enrol_many", first="3-1", count=500, merchant_id=1)
    assert [row["terminal"] for row in rows] == [f"3-{device}" for device in range(1, 501)]
    assert len({row["root_key"] for row in rows}) == 500
    assert [row["key_version"] for row in rows[:3]] == [1, 2, 1]
    assert campus.revoked == [TerminalNumber(3, 2).to_int()]
    first_page = campus.call("terminal.listing", limit=300)
    rest = campus.call("terminal.listing", after=first_page[-1]["terminal"])
    assert len(first_page) == 300
    assert len(first_page) + len(rest) == 500


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"first": "3-1", "count": 0, "merchant_id": 1}, "count: expected 1..500 terminals at a time, got 0"),
        ({"first": "3-1", "count": 501, "merchant_id": 1}, "got 501"),
        ({"first": "3-65535", "count": 2, "merchant_id": 1}, "device numbers up to 65535"),
        ({"first": "3-1", "count": 2, "merchant_id": 4}, "which none has"),
    ],
)
def test_many_refused(campus, arguments, said):
    assert said in campus.refused("terminal.enrol_many", **arguments)


@pytest.mark.parametrize("number", ["0-0", "3", "3-", "a-1", "3-65536", "-1-2", "３-58", ""])
def test_a_number_nobody_can_have_is_refused(campus, number):
    assert "terminal number: expected" in campus.refused("terminal.enrol", terminal=number, merchant_id=1)


def test_a_merchant_is_needed_and_must_be_open(campus):
    assert "got none" in campus.refused("terminal.enrol", terminal="3-58")
    campus.call("merchant.close", merchant_id=1)
    assert "which is closed; reopen it first" in campus.refused("terminal.enrol", terminal="3-58", merchant_id=1)


# --------------------------------------------------------------------------------------------------- codes


def test_a_code_gives_the_key_once(campus):
    offered = offer(campus)
    assert offered["expires_at_ms"] == campus.now_ms + CODE_LIFETIME_MS
    assert campus.call("terminal.listing")[0]["state"] == "code issued"
    key_version, root_key = campus.admin.redeem_code(TILL, "SN77")
    found = record(campus)
    assert key_version == found.key_version == 1
    assert campus.keys.unwrap(found.wrapped_key) == root_key
    assert (found.wrapped_code, found.code_expires_at_ms, found.serial_number) == (None, 0, "SN77")
    assert campus.admin.redeem_code(TILL, "SN77") is None
    assert record(campus) == found


def test_key_and_code_change_in_one_commit(campus):
    offer(campus)
    before = record(campus)

    def full(*_arguments, **_named):
        raise OSError("the disk is full")

    real, campus.registry.set_key = campus.registry.set_key, full
    with pytest.raises(OSError, match="full"):
        campus.admin.redeem_code(TILL, "")
    assert record(campus) == before
    campus.registry.set_key = real
    assert campus.admin.redeem_code(TILL, "") is not None


def test_a_code_runs_out(campus):
    offer(campus)
    campus.now_ms += CODE_LIFETIME_MS
    assert campus.call("terminal.listing")[0]["state"] == "no key"
    assert campus.admin.redeem_code(TILL, "") is None
    assert record(campus).wrapped_code is None
    campus.now_ms -= CODE_LIFETIME_MS  # even a clock that goes back does not revive it
    assert campus.admin.redeem_code(TILL, "") is None


def test_a_code_is_good_to_its_last_millisecond(campus):
    offer(campus)
    campus.now_ms += CODE_LIFETIME_MS - 1
    assert campus.admin.redeem_code(TILL, "") is not None


def test_a_code_bound_to_a_machine_is_used_up_by_any_other(campus):
    offer(campus, serial_number="SN1")
    assert campus.admin.redeem_code(TILL, "SN2") is None
    assert campus.admin.redeem_code(TILL, "SN1") is None
    offer(campus, serial_number="SN1")
    assert campus.admin.redeem_code(TILL, "SN1") is not None
    assert record(campus).serial_number == "SN1"


def test_a_newer_code_replaces_the_older(campus):
    offer(campus)
    older = record(campus).wrapped_code
    offer(campus)
    assert campus.admin.redeem_code(TILL, "", older) is None
    assert campus.admin.redeem_code(TILL, "", record(campus).wrapped_code) is not None


def test_the_old_key_serves_until_the_code_is_used(campus):
    campus.call("terminal.enrol", terminal="3-58", merchant_id=1, serial_number="OLD")
    old = record(campus)
    offer(campus)
    waiting = record(campus)
    assert (waiting.wrapped_key, waiting.key_version, waiting.serial_number) == (old.wrapped_key, 1, "OLD")
    assert campus.call("terminal.listing")[0]["state"] == "enrolled, new code issued"
    assert campus.revoked == []
    assert campus.admin.redeem_code(TILL, "NEW")[0] == 2
    assert record(campus).wrapped_key != old.wrapped_key


def test_nobody_else_can_redeem(campus):
    assert campus.admin.redeem_code(TILL, "") is None
    campus.call("terminal.enrol", terminal="3-58", merchant_id=1)
    assert campus.admin.redeem_code(TILL, "") is None


# ---------------------------------------------------------------------------------------------- revocation


def test_revoked_the_session_is_cut_and_a_code_void(campus):
    campus.call("terminal.enrol", terminal="3-58", merchant_id=1)
    offer(campus)
    assert campus.call("terminal.revoke", terminal="3-58")["state"] == "revoked"
    assert campus.revoked == [TILL]
    assert record(campus).wrapped_code is None
    assert campus.admin.redeem_code(TILL, "") is None


def test_reinstated_with_the_key_it_had(campus):
    campus.call("terminal.enrol", terminal="3-58", merchant_id=1)
    key = record(campus).wrapped_key
    campus.call("terminal.revoke", terminal="3-58")
    assert campus.call("terminal.reinstate", terminal="3-58")["state"] == "enrolled"
    assert record(campus).wrapped_key == key


def test_a_code_for_a_revoked_terminal_does_not_revive_the_stolen_key(campus):
    campus.call("terminal.enrol", terminal="3-58", merchant_id=1)
    campus.call("terminal.revoke", terminal="3-58")
    offer(campus)
    assert record(campus).wrapped_key is None
    assert campus.admin.redeem_code(TILL, "")[0] == 2


def test_a_terminal_without_a_key_cannot_be_reinstated(campus):
    offer(campus)
    campus.call("terminal.revoke", terminal="3-58")
    assert "got one without; enrol it again" in campus.refused("terminal.reinstate", terminal="3-58")


@pytest.mark.parametrize("operation", ["revoke", "reinstate"])
def test_an_unknown_terminal_is_refused(campus, operation):
    assert "expected an enrolled one, got 3-58" in campus.refused(f"terminal.{operation}", terminal="3-58")


def test_key_versions_run_out_with_a_word(campus):
    campus.call("terminal.enrol", terminal="3-58", merchant_id=1)
    campus.store.execute("UPDATE terminals SET key_version = ?", (KEY_VERSION_MAX,))
    assert "its 65535 key versions are used up" in campus.refused("terminal.enrol", terminal="3-58")
