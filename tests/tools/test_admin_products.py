"""`fanka admin product` as typed, and its CSV file."""

from __future__ import annotations

import pytest


@pytest.fixture
def menu(fanka, tmp_path):
    """Writes a CSV file with these lines, and gives its path."""
    fanka("admin", "merchant", "add", "一食堂")

    def write(*lines: str, encoding: str = "utf-8", header: str = "code,name,price_yuan"):
        path = tmp_path / "menu.csv"
        path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
        return path

    return write


def test_one_by_one(fanka, menu):
    assert fanka("admin", "product", "list", 1) == 0
    assert fanka.out == "no products yet: fanka admin product set 1 ...\n"
    assert fanka("admin", "product", "set", 1, "001", "米饭", "1.00") == 0
    assert fanka.out == "product 001: 米饭 1.00\n"
    assert fanka("admin", "product", "set", 1, "001", "米饭", "1.50") == 0
    assert fanka.json("admin", "product", "list", 1) == [
        {"merchant_id": 1, "code": "001", "name": "米饭", "price_fen": 150}
    ]
    assert fanka("admin", "product", "delete", 1, "001") == 0
    assert fanka.json("admin", "product", "list", 1) == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_from_a_file_and_again(fanka, menu, encoding, monkeypatch):
    monkeypatch.setattr("tools.options.PAGE", 2)
    monkeypatch.setattr("tools.admin_products.PAGE", 2)
    path = menu("001,米饭,1", "002,汤,2.50", "", "003,面,8", encoding=encoding)
    assert fanka("admin", "product", "import", 1, path) == 0
    assert fanka.out == "3 lines: 3 products new or changed\n"
    assert fanka.json("admin", "product", "import", 1, path)["changed"] == 0
    assert [(row["code"], row["price_fen"]) for row in fanka.json("admin", "product", "list", 1)] == [
        ("001", 100),
        ("002", 250),
        ("003", 800),
    ]


def test_a_bad_line_and_nothing_is_changed(fanka, menu):
    path = menu("001,米饭,1", "002,汤,free", "001,面,8", "004,饭", "米,面,1")
    assert fanka("admin", "product", "import", 1, path) == 1
    assert "line 3: amount: expected yuan like 12 or 12.50" in fanka.out
    assert "line 4: code: expected each once in the file, got '001', also on line 2" in fanka.out
    assert "line 5: expected 3 fields, got 2" in fanka.out
    assert "line 6: product code: expected digits or letters" in fanka.out
    assert "4 errors; nothing was changed" in fanka.out
    assert fanka("admin", "product", "import", 1, path, "--json") == 1
    assert fanka.json("admin", "product", "list", 1) == []


def test_a_file_that_is_none(fanka, menu):
    assert "line 1: expected the header code,name,price_yuan" in fanka.error(
        "admin", "product", "import", 1, menu(header="code,price")
    )
    assert "expected CSV" in fanka.error("admin", "product", "import", 1, menu('1,"a', '2,b"c,"1'))
    assert "got 9, which none has" in fanka.error("admin", "product", "import", 9, menu("001,米饭,1"))
