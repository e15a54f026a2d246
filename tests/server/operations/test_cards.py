"""Cards: one status at a time, sensible moves between them, repeated requests do no harm."""

from __future__ import annotations

import pytest

UID = "04A1B2C3"
OTHER = "04D4E5F607A8B9"

MOVES = {
    # status: {operation: status after it}; what is missing is refused
    "active": {"freeze": "frozen", "unfreeze": "active", "lost": "lost", "found": "active", "close": "closed"},
    "frozen": {"freeze": "frozen", "unfreeze": "active", "lost": "lost", "close": "closed"},
    "lost": {"lost": "lost", "found": "active", "close": "closed"},
    "closed": {"close": "closed"},
}
WAY_TO = {"active": [], "frozen": ["freeze"], "lost": ["lost"], "closed": ["close"]}


@pytest.fixture
def campus(office):
    """An office where S1 has a card."""
    office.call("card.issue", uid=UID, student_number="S1", name="张三", sale_limit_fen=2000)
    return office


def test_issued_with_an_account(campus):
    assert campus.call("card.show", uid="04:a1:b2:c3") == {
        "uid": UID,
        "status": "active",
        "student_number": "S1",
        "name": "张三",
        "account_id": 1_000_000,
        "balance_fen": 0,
        "sale_limit_fen": 2000,
        "day_limit_fen": 0,
    }


def test_a_second_card_on_the_same_account(campus):
    second = campus.call("card.issue", uid=OTHER, student_number="S1")
    assert second["account_id"] == 1_000_000
    assert [card["uid"] for card in campus.call("card.listing", student_number="S1")] == [UID, OTHER]
    assert [card["uid"] for card in campus.call("account.show", who="S1")["cards"]] == [UID, OTHER]


def test_issued_again_to_the_same_customer_changes_nothing(campus):
    before = campus.contents()
    assert campus.call("card.issue", uid=UID, student_number="S1", name="张三")["sale_limit_fen"] == 2000
    assert campus.contents() == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"sale_limit_fen": 900},
            f"sale limit: expected 20.00 yuan, as card {UID} has it, got 9.00; `fanka admin card limit` changes it",
        ),
        (
            {"day_limit_fen": 900},
            f"day limit: expected 0.00 yuan, as card {UID} has it, got 9.00; `fanka admin card limit` changes it",
        ),
        ({"sale_limit_fen": 0}, f"sale limit: expected 20.00 yuan, as card {UID} has it, got 0.00"),
        ({"name": "李四"}, "name: expected '张三' for student number S1, got '李四'"),
    ],
)
def test_issued_again_otherwise_is_refused(campus, changes, said):
    assert said in campus.refused("card.issue", uid=UID, student_number="S1", **changes)


def test_issued_again_with_the_same_limits_changes_nothing(campus):
    before = campus.contents()
    campus.call("card.issue", uid=UID, student_number="S1", sale_limit_fen=2000, day_limit_fen=0)
    assert campus.contents() == before


def test_somebody_elses_card_is_refused(campus):
    said = campus.refused("card.issue", uid=UID, student_number="S2", name="李四")
    assert said == f"card: expected one nobody has, got {UID}, which is active and S1's; close it first"


def test_a_closed_card_serves_again_only_on_purpose(campus):
    campus.call("card.close", uid=UID)
    assert "reissue it on purpose" in campus.refused("card.issue", uid=UID, student_number="S2", name="李四")
    again = campus.call("card.issue", uid=UID, student_number="S2", name="李四", reissue=True)
    assert (again["student_number"], again["status"], again["sale_limit_fen"]) == ("S2", "active", 0)


def test_reissue_does_not_take_a_card_in_use(campus):
    assert "close it first" in campus.refused("card.issue", uid=UID, student_number="S2", name="李四", reissue=True)


@pytest.mark.parametrize("uid", ["", "04A1B2C", "xy", "04A1B2C3" * 7, "０４", "04-A1", "\n", "0x04"])
def test_a_number_no_card_has_is_refused(office, uid):
    assert "card: expected its UID as hex digits" in office.refused(
        "card.issue", uid=uid, student_number="S1", name="张三"
    )


@pytest.mark.parametrize("size", [1, 4, 7, 10, 24])
def test_any_size_a_reader_can_send(office, size):
    assert office.call("card.issue", uid="AB" * size, student_number="S1", name="张三")["uid"] == "AB" * size


@pytest.mark.parametrize("operation", ["freeze", "unfreeze", "lost", "found", "close"])
@pytest.mark.parametrize("status", MOVES)
def test_every_move(campus, status, operation):
    for step in WAY_TO[status]:
        campus.call(f"card.{step}", uid=UID)
    after = MOVES[status].get(operation)
    if after is None:
        said = campus.refused(f"card.{operation}", uid=UID)
        assert said.endswith(f", got {status}")
        assert UID in said
    else:
        assert campus.call(f"card.{operation}", uid=UID)["status"] == after


@pytest.mark.parametrize("status", ["active", "frozen", "lost"])
def test_replaced_on_the_same_account_with_its_limits(campus, status):
    for step in WAY_TO[status]:
        campus.call(f"card.{step}", uid=UID)
    campus.call("account.topup", who="S1", amount_fen=700, batch=2, line=1)
    new = campus.call("card.replace", uid=UID, new_uid=OTHER)
    assert (new["uid"], new["status"], new["balance_fen"], new["sale_limit_fen"]) == (OTHER, "active", 700, 2000)
    assert campus.call("card.show", uid=UID)["status"] == "closed"
    assert campus.call("card.replace", uid=UID, new_uid=OTHER) == new  # the same request again


def test_replaced_only_by_a_free_card_and_only_if_not_closed(campus):
    campus.call("card.issue", uid=OTHER, student_number="S2", name="李四")
    assert "S2's" in campus.refused("card.replace", uid=UID, new_uid=OTHER)
    campus.call("card.close", uid=UID)
    assert "expected one that is not closed" in campus.refused("card.replace", uid=UID, new_uid="0505")


def test_limits_are_set_one_at_a_time(campus):
    assert campus.call("card.limit", uid=UID, day_limit_fen=9000)["sale_limit_fen"] == 2000
    changed = campus.call("card.limit", uid=UID, sale_limit_fen=0)
    assert (changed["sale_limit_fen"], changed["day_limit_fen"]) == (0, 9000)
    assert "sale limit: expected 0.00 to" in campus.refused("card.limit", uid=UID, sale_limit_fen=-2)


def test_listed_in_pages(office):
    for number in range(5):
        office.call("card.issue", uid=f"{number:08X}", student_number=f"S{number}", name="张三")
    page = office.call("card.listing", limit=3)
    rest = office.call("card.listing", after=page[-1]["uid"])
    assert [row["uid"] for row in page + rest] == [f"{number:08X}" for number in range(5)]


@pytest.mark.parametrize("operation", ["show", "freeze", "unfreeze", "lost", "found", "close", "limit"])
def test_an_unknown_card_is_refused(office, operation):
    assert "expected one that was issued, got 0909" in office.refused(f"card.{operation}", uid="0909")
