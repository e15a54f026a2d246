"""Any file for `fanka admin import`: CsvError, or each line converted or complained of, once; amounts are whole fen.

The list of complaints is CSV that reads back, and no cell of it is a formula.
"""

from __future__ import annotations

import csv
import io

from tests.fuzz.target import Target
from tools.card_csv import OPTIONAL, REQUIRED, CsvError, errors_csv, read_card_file


def run(data: bytes) -> str:
    try:
        found = read_card_file(data, "x.csv")
    except CsvError as error:
        assert str(error).startswith("x.csv: ")
        return "refused " + ("encoding" if "UTF-8 fails" in str(error) else str(error).split("got ")[-1][:8])
    good = [line["line"] for line in found.lines]
    bad = {error.line for error in found.errors}
    assert good == sorted(set(good))
    assert not bad & set(good)
    for line in found.lines:
        assert line.keys() >= {"student_number", "name", "card_uid", "balance_fen"}
        amounts = [value for name, value in line.items() if name.endswith("_fen")]
        assert all(type(value) is int and value >= 0 for value in amounts)
        assert all(value.strip() for name, value in line.items() if isinstance(value, str))
    rows = list(csv.reader(io.StringIO(errors_csv(found.errors).decode("utf-8-sig"), newline=""), strict=True))
    assert len(rows) == len(found.errors) + 1
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)
    fields = "+".join(sorted({error.field for error in found.errors}))
    return f"{found.encoding} {min(len(good), 2)} {fields}"


HEADER = ",".join(REQUIRED).encode()


def seeds() -> list[bytes]:
    full = ",".join(REQUIRED + OPTIONAL).encode()
    ann = "S1,安,04A1B2C3,12.50".encode()
    return [
        HEADER + b"\n" + ann + b"\n",
        full + b"\r\n" + ann + b",5,100\r\nS2,Ben,04:D4:E5:F6,0,,\r\n",
        b"\xef\xbb\xbf" + HEADER + b"\n" + ann,
        (HEADER.decode() + "\nS1,安,04A1B2C3,12.50\n").encode("gb18030"),
        HEADER + b'\n"S,1","A ""n"" n",04A1,"1"\n',
        HEADER + b"\n=1+1,-2,@x,+3\n\n,,,\nS1,x\n",
        b"name,uid\n",
        HEADER + b'\n"open',
    ]


WORDS = (
    *(f"{name},".encode() for name in REQUIRED + OPTIONAL),
    b"\n",
    b"\r\n",
    b"\r",
    b'"',
    b'""',
    b",",
    b"\0",
    b"12.50",
    b"-1",
)
MORE = (
    b"1e5",
    "１２".encode(),
    b"99999999999999999999",
    b"0.001",
    b"=cmd",
    b"\x81\x30",
    b"\xff",
    "　".encode(),
    b"\xef\xbb\xbf",
)
TARGET = Target(run, seeds, words=(*WORDS, *MORE), share=0.5)
