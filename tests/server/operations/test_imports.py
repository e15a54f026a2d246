"""Import: each line once however often it comes, and never against what the ledger has already."""

from __future__ import annotations

import pytest

from server.operations.imports import IMPORT_LINES_MAX


def line(number: int, **changes: object) -> dict[str, object]:
    return {
        "line": number,
        "student_number": f"S{number}",
        "name": f"张{number}",
        "card_uid": f"{number:08x}",
        "balance_fen": 100 * number,
    } | changes


def errors(office, *lines):
    """What `check` finds; it changes nothing."""
    before = office.contents()
    found = office.call("import.check", lines=[*lines])["errors"]
    assert office.contents() == before
    return found


def test_accounts_cards_and_money(office):
    done = office.call("import.apply", lines=[line(2), line(3, day_limit_fen=700), line(4, balance_fen=0)])
    assert done == {"lines": 3, "accounts_new": 3, "cards_new": 3, "posted": 2, "posted_fen": 500, "errors": []}
    shown = office.call("card.show", uid="00000003")
    assert (shown["student_number"], shown["name"], shown["balance_fen"], shown["day_limit_fen"]) == (
        "S3",
        "张3",
        300,
        700,
    )


def test_the_same_again_does_nothing(office):
    office.call("import.apply", lines=[line(2), line(3)])
    before = office.contents()
    again = office.call("import.apply", lines=[line(2), line(3)])
    assert again == {"lines": 2, "accounts_new": 0, "cards_new": 0, "posted": 0, "posted_fen": 0, "errors": []}
    assert office.contents() == before


def test_an_import_cut_off_between_its_commits_is_completed_by_the_next(office):
    real = office.ledger.apply
    office.ledger.apply = lambda commands, now_ms: (_ for _ in ()).throw(OSError("killed"))
    with pytest.raises(OSError, match="killed"):
        office.call("import.apply", lines=[line(2), line(3)])
    office.ledger.apply = real
    assert office.call("account.show", who="S3")["balance_fen"] == 0
    done = office.call("import.apply", lines=[line(2), line(3)])
    assert (done["accounts_new"], done["posted"], done["posted_fen"]) == (0, 2, 500)


def test_the_same_again_after_money_has_moved(office):
    office.call("import.apply", lines=[line(2)])
    office.call("account.topup", who="S2", amount_fen=5, batch=2, line=1)
    done = office.call("import.apply", lines=[line(2)])
    assert (done["posted"], done["errors"]) == (0, [])
    assert office.call("account.show", who="S2")["balance_fen"] == 205


def test_another_balance_is_an_error_and_is_not_posted(office):
    office.call("import.apply", lines=[line(2)])
    expected = {
        "line": 2,
        "field": "balance_yuan",
        "expected": "2.00, posted as opening balance before; top up or correct instead",
        "got": "9.99",
    }
    assert errors(office, line(2, balance_fen=999)) == [expected]
    assert office.call("import.apply", lines=[line(2, balance_fen=999)])["errors"] == [expected]
    assert office.call("account.show", who="S2")["balance_fen"] == 200


def test_an_opening_balance_is_not_put_on_top_of_other_money(office):
    office.call("account.open", student_number="S2", name="张2")
    office.call("account.topup", who="S2", amount_fen=200, batch=2, line=1)
    [error] = errors(office, line(2))
    assert error["expected"] == "0, as the account has had movements already; top it up instead"


def test_a_card_that_was_lost_stays_lost(office):
    office.call("import.apply", lines=[line(2)])
    office.call("card.lost", uid="00000002")
    assert office.call("import.apply", lines=[line(2)])["cards_new"] == 0
    assert office.call("card.show", uid="00000002")["status"] == "lost"


@pytest.mark.parametrize(
    ("changes", "field", "expected", "got"),
    [
        ({"name": "李"}, "name", "张2, as registered for S2", "李"),
        ({"student_number": "S9"}, "card_uid", "a card nobody else has", "00000002, which is S2's"),
        ({"student_number": "a b"}, "student_number", "no spaces and no # in front", "'a b'"),
        ({"student_number": ""}, "student_number", "printable text", "''"),
        ({"name": "\x00"}, "name", "printable text", r"'\x00'"),
        (
            {"card_uid": "zz"},
            "card_uid",
            "its UID as hex digits, two per byte, 1..24 bytes (usually 4, 7 or 10)",
            "'zz'",
        ),
        ({"balance_fen": -1}, "balance_yuan", "0.00 to 9999999.99 yuan", "-0.01"),
        ({"sale_limit_fen": 10**9}, "sale_limit_yuan", "0.00 to 9999999.99 yuan", "10000000.00"),
        ({"day_limit_fen": -5}, "day_limit_yuan", "0.00 to 9999999.99 yuan", "-0.05"),
    ],
)
def test_a_bad_line_is_told_with_field_expected_and_got(office, changes, field, expected, got):
    office.call("import.apply", lines=[line(2)])
    assert errors(office, line(2, **changes)) == [{"line": 2, "field": field, "expected": expected, "got": got}]


@pytest.mark.parametrize(
    ("field", "column"), [("sale_limit_fen", "sale_limit_yuan"), ("day_limit_fen", "day_limit_yuan")]
)
def test_other_limits_than_the_card_has_are_an_error(office, field, column):
    office.call("import.apply", lines=[line(2, sale_limit_fen=500, day_limit_fen=500)])
    assert errors(office, line(2, **{field: 900})) == [
        {
            "line": 2,
            "field": column,
            "expected": "5.00, as card 00000002 has it; `fanka admin card limit` changes it",
            "got": "9.00",
        }
    ]
    assert office.call("import.apply", lines=[line(2, **{field: 0})])["errors"][0]["got"] == "0.00"
    assert office.call("card.show", uid="00000002")[field] == 500


def test_a_line_that_says_nothing_of_limits_leaves_them(office):
    office.call("import.apply", lines=[line(2, sale_limit_fen=500)])
    office.call("card.limit", uid="00000002", day_limit_fen=700)
    assert errors(office, line(2), line(3)) == []
    assert office.call("import.apply", lines=[line(2)])["cards_new"] == 0
    shown = office.call("card.show", uid="00000002")
    assert (shown["sale_limit_fen"], shown["day_limit_fen"]) == (500, 700)


def test_a_closed_card_is_an_error(office):
    office.call("import.apply", lines=[line(2)])
    office.call("card.close", uid="00000002")
    assert errors(office, line(2))[0]["got"] == "00000002, closed"


def test_twice_in_one_chunk(office):
    found = errors(office, line(2), line(3, student_number="S2"), line(4, card_uid="00:00:00:02"))
    assert [(error["line"], error["field"], error["got"]) for error in found] == [
        (3, "student_number", "S2, also on line 2"),
        (4, "card_uid", "00000002, also on line 2"),
    ]


def test_good_lines_are_imported_beside_bad_ones(office):
    done = office.call("import.apply", lines=[line(2), line(3, card_uid="zz"), line(4)])
    assert (done["lines"], done["posted_fen"], len(done["errors"])) == (2, 600, 1)


def test_a_formula_is_just_text(office):
    office.call("import.apply", lines=[line(2, name="=1+1")])
    assert office.call("account.show", who="S2")["name"] == "=1+1"


def test_a_chunk_has_a_limit_and_a_line_no_unknown_fields(office):
    many = [line(number) for number in range(2, IMPORT_LINES_MAX + 3)]
    assert f"at most {IMPORT_LINES_MAX} lines at a time, got {IMPORT_LINES_MAX + 1}" in office.refused(
        "import.apply", lines=many
    )
    assert "unknown field `color`" in office.refused("import.apply", lines=[line(2, color="red")])


def test_a_class_is_given_to_new_cards_and_held_against_known_ones(office):
    office.call("class.add", name="students")
    office.call("import.apply", lines=[line(2, class_id=1), line(3), line(4, class_id=0)])
    assert [office.call("card_terms.show", uid=f"{number:08x}")["class_id"] for number in (2, 3, 4)] == [1, 0, 0]
    assert errors(office, line(2, class_id=1), line(2 + 1), line(4)) == []
    assert errors(office, line(2), line(3, class_id=1)) == [
        {
            "line": 3,
            "field": "class",
            "expected": "0, as card 00000003 has it; `fanka admin card class` changes it",
            "got": "1",
        }
    ]
    [unknown] = errors(office, line(5, class_id=7))
    assert (unknown["field"], unknown["expected"], unknown["got"]) == (
        "class",
        "the number of a card class (0, 1)",
        "7",
    )
