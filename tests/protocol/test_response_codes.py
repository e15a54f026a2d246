"""The table of response codes: complete for this host, and the same on every floor."""

import pytest

from protocol.connection import FORMAT_ERROR, UNKNOWN_TYPE
from protocol.messages import LAYOUTS
from protocol.response_codes import NON_FINAL, RESPONSE_CODES, CodeClass, meaning
from server import passwords
from server.handlers import outcomes, settlement
from server.service import NOT_PERMITTED
from terminal_emulator import flows
from terminal_emulator.texts import ADVICE


def test_it_holds_what_the_host_says_and_nothing_else():
    said = {*outcomes.RESPONSE_CODES.values(), settlement.UNBALANCED, passwords.UNUSABLE, "00"}
    assert said | {FORMAT_ERROR, UNKNOWN_TYPE, NOT_PERMITTED} == set(RESPONSE_CODES)


def test_the_terminal_has_words_for_every_refusal():
    assert set(RESPONSE_CODES) - {"00"} <= set(ADVICE)


def test_both_ends_agree_on_what_is_final():
    assert NON_FINAL == {"09", "79", "96"} == flows.NON_FINAL


@pytest.mark.parametrize("code", RESPONSE_CODES)
def test_entries(code):
    entry = RESPONSE_CODES[code]
    assert entry.code == code
    assert len(code) == 2
    assert entry.meaning == meaning(code)
    assert entry.terminal_does
    assert entry.final is (code not in NON_FINAL)
    assert (entry.code_class is CodeClass.APPROVED) is (code == "00")


def test_they_stand_in_order():
    assert list(RESPONSE_CODES) == sorted(RESPONSE_CODES)


def test_a_code_of_a_later_host_is_a_refusal():
    assert meaning("ZZ") == "declined, reason unknown"


def test_codes_named_in_the_notes_of_fields_are_in_the_table():
    notes = [field.note for layout in LAYOUTS.values() for field in layout.fields if field.name == "response_code"]
    named = {word.rstrip(":;,") for note in notes for word in note.split() if word.rstrip(":;,").isdigit()}
    assert named <= set(RESPONSE_CODES)
