"""`fanka card show`: digits and a QR code, on the screen and in a picture."""

import re

from tools.pictures import read_picture


def test_the_code_of_a_student(fanka, tmp_path):
    assert fanka("admin", "card", "issue-virtual", "2013010652", "张三") == 0
    assert re.fullmatch(r"virtual card \d{10}: active, 2013010652 张三\n", fanka.out)
    picture = tmp_path / "code.png"
    assert fanka("card", "show", "2013010652", "--png", picture) == 0
    *drawn, digits, about = fanka.out.splitlines()
    assert re.fullmatch(r"91\d\d( \d{4}){4} \d\d", digits)
    assert len(drawn) > 10
    assert about.startswith("2013010652 张三, virtual card ")
    assert picture.read_bytes().startswith(b"\x89PNG")
    shown = fanka.json("card", "show", "2013010652")
    assert shown["code"][:12] == digits.replace(" ", "")[:12]
    assert fanka("card", "show", "2013010652", "--png", tmp_path / "missing" / "code.png") == 2


def test_a_picture_of_it_is_read_again(fanka, tmp_path):
    import pytest

    pytest.importorskip("zxingcpp")
    fanka("admin", "card", "issue-virtual", "S1", "张三")
    code = fanka.json("card", "show", "S1", "--png", tmp_path / "code.png")["code"]
    assert read_picture(str(tmp_path / "code.png")) == code


def test_who_has_none_is_told_how_to_get_one(fanka):
    fanka("admin", "card", "issue", "04a1b2c3", "S1", "张三")
    assert "issue-virtual" in fanka.error("card", "show", "S1")
