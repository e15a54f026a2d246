"""Scripts: what can be written, and what is refused with its line."""

import pytest

from terminal_emulator.effects import Key
from terminal_emulator.printer import PrinterState
from terminal_emulator.script import (
    Expect,
    Forget,
    MoveCable,
    Names,
    Pause,
    Press,
    Restart,
    ScanSlip,
    ScriptSyntaxError,
    SetPrinter,
    TapCard,
    TapCards,
    WaitFor,
    Within,
    parse_script,
    parse_uid,
    plain,
)
from terminal_emulator.slip import Copy

ALICE = "04A1B2C3"


def actions(text, **options):
    return [step.action for step in parse_script(text, **options)]


def test_every_step_of_the_language():
    assert actions(
        """
        # a comment
        card 张三 04A1B2C3   # and another
        key 12.5 ENTER f1 清零
        tap 张三
        tap 04 ff, 张三
        cut
        plug
        printer out
        printer open
        printer in
        restart
        forget 3
        wait-for online
        expect lcd 余额 １２．５ / 请充值
        expect lcd line 2 请刷卡
        expect beep ok
        expect slip RMB  12.50
        expect slip customer 余额
        expect no slip
        within 20
        pause 0.25
        """
    ) == [
        Press((Key.D1, Key.D2, Key.DOT, Key.D5, Key.ENTER, Key.F1, Key.CLEAR)),
        TapCards((TapCard("张三", bytes.fromhex(ALICE)),)),
        TapCards((TapCard("04 ff", b"\x04\xff"), TapCard("张三", bytes.fromhex(ALICE)))),
        MoveCable(plug=False),
        MoveCable(plug=True),
        SetPrinter(PrinterState.OUT_OF_PAPER),
        SetPrinter(PrinterState.COVER_OPEN),
        SetPrinter(PrinterState.READY),
        Restart(),
        Forget(3),
        WaitFor("online"),
        Expect("lcd", ("余额 12.5", "请充值")),
        Expect("lcd", ("请刷卡",), line=2),
        Expect("beep", ("ok",)),
        Expect("slip", ("RMB 12.50",)),
        Expect("slip", ("余额",), copy=Copy.CUSTOMER),
        Expect("no slip", ()),
        Within(20.0),
        Pause(0.25),
    ]


def test_cards_may_be_known_from_outside():
    known = Names({"staff": b"\x01"})
    assert actions("card x 02\ntap staff", known=known) == [TapCards((TapCard("staff", b"\x01"),))]
    assert list(known.cards) == ["staff"]


def test_the_slip_is_scanned_unless_a_code_is_called_so():
    assert actions("scan slip") == [ScanSlip()]
    [step] = actions("code slip 4711\nscan slip")
    assert (step.name, step.code()) == ("slip", "4711")


def test_codes_have_names_or_stand_there_or_are_read_from_a_picture():
    texts = iter(["first", "second"])
    known = Names(codes={"phone": lambda: next(texts)}, read_picture=str.upper)
    steps = actions("code other 91 5\nscan other\nscan 4711\nscan phone\nscan phone\nscan @a.png", known=known)
    assert [(step.name, step.code()) for step in steps] == [
        ("other", "91 5"),
        ("4711", "4711"),
        ("phone", "first"),
        ("phone", "second"),
        ("@a.png", "A.PNG"),
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "press 1",
            "expected one of card, code, key, tap, scan, cut, plug, printer, restart, forget, wait-for",
        ),
        ("key", "expected at least one key after `key`, got none"),
        ("key 1 RETURN", "expected keys such as .* got 'RETURN'"),
        ("tap 张三", r"expected a UID in hex digits or the name of a card \(none yet\), got '张三'"),
        ("card x 04A", "expected a card's UID of 1..24 bytes in hex digits, got '04A'"),
        ("card 04A1", "expected card NAME UID, got 'card 04A1'"),
        ("code phone", "expected code NAME TEXT, got 'code phone'"),
        ("scan", "expected a code or its name after scan, got none"),
        ("scan @a.png", "expected the text of a code, got a picture, which nothing here can read: '@a.png'"),
        ("tap 04 ff, x", r"expected a UID in hex digits or the name of a card \(none yet\), got 'x'"),
        ("printer off", "expected one of out, open, in after printer, got 'off'"),
        ("forget it", "expected a voucher number after forget, got 'it'"),
        ("restart now", "expected nothing more on the line, got 'now'"),
        ("cut it", "expected nothing more on the line, got 'it'"),
        ("wait-for lunch", "settled, equipped, uploaded after wait-for, got 'lunch'"),
        ("expect", "expected lcd TEXT, slip TEXT, no slip, or beep key|ok|error after expect, got ''"),
        ("expect beep loud", "got 'beep loud'"),
        ("expect lcd", "got 'lcd'"),
        ("pause a while", "expected seconds such as 0.5, got 'a while'"),
        ("pause 86401", "expected at most 86400 seconds, got '86401'"),
        ("within " + "9" * 400, "expected at most 86400 seconds, got '999"),
    ],
)
def test_a_bad_line_is_refused_before_anything_runs(line, complaint):
    with pytest.raises(ScriptSyntaxError, match=f"^lunch.txt:2: .*{complaint.replace('|', '.')}"):
        parse_script(f"key 1\n{line}\n", "lunch.txt")


def test_plain_makes_full_width_forms_comparable():
    assert plain("  金额   １２．５０ ") == "金额 12.50"


def test_uid():
    assert parse_uid("04 a1") == b"\x04\xa1"
    with pytest.raises(ValueError, match=r"1\.\.24 bytes"):
        parse_uid("00" * 25)
