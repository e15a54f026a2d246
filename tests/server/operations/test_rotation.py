"""Making the next keys of terminals: one, a range, all, those of a certain age."""

from __future__ import annotations

from protocol import TerminalNumber
from server.operations.terminals import DAY_MS, KEY_VERSION_MAX


def test_waits_as_it_is_until_it_is_fetched(office):
    office.call("merchant.add", name="一食堂")
    office.call("terminal.enrol", terminal="3-58", merchant_id=1)
    [first] = office.call("terminal.rotate", first="3-58")
    waiting = office.registry.find_terminal(TerminalNumber(3, 58).to_int())
    assert office.call("terminal.rotate", first="3-58") == [first]
    assert office.registry.find_terminal(TerminalNumber(3, 58).to_int()) == waiting
    assert office.revoked == []
    assert waiting.next_wrapped_key not in (None, waiting.wrapped_key)


def test_many_at_once_and_their_sessions_too(office):
    office.call("merchant.add", name="一食堂")
    office.call("terminal.enrol_many", first="3-1", count=20, merchant_id=1)
    made = office.call("terminal.rotate", first="3-5", count=10, now=True)
    assert [one["terminal"] for one in made] == [f"3-{device}" for device in range(5, 15)]
    assert office.revoked == [TerminalNumber(3, device).to_int() for device in range(5, 15)]
    states = [one["next_key_version"] for one in office.call("terminal.listing")]
    assert states == [0] * 4 + [2] * 10 + [0] * 6


def test_all_or_nobody(office):
    office.call("merchant.add", name="一食堂")
    office.call("terminal.enrol_many", first="3-1", count=3, merchant_id=1)
    office.call("terminal.revoke", terminal="3-2")
    assert "got one that is revoked" in office.refused("terminal.rotate", first="3-1", count=3)
    assert "expected an enrolled one, got 3-4" in office.refused("terminal.rotate", first="3-3", count=2)
    assert {one["next_key_version"] for one in office.call("terminal.listing")} == {0}


def test_by_age_and_page_by_page(office):
    office.call("merchant.add", name="一食堂")
    office.call("terminal.enrol_many", first="3-1", count=4, merchant_id=1)
    office.call("terminal.revoke", terminal="3-2")
    office.now_ms += 30 * DAY_MS
    office.call("terminal.enrol", terminal="3-3")
    office.call("terminal.enrol", terminal="4-1", merchant_id=1, with_code=True)
    office.now_ms += DAY_MS
    made, last = [], "0-0"
    while last:
        page = office.call("terminal.rotate_page", after=last, limit=2, older_than_days=31)
        made += [one["terminal"] for one in page["terminals"]]
        last = page["last"]
    assert made == ["3-1", "3-4"]
    assert office.call("terminal.rotate_page", after="0-0", older_than_days=1)["terminals"][1]["terminal"] == "3-3"
    assert "expected 0 or more" in office.refused("terminal.rotate_page", older_than_days=-1)


def test_versions_run_out_with_a_word(office):
    office.call("merchant.add", name="一食堂")
    office.call("terminal.enrol", terminal="3-58", merchant_id=1)
    office.store.execute("UPDATE terminals SET key_version = ?", (KEY_VERSION_MAX,))
    assert "its 65535 key versions are used up" in office.refused("terminal.rotate", first="3-58")


def test_the_hosts_own_questions(office):
    """Asked for terminals that have no key, none that waits, or are revoked: nothing is given and nothing adopted."""
    office.call("merchant.add", name="一食堂")
    known = TerminalNumber(3, 58).to_int()
    assert office.admin.next_key(known, 1) is None
    assert not office.admin.adopt_key(known, 1)
    office.call("terminal.enrol", terminal="3-58", merchant_id=1)
    assert office.admin.adopt_key(known, 1)
    assert not office.admin.adopt_key(known, 2)
    office.call("terminal.rotate", first="3-58")
    assert office.admin.next_key(known, 1) is None
    assert len(office.admin.next_key(known, 2)) == 40
    office.store.execute("UPDATE terminals SET wrapped_key = ?", (bytes(40),))
    assert office.admin.next_key(known, 2) is None
    office.call("terminal.revoke", terminal="3-58")
    assert office.admin.next_key(known, 2) is None
    assert not office.admin.adopt_key(known, 2)
