"""The command `fanka terminal`: where a terminal lives, what options mean, and a sale over a real socket."""

import random
import re
from contextlib import nullcontext
from functools import partial

import pytest
import trio
from msgspec.structs import replace

from protocol import TerminalNumber
from protocol.messages import EnrolAnswer, EnrolRequest
from protocol.security import root_key_from_enrol_code
from terminal_emulator.brain import Brain
from terminal_emulator.escpos import escpos
from terminal_emulator.file_storage import JOURNAL_NAME, FileStorage
from terminal_emulator.outlet import Outlet
from terminal_emulator.record import Record
from terminal_emulator.script import parse_script
from terminal_emulator.settings import read_settings, write_settings
from terminal_emulator.slip import Copy
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.terminal import EnrolError
from tests.terminal_emulator.line_host import LineHost
from tests.terminal_emulator.slips import plain_slip
from tests.terminal_emulator.till import CARD, NUMBER, ToyHost, settings_of
from tools.terminal import (
    NOT_FULFILLED,
    USAGE,
    UsageError,
    choose,
    enrol_into,
    find_place,
    keep_keys,
    machine_of,
    paper_of,
    read_card,
    read_enrol_code,
    run_with_script,
    terminal,
)

CODE = bytes(range(16))
NEW_KEY = bytes(range(32, 64))


class EnrollingToy(ToyHost):
    """Gives everybody the same key."""

    def answer(self, number, request):
        if isinstance(request, EnrolRequest):
            code = "00" if request.serial_number == "SN-1" else "58"
            return EnrolAnswer(response_code=code, key_version=3, root_key=NEW_KEY)
        return super().answer(number, request)


async def listen(nursery, toy, root_key) -> int:
    """A host on a socket of this machine; its port."""
    host = LineHost(nursery, toy, root_key)
    [listener] = await nursery.start(partial(trio.serve_tcp, host._serve, 0, host="127.0.0.1"))
    port: int = listener.socket.getsockname()[1]
    return port


async def test_a_sale_over_a_socket(nursery, tmp_path):
    toy, slips = ToyHost(10_000), tmp_path / "slips.txt"
    shown: list[str] = []
    settings = settings_of(port=await listen(nursery, toy, settings_of().root_key))
    storage = FileStorage(tmp_path / "memory")
    steps = parse_script(f"wait-for online\nkey 12.5 ENTER\ntap {CARD.hex()}\nexpect lcd 交易成功\nexpect slip 87.50")
    outlet = Outlet(lambda: nullcontext(machine_of(Brain(settings, storage), paper_of(slips, None))))
    await run_with_script(outlet, steps, shown.append)
    storage.close()
    assert toy.sales_posted == 1
    assert len(storage.records) == 1
    assert slips.read_text(encoding="utf-8").count("RMB 87.50") == len(Copy)
    assert any("交易成功" in line for line in shown)
    nursery.cancel_scope.cancel()


async def test_enrolling_writes_a_key_file(nursery, tmp_path):
    port = await listen(nursery, EnrollingToy(), root_key_from_enrol_code(CODE, NUMBER))
    key_file = tmp_path / "new" / "key.json"
    await enrol_into(key_file, CODE.hex(), "3-58", "SN-1", ("127.0.0.1", port))
    settings = read_settings(key_file)
    assert (settings.terminal, settings.root_key, settings.key_version) == (NUMBER, NEW_KEY, 3)
    assert (settings.port, settings.serial_number) == (port, "SN-1")
    assert key_file.stat().st_mode & 0o777 == 0o600
    nursery.cancel_scope.cancel()


async def test_a_refused_code_writes_nothing(nursery, tmp_path):
    port = await listen(nursery, EnrollingToy(), root_key_from_enrol_code(CODE, NUMBER))
    with pytest.raises(EnrolError, match=r"127.0.0.1:\d+: terminal 3-58: expected code 00, got 58.* ask for a new one"):
        await enrol_into(tmp_path / "key.json", CODE.hex(), "3-58", "SN-2", ("127.0.0.1", port))
    assert list(tmp_path.iterdir()) == []
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (CODE.hex(), "3-58"),
        ("0001-0203-0405-0607-0809-0A0B-0C0D-0E0F", "3-58"),
        (f"FANKA:3-58:{CODE.hex().upper()}", None),
    ],
)
def test_an_enrolment_code_as_typed_or_scanned(text, number):
    assert read_enrol_code(text, number) == (TerminalNumber(3, 58), CODE)


@pytest.mark.parametrize(
    ("text", "number", "complaint"),
    [
        (CODE.hex(), None, "expected --number"),
        ("00", "3-58", "expected 32 hex digits, got 2 characters"),
        ("x" * 32, "3-58", "expected 32 hex digits"),
        (CODE.hex(), "358", "--number: "),
    ],
)
def test_a_bad_enrolment_code(text, number, complaint):
    with pytest.raises(UsageError, match=complaint):
        read_enrol_code(text, number)


def test_where_a_terminal_lives(tmp_path):
    assert find_place(tmp_path) == (tmp_path / "key.json", tmp_path / "memory")
    assert find_place(tmp_path / "new") == (tmp_path / "new" / "key.json", tmp_path / "new" / "memory")
    assert find_place(tmp_path / "3-58.json") == (tmp_path / "3-58.json", tmp_path / "3-58.json.memory")


def test_cards():
    assert read_card("张三=04A1") == ("张三", b"\x04\xa1")
    with pytest.raises(UsageError, match=r"expected NAME=UID such as .* got '04A1'"):
        read_card("04A1")
    with pytest.raises(UsageError, match="--card 张三: expected a card's UID"):
        read_card("张三=4A1")


def test_the_command_line_beats_the_key_file():
    settings = settings_of(host="a", port=1)
    assert choose(settings, None, None, None) == settings
    chosen = choose(settings, "b", 2, "en")
    assert (chosen.host, chosen.port, chosen.language) == ("b", 2, "en")


async def test_the_machine_is_on_the_real_network():
    machine = machine_of(Brain(settings_of(host="192.0.2.1", port=9), MemoryStorage()))
    assert machine.now().wall_s > 1_700_000_000
    with trio.move_on_after(0):
        await machine.cable.open()


def test_slips_go_to_the_end_of_a_file_as_text_and_as_a_printers_bytes(tmp_path):
    text, raw = tmp_path / "slips.txt", tmp_path / "slips.bin"
    paper = paper_of(text, raw)
    assert paper is not None
    slips = [plain_slip("消费", str(number)) for number in (1, 2)]
    for slip in slips:
        paper(slip)
    assert text.read_text(encoding="utf-8") == "消费\n1\n\n消费\n2\n\n"
    assert raw.read_bytes() == b"".join(map(escpos, slips))
    assert paper_of(None, None) is None


# --------------------------------------------------------------------------------------- the whole command


@pytest.fixture
def key_file(tmp_path):
    """A key file whose host nobody is listening at."""
    path = tmp_path / "3-58.json"
    write_settings(path, settings_of(port=random.Random(1).randint(1, 9)))
    return path


def run(key_file, script, tmp_path, **options):
    path = tmp_path / "script.txt"
    path.write_text(script, encoding="utf-8")
    terminal(key_file, script=path, **options)


def test_a_fulfilled_script_ends_well(key_file, tmp_path, capsys):
    run(key_file, "wait-for offline\nkey 1 2\nexpect lcd 12", tmp_path, show=True)
    assert "[1]" in capsys.readouterr().out
    assert (tmp_path / "3-58.json.memory").is_dir()


def test_an_entry_cut_off_by_a_power_cut_is_reported(key_file, tmp_path, capsys):
    run(key_file, "expect lcd 3-58", tmp_path)
    journal = find_place(key_file)[1] / JOURNAL_NAME
    with journal.open("ab") as file:
        file.write(b"0badc0de {torn")
    capsys.readouterr()
    run(key_file, "expect lcd 3-58", tmp_path)
    assert "dropped 14 bytes of an unfinished last entry" in capsys.readouterr().err


def test_a_script_that_is_not_fulfilled(key_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run(key_file, "within 0\nkey 5\nexpect beep ok", tmp_path, language="en")
    assert caught.value.code == NOT_FULFILLED
    complaint = capsys.readouterr().err
    assert "script.txt:3: expect beep ok\n  expected: beep ok within 0 s\n  got:      beep key" in complaint
    assert "Amount in yuan" in complaint


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"script": "lunch"}, "error: .*script.txt:1: expected one of card, code, key"),
        ({"card": ["x"]}, "error: --card: expected NAME=UID"),
        ({"place": "none.json"}, "error: .*none.json: expected a key file, got none"),
        ({"place": "bad.json"}, "error: .*bad.json"),
        (
            {"place": "binary.json"},
            "error: .*binary.json: expected a key file as .fanka admin .*, got bytes that are no",
        ),
        ({"place": "list.json"}, "error: .*list.json: expected a key file as .fanka admin .*, got other JSON"),
        ({"place": "script.txt"}, "error: .*script.txt: expected a key file as .fanka admin .*, got no JSON"),
        ({"enrol_code": "00"}, "error: --enrol-code: expected --number"),
        ({"script": None}, "error: expected a window with keyboard and screen, got none: use --script FILE"),
        ({"script": None, "card": ["x=01"] * 6}, "error: --card: expected at most 5 cards on the screen, got 6"),
    ],
)
def test_what_is_wrong_outside_is_said_in_one_line(key_file, tmp_path, capsys, options, complaint):
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    (tmp_path / "list.json").write_text("[1]")
    script = tmp_path / "script.txt"
    script.write_text(options.get("script") or "", encoding="utf-8")
    place = tmp_path / options["place"] if "place" in options else key_file
    others = {name: value for name, value in options.items() if name not in ("script", "place")}
    with pytest.raises(SystemExit) as caught:
        terminal(place, script=None if options.get("script", "") is None else script, **others)
    assert caught.value.code == USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert re.match(complaint, line)


def test_a_script_that_is_none(key_file, tmp_path, capsys):
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    for name, said in (("binary", "in UTF-8 text, got other bytes"), ("missing", "No such file or directory")):
        with pytest.raises(SystemExit) as caught:
            terminal(key_file, script=tmp_path / name)
        assert caught.value.code == USAGE
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {tmp_path / name}: expected ")
        assert said in line


def test_slips_that_cannot_be_written_are_refused_before_the_first_step(key_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run(key_file, "expect lcd 3-58", tmp_path, show=True, printer=tmp_path / "missing" / "slips.txt")
    assert caught.value.code == USAGE
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {tmp_path}/missing/slips.txt: expected ")
    assert said.out == ""
    assert not find_place(key_file)[1].exists()


def test_a_memory_in_use_is_not_shared(key_file, tmp_path, capsys):
    storage = FileStorage(tmp_path / "3-58.json.memory")
    with pytest.raises(SystemExit) as caught:
        run(key_file, "", tmp_path)
    storage.close()
    assert caught.value.code == USAGE
    assert capsys.readouterr().err.startswith("error: ")


def test_a_place_with_the_memory_of_another_terminal_is_refused_and_its_own_goes_on(key_file, tmp_path, capsys):
    """The sale was booked and its answer lost: as 3-59 it is unknown, would be reversed, and 3-58 stays charged."""
    run(key_file, "expect lcd 3-58", tmp_path)
    memory = find_place(key_file)[1]
    sold = Record(batch=1, stan=1, amount_fen=1250, payer=CARD, claimed_at_s=1)
    storage = FileStorage(memory)
    storage.save(sold)
    storage.close()
    filed = read_settings(key_file)
    write_settings(key_file, replace(filed, terminal=TerminalNumber(3, 59)))
    with pytest.raises(SystemExit) as caught:
        run(key_file, "expect lcd 3-59", tmp_path)
    assert caught.value.code == USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {memory}: expected the memory of terminal 3-59, got that of terminal 3-58")
    write_settings(key_file, filed)
    run(key_file, "expect lcd 12.50", tmp_path)
    storage = FileStorage(memory)
    assert storage.records == {sold.identity: sold}
    storage.close()


def test_that_a_settled_memory_begins_anew_for_another_terminal_is_said(key_file, tmp_path, capsys):
    run(key_file, "expect lcd 3-58", tmp_path)
    write_settings(key_file, replace(read_settings(key_file), terminal=TerminalNumber(3, 59)))
    assert capsys.readouterr().err == ""
    for said in (
        f"{find_place(key_file)[1]}: the settled memory of terminal 3-58 begins anew as that of terminal 3-59\n",
        "",
    ):
        run(key_file, "expect lcd 3-59", tmp_path)
        assert capsys.readouterr().err == said


@pytest.mark.parametrize("knows_owner", [True, False])
def test_no_code_is_used_up_for_a_place_that_holds_records_of_another_terminal(key_file, tmp_path, capsys, knows_owner):
    before = key_file.read_bytes()
    storage = FileStorage(find_place(key_file)[1])
    if knows_owner:
        storage.claim(NUMBER)
    storage.save(Record(batch=1, stan=1, amount_fen=1250, payer=CARD, claimed_at_s=1))
    storage.close()
    with pytest.raises(SystemExit) as caught:
        run(key_file, "", tmp_path, enrol_code=CODE.hex(), number="3-59", host="192.0.2.1")
    assert caught.value.code == USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert "got that of terminal 3-58 with transactions that are not settled" in line
    assert key_file.read_bytes() == before, "the old key is what its records can be settled with"


def test_a_new_number_is_in_the_key_file_and_a_chosen_host_is_not(tmp_path):
    key_file = tmp_path / "key.json"
    filed = settings_of()
    write_settings(key_file, filed)
    keep_keys(key_file, filed, replace(filed, terminal=TerminalNumber(3, 59), host="elsewhere"))
    assert read_settings(key_file) == replace(filed, terminal=TerminalNumber(3, 59))
