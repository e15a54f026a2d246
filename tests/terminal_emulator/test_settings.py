"""Key files: what enrolment writes is what a terminal reads, and what is wrong is named."""

import json

import pytest

from protocol import TerminalNumber
from terminal_emulator.settings import (
    Settings,
    SettingsError,
    read_settings,
    settings_from_json,
    settings_to_json,
    write_settings,
)
from tests.terminal_emulator.till import settings_of

KEY_FILE = {"terminal": "3-58", "key_version": 1, "root_key": "ab" * 32, "host": "10.0.0.1", "port": 4105}


def test_the_key_file_of_an_enrolment_is_read():
    settings = settings_from_json(json.dumps(KEY_FILE), "here")
    assert settings == Settings(
        terminal=TerminalNumber(3, 58), key_version=1, root_key=b"\xab" * 32, host="10.0.0.1", port=4105
    )
    assert settings.language == "zh"


def test_what_is_written_is_read_back_and_only_the_owner_can_read_it(tmp_path):
    settings = Settings(
        terminal=TerminalNumber(65_535, 0),
        key_version=65_535,
        root_key=bytes(range(32)),
        language="en",
        serial_number="SN-7",
        operator=12,
    )
    path = tmp_path / "terminal.json"
    path.write_text("an old one")
    write_settings(path, settings)
    assert read_settings(path) == settings
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["terminal.json"]


def test_two_keys_are_written_and_read_and_one_leaves_no_trace_of_the_other(tmp_path):
    path = tmp_path / "terminal.json"
    both = settings_from_json(json.dumps(KEY_FILE | {"next_root_key": "cd" * 32, "next_key_version": 2}), "here")
    write_settings(path, both)
    assert read_settings(path) == both
    one = settings_from_json(json.dumps(KEY_FILE), "here")
    write_settings(path, one)
    assert "next" not in path.read_text()


@pytest.mark.parametrize("more", [{}, {"next_root_key": "cd" * 32, "next_key_version": 2}])
def test_the_key_is_not_shown(more):
    shown = repr(settings_from_json(json.dumps(KEY_FILE | more), "here"))
    assert "abab" not in shown
    assert "cdcd" not in shown


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"terminal": "3"}, "GROUP-DEVICE"),
        ({"terminal": 3}, "here"),
        ({"root_key": "ab" * 31}, "expected 32 bytes, got 31"),
        ({"root_key": "not hex"}, "here"),
        ({"root_key": None}, "here"),
        ({"key_version": 65_536}, "0..65535, got 65536"),
        ({"key_version": "1"}, "whole number, got '1'"),
        ({"port": 0}, "1..65535, got 0"),
        ({"port": True}, "whole number"),
        ({"language": "fr"}, "zh or en, got 'fr'"),
        ({"operator": -1}, "0..65535, got -1"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"next_key_version": 2}, "next_root_key: expected 32 bytes with a next_key_version and none without, got 0"),
        ({"next_root_key": "cd" * 32}, "none without, got 32"),
        ({"next_root_key": "cd" * 31, "next_key_version": 2}, "got 31"),
        ({"next_root_key": "cd" * 32, "next_key_version": 1}, "next_key_version: expected 2..65535, got 1"),
        ({"next_root_key": "cd" * 32, "next_key_version": 65_536}, "expected 2..65535, got 65536"),
        ({"next_root_key": "cd" * 32, "next_key_version": "2"}, "whole number, got '2'"),
        ({"next_root_key": 7, "next_key_version": 2}, "here"),
    ],
)
def test_what_is_wrong_is_named(change, complaint):
    with pytest.raises(SettingsError, match=complaint):
        settings_from_json(json.dumps(KEY_FILE | change), "here")


@pytest.mark.parametrize("field", ["terminal", "root_key", "key_version"])
def test_what_is_missing_is_named(field):
    without = {name: value for name, value in KEY_FILE.items() if name != field}
    with pytest.raises(SettingsError, match=field):
        settings_from_json(json.dumps(without), "here")


@pytest.mark.parametrize("text", ["", "[]", "null", "{"])
def test_what_is_no_key_file_is_refused(text):
    with pytest.raises(SettingsError, match="here"):
        settings_from_json(text, "here")


@pytest.mark.parametrize(("profile", "sign_on"), [("member", None), ("canteen", True), ("", False)])
def test_profile_and_sign_on_stand_in_the_key_file_if_they_are_set(profile, sign_on):
    settings = settings_of(profile=profile, sign_on_required=sign_on)
    text = settings_to_json(settings)
    assert settings_from_json(text, "till.key") == settings
    assert ("profile" in text) is bool(profile)
    assert ("sign_on_required" in text) is (sign_on is not None)


@pytest.mark.parametrize("wrong", [{"profile": "shop"}, {"sign_on_required": "yes"}])
def test_a_profile_or_sign_on_that_is_none_is_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        settings_of(**wrong)
