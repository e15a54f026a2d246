"""`fanka decode`: every way in which bytes come, what is printed, and what is never printed."""

import io
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.dissect import Dissector
from protocol.framing import build_header, close_frame
from tests.protocol.example import ENROL_CODE, PAYER, ROOT_KEY, TERMINAL
from tests.protocol.make_vectors import FOLDER
from tests.protocol.samples import SALE
from tools import decode as command
from tools.decode import InputError, decode, from_hex, read_key
from tools.main import app

SESSION = json.loads((FOLDER / "session.json").read_text(encoding="utf-8"))
ENROLMENT = json.loads((FOLDER / "enrolment.json").read_text(encoding="utf-8"))
FRAMES = [bytes.fromhex(frame["frame"]) for frame in SESSION["frames"]]
HELLO = FRAMES[0]
TITLES = ["HELLO", "CHALLENGE", "AUTH", "READY", "transaction query", "transaction query answer", "reversal"]
CLEAR_SALE = close_frame(build_header(0, 0x0200, SALE.layout.size, TERMINAL, 0), SALE.layout.encode(SALE))


def capture_of(session: dict) -> str:
    arrows = {"terminal": "T>H", "host": "H>T"}
    lines = [
        {"t": index / 10, "dir": arrows[frame["sender"]], "hex": frame["frame"]}
        for index, frame in enumerate(session["frames"])
    ]
    return "\n".join(map(json.dumps, lines)) + "\n"


@pytest.fixture
def run(capsys):
    """Runs the command: exit code, what was printed, what was complained about."""

    def run(*arguments, **options):
        code = decode(*arguments, **options)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def stdin(monkeypatch):
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


HELLO_TEXT = """\
T>H  HELLO, 65 bytes at 0
     0  464b                              sync                'FK'
     2  01                                version             1
     3  00                                flags               none
     4  0800                              mti                 0800
     6  002d                              body_size           45
     8  0003003a                          terminal            3-58
    12  00000000                          sequence            0
    16  90                                processing_code     90 HELLO
    17  01                                lowest_version      1
    18  01                                highest_version     1
    19  0001                              key_version         1
    21  404142434445464748494a4b4c4d4e4f  terminal_challenge  16 bytes
    37  00000006                          last_epoch          6
    41  00000000                          last_saf_sequence   0
    45  6578616d706c6520312e300000000000  firmware            'example 1.0'
    61  bb335128                          crc                 right

1 frame, none with a fault
"""


class TestSources:
    def test_hex_argument(self, run):
        assert run(HELLO.hex()) == (0, HELLO_TEXT, "")

    @pytest.mark.parametrize("form", [
        HELLO,
        HELLO.hex().encode(),
        HELLO.hex(" ").upper().encode(),
        HELLO.hex(":").encode() + b"\n",
        b"# a HELLO\n" + HELLO.hex("\n", 4).encode() + b" # done\n",
        ", ".join(f"0x{byte:02x}" for byte in HELLO).encode(),
        b"".join(
            f"{at:08x}: {HELLO[at:at + 16].hex(' ', 2):<41}abcdef 0123.FK\n".encode() for at in range(0, len(HELLO), 16)
        ),
    ], ids=["raw", "hex", "spaces", "colons", "comments", "C", "xxd"])  # fmt: skip
    def test_file_and_standard_input(self, run, stdin, tmp_path, form):
        path = tmp_path / "frames"
        path.write_bytes(form)
        assert run(str(path)) == (0, HELLO_TEXT, "")
        stdin(form)
        assert run("-") == (0, HELLO_TEXT, "")
        stdin(form)
        assert run() == (0, HELLO_TEXT, "")

    def test_capture_of_a_whole_session(self, run, tmp_path):
        path = tmp_path / "capture.jsonl"
        path.write_text(capture_of(SESSION), encoding="ascii")
        code, out, err = run(str(path), key=[ROOT_KEY.hex()])
        assert (code, err) == (0, "")
        heads = [line for line in out.splitlines() if " bytes at " in line]
        assert [head.split("  ")[1].split(",")[0] for head in heads[:7]] == TITLES
        assert heads[0] == "0.0 T>H  HELLO, 65 bytes at 0"
        assert out.endswith("16 frames, none with a fault\n")
        assert "'第二食堂\u3000面食窗口'" in out

    def test_capture_without_the_key(self, run, stdin):
        stdin(capture_of(SESSION).encode())
        code, out, _ = run()
        assert code == 0
        assert out.count("no key to check it with") == 13

    def test_capture_with_lines_that_cannot_be_read(self, run, stdin):
        lines = capture_of(SESSION).splitlines()
        lines[1:1] = ["{", '{"t": 1, "dir": "T<H", "hex": "00"}', '{"dir": "T>H", "hex": "0"}', '{"dir": 1}', "", "x"]
        stdin("\n".join(lines).encode())
        code, out, _ = run(key=[ROOT_KEY.hex()])
        assert code == 1
        faults = [line for line in out.splitlines() if line.startswith("!! line")]
        assert [line.split(":")[0] for line in faults] == [f"!! line {number}" for number in (2, 3, 4, 5, 7)]
        assert "dir: expected T>H or H>T, got 'T<H'" in out
        assert out.endswith("16 frames, none with a fault; 5 lines that could not be read\n")

    @pytest.mark.parametrize(
        "content", [b'{"\xff"}', b'{"dir": "\xff"}', b'{"x": ' + b"[" * 100_000], ids=["name", "value", "deep"]
    )
    def test_what_only_begins_like_a_capture(self, run, stdin, content):
        """Found by fuzzing (target capture): bytes behind a brace that are no UTF-8 ended in a traceback."""
        stdin(content)
        code, text, complaint = run("-")
        assert code == 1
        assert complaint == ""
        assert "line 1: " in text

    def test_connections_mixed(self, run, stdin):
        lines = [line.replace("}", ', "conn": %d}') for line in capture_of(SESSION).splitlines()]
        stdin("\n".join(line % number for line in lines for number in (1, 2)).encode())
        code, out, _ = run(key=[ROOT_KEY.hex()])
        assert code == 0
        assert "0.0 [2] T>H  HELLO, 65 bytes at 0" in out
        assert out.endswith("32 frames, none with a fault\n")


def test_a_hyphen_at_the_command_line_is_standard_input(stdin, capsys):
    stdin(HELLO.hex().encode())
    with pytest.raises(SystemExit) as left:
        app(["decode", "-"], result_action="sys_exit")
    assert left.value.code == 0
    assert capsys.readouterr().out == HELLO_TEXT


class TestUnusable:
    @pytest.mark.parametrize("source", ["no-such-file", "zz", "464", "", "g" * 5000, "FK\0", "\0"])
    def test_source(self, run, source):
        code, out, err = run(source)
        assert (code, out) == (2, "")
        assert re.match(r"error: (expected a file, hex digits or -, got|g+: cannot be read: File name too)", err)
        assert len(err) < 200

    def test_key_file_in_place_of_frames(self, run, tmp_path):
        path = tmp_path / "3-58.json"
        path.write_text(json.dumps({"terminal": "3-58", "root_key": "5e" * 32}, indent=1))
        code, out, err = run(str(path))
        assert (code, out) == (2, "")
        assert err == f"error: {path}: expected frames, got a terminal's key file; it belongs after --key\n"

    def test_folder(self, run, tmp_path):
        assert run(str(tmp_path))[0] == 2

    @pytest.mark.parametrize("content", [b"", b" \n", b"# only a comment\n"])
    def test_empty(self, run, stdin, content):
        stdin(content)
        code, _, err = run()
        assert code == 2
        assert err.startswith("error: standard input: expected frames, got ")

    def test_too_much(self, run, stdin, monkeypatch):
        monkeypatch.setattr(command, "MAX_INPUT_BYTES", 10)
        stdin(bytes(11))
        code, _, err = run()
        assert (code, err) == (2, "error: standard input: expected at most 10 bytes; cut the capture\n")

    @pytest.mark.parametrize("key", ["", "xyz", "00" * 15, "00" * 33, "0" * 4000, "{}", '{"root_key": 5}', "{", "[1]"])
    def test_key(self, run, key):
        code, out, err = run(HELLO.hex(), key=[key])
        assert (code, out) == (2, "")
        assert err.startswith("error: key")
        assert not key or key not in err

    def test_unreadable_file(self, run, tmp_path, monkeypatch):
        path = tmp_path / "locked"
        path.write_bytes(HELLO)

        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        assert run(str(path)) == (2, "", f"error: {str(path)[:60]}: cannot be read: Permission denied\n")


class TestKeys:
    @pytest.mark.parametrize("content", [
        ROOT_KEY.hex(),
        ROOT_KEY.hex(" ") + "\n",
        json.dumps({"terminal": "3-58", "key_version": 1, "root_key": ROOT_KEY.hex(), "port": 4105}),
    ])  # fmt: skip
    def test_file_and_text(self, tmp_path, content):
        path = tmp_path / "key"
        path.write_text(content, encoding="ascii")
        assert read_key(str(path)) == ROOT_KEY
        assert read_key(content) == ROOT_KEY

    def test_file_that_is_no_text(self, tmp_path):
        path = tmp_path / "key"
        path.write_bytes(b"\xff" * 32)
        with pytest.raises(InputError, match="expected 64 hex digits"):
            read_key(str(path))

    def test_enrolment_code_and_the_key_it_brought(self, run, stdin):
        stdin(capture_of(ENROLMENT).encode())
        code, out, _ = run(key=[ENROL_CODE.hex()])
        assert code == 0
        assert "root_key         not shown" in out
        assert ENROLMENT["frames"][5]["fields"]["root_key"] not in out

    def test_several(self, run):
        data = b"".join(FRAMES)
        assert run(data.hex(), key=["11" * 32, ROOT_KEY.hex(), "22" * 16])[0] == 0


class TestFaults:
    def test_damage_is_pointed_at(self, run):
        code, out, _ = run((b"GET / HTTP/1.1" + HELLO[:-1] + b"\0" + FRAMES[1]).hex())
        assert code == 1
        assert "  !! expected the sync word 464b, got 4745" in out
        assert "an HTTP request?" in out
        assert f"!! expected {HELLO[-4:].hex()}" in out
        assert out.endswith("1 frame, none with a fault; 79 bytes outside any frame\n")

    def test_faulty_frame(self, run):
        code, out, _ = run(CLEAR_SALE.hex())
        assert code == 1
        assert "  !! flags: expected 00000001 for sale, got 00000000\n" in out
        assert out.endswith("1 frame, 1 with faults\n")

    def test_payer_is_masked_in_both_forms(self, run):
        for as_json in (False, True):
            _, out, _ = run(CLEAR_SALE.hex(), json=as_json)
            assert "**********e5f6" in out
            assert PAYER.hex()[:-4] not in out

    def test_long_fields_go_on_below(self, run):
        _, out, _ = run(b"".join(FRAMES).hex(), key=[ROOT_KEY.hex()])
        lines = out.splitlines()
        index = next(index for index, line in enumerate(lines) if " merchant_name " in line)
        assert [line.strip()[:2] for line in lines[index + 1 : index + 3]] == ["aa", "00"] or len(
            lines[index + 1]
        ) == 40


class TestJson:
    def test_document(self, run, stdin):
        stdin(capture_of(SESSION).encode() + b"{\n")
        code, out, _ = run(key=[ROOT_KEY.hex()], json=True)
        document = json.loads(out)
        assert code == 1
        assert document["ok"] is False
        assert len(document["pieces"]) == 17
        hello = document["pieces"][0]
        assert (hello["t"], hello["dir"], hello["kind"], hello["title"], hello["size"]) == (
            "0.0",
            "T>H",
            "frame",
            "HELLO",
            65,
        )
        assert hello["items"][0] == {
            "offset": 0, "size": 2, "hex": "464b", "field": "sync", "value": "'FK'", "verdict": "",
        }  # fmt: skip
        assert document["pieces"][16]["fault"].startswith("line 17: ")

    def test_all_good(self, run):
        code, out, _ = run(HELLO.hex(), json=True)
        assert (code, json.loads(out)["ok"]) == (0, True)


@given(st.binary(max_size=200))
def test_any_file_is_taken(data):
    """Whatever stands in a file: pieces or an InputError, nothing else."""
    try:
        chunks = list(command.chunks_of(command.limited(data, "x"), "x"))
    except InputError:
        return
    shown = list(command.dissect(chunks, Dissector()))
    assert "\n".join(command.text_lines(shown))
    assert json.loads(command.json_document(shown))


@given(st.text(max_size=80))
def test_any_argument_is_hex_or_not(text):
    assert from_hex(text) is None or isinstance(from_hex(text), bytes)
