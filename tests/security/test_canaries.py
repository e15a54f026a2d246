"""No secret turns up where it must not: logs, metrics, crash output, answers, databases, backups (invariant I19).

A real host with a debug log is driven through sessions, key changes and faults with secrets that the test knows; then
everything it has written anywhere is searched for them, in every form (`tests.security.canaries`). Where a secret may
stand is a table, and the table is checked both ways: what it allows must be found there, or the entry has to go.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from protocol import Role, TerminalNumber
from protocol.framing import build_header, close_frame
from protocol.messages import (
    Auth,
    BalanceRequest,
    EnrolAnswer,
    EnrolRequest,
    EntryMode,
    Hello,
    KeyAnswer,
    KeyRequest,
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
    SignOffRequest,
    SignOnRequest,
    TellerAction,
    TellerRequest,
)
from protocol.pin_block import card_digits, encode_pin_block, pin_field
from protocol.security import (
    LABEL_HOST_TO_TERMINAL,
    LABEL_MAC,
    LABEL_PIN,
    LABEL_TERMINAL_TO_HOST,
    Seal,
    derive,
    root_key_from_enrol_code,
    unwrap_root_key,
    wrapping_key,
)
from server.host_secrets import ROW as HOST_SECRET_ROW
from server.kek_files import load_kek
from server.keys import KeyRing
from server.ledger.registry import Registry
from terminal_emulator.rotation import Rotation
from terminal_emulator.settings import Settings, write_settings
from terminal_emulator.terminal import Enrolled
from tests.end_to_end.process import ROOT, Campus, administer
from tests.protocol.pair import forge
from tests.security import faulty_host
from tests.security.canaries import Canary, sightings
from tests.wire import ECHO, PATIENCE_S, Till, Wire, reversal_of, sign_on
from tools.main import app
from tools.provision import Provisioned

CARD = b"\x04\xca\x4a\x12\x90\x5e\xed"
PAYMENT_CODE = b"286201905550471369"
PIN = "918273645546"
PASSWORD = b"CanaryOfTheStore"
PEOPLES_PASSWORD = "831255490744"
TOOL = "what the administrator asked for"

ALLOWED = {
    ("kek", "data: kek.key"): "its own file, for its owner alone",
    ("old kek", "data: kek.key.*.old"): "kept for backups of its time until the operator deletes it",
    ("card", "data: ledger.db"): "table cards: cards are looked up by their number; SECURITY.md says so",
    ("payment code", "data: ledger.db"): "the same: here it is somebody's card number",
    ("card", "backup"): "a copy of the ledger",
    ("payment code", "backup"): "a copy of the ledger",
    ("card", "out: admin card list"): TOOL,
    ("payment code", "out: admin card list"): TOOL,
    ("card", "out: admin account show"): TOOL,
    ("root key", "terminal: key file"): "what the terminal proves itself with; mode 0600",
    ("payment code", "terminal: memory"): "the same",
    ("card", "terminal: memory"): "a sale is asked about and reversed after a power cut by its payer",
    ("code", "out: admin terminal enrol --code"): "shown once, to be carried to the terminal; void after 15 minutes",
}
"""(secret, place): why it may stand there. Everything else is a leak."""


class Scene:
    """The host, everything that was secret in it, and everything that came out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.canaries: list[Canary] = []
        self.places: dict[str, bytes] = {}
        self.starts = 0
        self.campus = Campus(path / "data", terminals=8, limits={"handshake_timeout_s": 5.0})
        administer(self.campus, "card.issue", uid=CARD.hex(), student_number="C1", name="Canary")
        administer(self.campus, "account.topup", who="C1", amount_fen=1_000_000, batch=9, line=1)
        administer(self.campus, "card.issue", uid=PAYMENT_CODE.hex(), student_number="C2", name="Canary")
        administer(self.campus, "virtual_card.issue", student_number="C3", name="Canary")
        self.old_kek = load_kek(self.campus.folder.kek_path)
        self.secret("old kek", self.old_kek)
        self.secret("card", CARD)
        self.secret("payment code", PAYMENT_CODE)
        self.secret("pin", PIN.encode())
        self.secret("pin", pin_field(PIN, b"\x5a" * 8))
        self.tills = self.campus.tills(8)
        for till in self.tills:
            self.root_key(till.number, till.root_key)

    def secret(self, kind: str, value: bytes) -> bytes:
        self.canaries.append(Canary(kind, value))
        return value

    def root_key(self, number: TerminalNumber, key: bytes, kind: str = "root key") -> bytes:
        """A root key, and what is derived from it for good."""
        self.secret(kind, key)
        self.secret("derived key", derive(key, LABEL_MAC, number.to_int().to_bytes(4, "big")))
        for version in (2, 3):
            self.secret("derived key", wrapping_key(key, number, version))
        return key

    def keep(self, place: str, *texts: str | bytes) -> None:
        self.places[place] = self.places.get(place, b"") + b"\n".join(
            text.encode() if isinstance(text, str) else text for text in texts
        )

    # --- The host

    @contextlib.contextmanager
    def host(self):
        """It serves with a debug log and faults built in; afterwards all it has said is in its place."""
        command = [sys.executable, "-m", "tests.security.faulty_host", "serve", "--log-level", "debug"]
        self.starts += 1
        out, err = self.path / f"stdout {self.starts}", self.path / f"stderr {self.starts}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen([*command, str(self.campus.folder.path)], cwd=ROOT, stdout=stdout, stderr=stderr)
            try:
                until_s = time.monotonic() + PATIENCE_S
                while (running := self.campus.folder.running()) is None or running.process != process.pid:
                    assert time.monotonic() < until_s, err.read_text()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        raise AssertionError(f"ended with {process.wait(0.05)}: {err.read_text()}")
                self.address, self.http = running.terminals, running.http
                yield process
            finally:
                process.kill()
                process.wait()
        self.keep("host: stdout", out.read_bytes())
        self.keep("host: log", err.read_bytes())

    def sign_on(self, till: Till) -> Wire:
        """A session."""
        return sign_on(self.address, till)

    def get(self, path: str) -> None:
        import http.client

        connection = http.client.HTTPConnection(*self.http, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", path)
            self.keep(f"host: {path}", connection.getresponse().read())

    def run(self, place: str, *words: object, code: int = 0) -> None:
        """One command, in this process; what it prints is a place of its own."""
        out, err = io.StringIO(), io.StringIO()
        done: object = 0
        with (
            pytest.MonkeyPatch.context() as patched,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patched.setenv("FANKA_DATA", str(self.campus.folder.path))
            try:
                app([str(word) for word in words], result_action="sys_exit")
            except SystemExit as ended:
                done = ended.code
        said = out.getvalue() + "\n" + err.getvalue()
        assert done in (code, None), (words, said)
        self.keep(f"out: {place}", said)


LABELS = (LABEL_TERMINAL_TO_HOST, LABEL_HOST_TO_TERMINAL, LABEL_PIN)


def session_keys(till: Till, wire: Wire, hello: Hello, challenge) -> list[bytes]:
    context = till.number.to_int().to_bytes(4, "big") + hello.terminal_challenge + challenge.host_challenge
    return [derive(till.root_key, label, context) for label in LABELS]


def shake_hands(scene: Scene, till: Till) -> Wire:
    wire = Wire(scene.address, till)
    hello = till.hello()
    challenge = wire.ask(hello)
    for key in session_keys(till, wire, hello, challenge):
        scene.secret("derived key", key)
    wire.ask(Auth())
    return wire


def good_sessions(scene: Scene) -> None:
    till = scene.tills[0]
    with shake_hands(scene, till) as wire:
        sale = till.sale(CARD)
        assert wire.sell(sale).response_code == "00"
        assert wire.query(sale).response_code == "00"
        assert wire.ask(reversal_of(sale)).response_code == "00"
        assert wire.sell(till.sale(PAYMENT_CODE)).response_code == "51"
        wire.ask(SignOffRequest())
    wrong = Till(till.number, scene.secret("root key", secrets.token_bytes(32)), 1)
    with Wire(scene.address, wrong) as wire:
        wire.say(wrong.hello())
        wire.socket.recv(4096)
        wire.say_bytes(close_frame(build_header(0, 0x0800, 17, till.number, 1), b"\x91" + bytes(16)))
        assert wire.rest() == b""


def people(scene: Scene) -> None:
    """Passwords, a PIN and a payment code, right ones and wrong ones."""
    till = scene.tills[7]
    password = scene.secret("operator password", PEOPLES_PASSWORD.encode()).decode()
    supervisor = {"action": TellerAction.ADD, "operator": 7, "name": "Canary", "new_password": password}
    with shake_hands(scene, till) as wire:
        new = PasswordChangeRequest(
            purpose=PasswordPurpose.OPERATOR, operator=1, old_password="0000", new_password=password
        )
        assert wire.ask(new).response_code == "00"
        assert wire.ask(SignOnRequest(operator=1, password=password)).response_code == "00"
        assert wire.ask(SignOnRequest(operator=0, password=password)).response_code == "55"
        assert wire.ask(TellerRequest(supervisor_password="123456", **supervisor)).response_code == "00"
        assert wire.ask(TellerRequest(supervisor_password=password, **supervisor)).response_code == "55"
        check = PasswordRequest(purpose=PasswordPurpose.RECHARGE, password=password)
        assert wire.ask(check).response_code == "55"
        block = encode_pin_block(wire.connection.pin_key, PIN, card_digits(CARD), b"\x5a" * 8)
        scene.secret("pin", block)
        wire.ask(msgspec.structs.replace(till.sale(CARD), pin_block=block))
        wire.ask(BalanceRequest(payer=CARD, pin_block=block))
        wire.ask(BalanceRequest(payer=CARD, pin_block=block[::-1]))
        code = administer(scene.campus, "virtual_card.code", card="C3")["code"]
        scene.secret("moment's code", code[12:].encode())
        for _ in range(2):
            wire.ask(msgspec.structs.replace(till.sale(code.encode()), entry_mode=EntryMode.CODE))


def key_change(scene: Scene) -> None:
    till = scene.tills[1]
    administer(scene.campus, "terminal.rotate", first=str(till.number))
    with shake_hands(scene, till) as wire:
        answer = wire.ask(KeyRequest(key_version=2))
        assert isinstance(answer, KeyAnswer)
        scene.secret("wrapped key", answer.wrapped_key)
        following = unwrap_root_key(till.root_key, till.number, 2, answer.wrapped_key)
        scene.root_key(till.number, following)
        assert repr(answer) == "KeyAnswer(response_code='00', key_version=2, wrapped_key=...)"
        with pytest.raises(AssertionError):  # the fault there closes the session
            wire.ask(KeyRequest(key_version=faulty_host.WRAP_VERSION))
    with shake_hands(scene, Till(till.number, following, 2)) as wire:
        wire.ask(ECHO)


def enrolment(scene: Scene) -> None:
    number = scene.tills[2].number
    code = bytes.fromhex(administer(scene.campus, "terminal.enrol", terminal=str(number), with_code=True)["code"])
    scene.secret("code", code)
    root = scene.root_key(number, root_key_from_enrol_code(code, number))
    with shake_hands(scene, Till(number, root, 0)) as wire:
        answer = wire.ask(EnrolRequest(serial_number="S-1"))
        assert isinstance(answer, EnrolAnswer)
        scene.root_key(number, answer.root_key)
        assert answer.root_key.hex() not in repr(answer)
    scene.tills[2] = Till(number, answer.root_key, answer.key_version)


def bad_bytes(scene: Scene) -> None:
    """Frames that cannot be read, with secrets in them: what is said of them is field, offset, size."""
    card_number = "6225880012345678"
    block = scene.secret("pin", encode_pin_block(secrets.token_bytes(16), PIN, card_number, secrets.token_bytes(8)))
    smuggled = pin_field(PIN, b"\x5a" * 8) + block + PIN.encode() + CARD + PAYMENT_CODE
    till = scene.tills[3]
    for mti, body in (
        (0x0200, b"\x99" + smuggled),
        (0x0999, smuggled),
        (0x0200, b"\x00" + smuggled),
        (0x0200, b"\x00" + (smuggled * 3)[:42]),
        (0x0800, b"\x92" + (PIN.encode() + block)[:24]),
        (0x0800, b"\x92" + PIN.encode() + bytes([7]) + bytes(11)),
        (0x0400, b"\x00" + smuggled[:44]),
    ):
        with scene.sign_on(till) as wire:
            wire.say_bytes(forge(wire.connection, mti, body, flags=1))
            wire.socket.recv(4096)
    with scene.sign_on(till) as wire:
        wire.say_bytes(smuggled + b"noise between frames" + smuggled)
        wire.say_bytes(close_frame(build_header(1, 0x0200, len(smuggled), till.number, 1), smuggled))
        wire.end()
        wire.rest()
    for data in (smuggled, b"FK\x01\x00" + smuggled, b"GET /" + smuggled):
        with Wire(scene.address, till) as wire:
            wire.say_bytes(data)
            wire.end()
            wire.rest()
    hello = Hello(key_version=1, terminal_challenge=(smuggled * 2)[:16])
    with Wire(scene.address, till) as wire:
        wire.say_bytes(close_frame(build_header(0, 0x0800, 45, till.number, 0), hello.layout.encode(hello))[:-1] + b"?")
        wire.end()
        wire.rest()


def faults(scene: Scene) -> None:
    till = scene.tills[4]
    for amount_fen in (faulty_host.CODE_FEN, faulty_host.RULE_FEN, faulty_host.FULL_FEN):
        with scene.sign_on(till) as wire:
            wire.say(till.sale(CARD, amount_fen))
            wire.hear()
    unlucky = scene.tills[5]
    with Wire(scene.address, unlucky) as wire:
        wire.say(Hello(key_version=faulty_host.HELLO_VERSION, terminal_challenge=bytes(16)))
        assert wire.rest() == b""
    for line in (
        b'{"op": "card.freeze", "args": {"uid": "' + CARD.hex().encode(),
        b'{"op": 3, "args": "%s"}' % CARD.hex().encode(),
    ):
        speak(scene, line + b"\n")


def speak(scene: Scene, line: bytes) -> None:
    """A line on the control socket that is no request."""
    import socket

    from server.control import short_address

    with socket.socket(socket.AF_UNIX) as control, short_address(scene.campus.folder.control_path) as address:
        control.connect(address)
        control.sendall(line)
        scene.keep("out: control socket", control.recv(65536))


def rewrapping(scene: Scene) -> None:
    while not administer(scene.campus, "keys.rewrap")["done"]:
        scene.secret("kek", load_kek(scene.campus.folder.kek_path.with_name("kek.key.new")))
    kek = load_kek(scene.campus.folder.kek_path)
    assert kek != scene.old_kek
    assert Canary("kek", kek) in scene.canaries


def commands(scene: Scene) -> None:
    """While the host runs."""
    for place in ("admin card list", "admin terminal list", "admin merchant list", "admin keys show", "admin day show"):
        scene.run(place, *place.split())
        scene.run(place, *place.split(), "--json")
    scene.run("admin account show", "admin", "account", "show", "C1")
    scene.run("admin terminal rotate", "admin", "terminal", "rotate", "3-7..3-8")
    scene.run("admin terminal revoke", "admin", "terminal", "revoke", "3-8")
    scene.run("verify", "verify")
    scene.run("doctor", "doctor")
    scene.run("backup", "backup", scene.campus.folder.path, "--to", scene.path / "backup.db")
    scene.keep("backup", (scene.path / "backup.db").read_bytes())
    for path in ("/metrics", "/healthz", "/readyz", "/nothing"):
        scene.get(path)


def terminal_on_the_line(scene: Scene) -> None:
    """An emulated terminal that changes its key and sells; its script taps the card."""
    till = scene.tills[6]
    place = scene.path / "terminal"
    place.mkdir()
    key_file = place / "key.json"
    write_settings(
        key_file,
        Settings(
            terminal=till.number, root_key=till.root_key, key_version=1, host=scene.address[0], port=scene.address[1]
        ),
    )
    script = place / "script.txt"
    script.write_text(
        "wait-for online\nkey 1 . 5 ENTER\ntap canary\nexpect beep ok\n"
        "key ENTER 1 . 5 ENTER\ntap code\nexpect beep error\nwait-for settled\n"
    )
    words = ["terminal", key_file, "--card", f"canary={CARD.hex()}", "--card", f"code={PAYMENT_CODE.hex()}"]
    scene.run("terminal", *words, "--script", script, "--show", "--printer", place / "slips")
    changed = json.loads(key_file.read_text())
    assert (changed["key_version"], "next_root_key" in changed) == (2, False)
    scene.root_key(till.number, bytes.fromhex(changed["root_key"]))
    scene.keep("terminal: key file", key_file.read_bytes())
    scene.keep("terminal: slips", (place / "slips").read_bytes())
    for found in sorted(place.rglob("*")):
        if found.is_file() and found not in (key_file, script, place / "slips"):
            scene.keep("terminal: memory", found.read_bytes())
    key_file.write_text(key_file.read_text().replace('"port"', '"prot"'))
    scene.run("terminal, bad key file", *words, "--script", script, code=2)
    key_file.write_text("{" + changed["root_key"])
    scene.run("terminal, bad key file", *words, "--script", script, code=2)
    key_file.write_text(json.dumps(changed | {"root_key": changed["root_key"][:-1]}))
    scene.run("terminal, bad key file", *words, "--script", script, code=2)
    scene.run(
        "terminal, bad code", "terminal", place / "k.json", "--number", "3-3", "--enrol-code",
        scene.secret("code", secrets.token_bytes(16)).hex() + "0", code=2,
    )  # fmt: skip


def data_folder(scene: Scene) -> None:
    """The files of the host, also those a crash has left as they were."""
    for found in sorted(scene.campus.folder.path.iterdir()):
        if not found.is_file():
            continue
        name = "ledger.db" if found.name.startswith("ledger.db") else found.name
        scene.keep(f"data: {'kek.key.*.old' if name.endswith('.old') else name}", found.read_bytes())


def journal(scene: Scene) -> None:
    """The rows that are kept for ever, without the table of cards."""
    with scene.campus.ledger() as store:
        wrapped = Registry(store).meta(HOST_SECRET_ROW)
        assert wrapped is not None
        scene.secret("host secret", KeyRing(load_kek(scene.campus.folder.kek_path)).unwrap(bytes.fromhex(wrapped)))
        journaled = ("transfers", "entries", "accounts", "terminals", "merchants", "meta", "business_days")
        for table in (*journaled, "operators", "terminal_events", "changes"):
            rows = [b"|".join(plain(value) for value in row) for row in store.execute(f"SELECT * FROM {table}")]
            scene.keep(f"table: {table}", *rows)


def plain(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def bad_configuration(scene: Scene) -> None:
    """Starts that are refused, and what they say."""
    kek_path = scene.campus.folder.kek_path
    good = kek_path.read_text()
    serve = ["serve", scene.campus.folder.path]
    for place, text in {"cut": good.strip()[:-1], "letters": "zz" + good[2:], "long": good.strip() + "00"}.items():
        kek_path.write_text(text)
        scene.run(f"serve, kek.key {place}", *serve, code=2)
        scene.run(f"doctor, kek.key {place}", "doctor", code=1)
    kek_path.write_text(good)
    kek_path.chmod(0o644)
    scene.run("serve, kek.key open", *serve, code=2)
    kek_path.chmod(0o600)
    config = scene.campus.folder.config_path
    scene.secret("password", PASSWORD)
    text = config.read_text()
    dsn = f"postgresql://fanka:{PASSWORD.decode()}@127.0.0.1:9/none?connect_timeout=1"
    for number, line in enumerate((f'postgres = "{dsn}"', f'postgers = "{dsn}"')):
        config.write_text(text.replace('postgres = ""', line, 1))
        assert PASSWORD.decode() in config.read_text()
        scene.run(f"serve, store {number}", *serve, code=2)
        scene.run(f"doctor, store {number}", "doctor", code=1)
        scene.run(f"verify, store {number}", "verify", code=2)
    config.write_text(text)


def reprs(scene: Scene) -> None:
    """What a debugger or a log call would show of the things that hold secrets."""
    till = scene.tills[0]
    ring = KeyRing(load_kek(scene.campus.folder.kek_path), scene.old_kek)
    settings = Settings(terminal=till.number, root_key=till.root_key, key_version=1)
    both = Settings(
        terminal=till.number,
        root_key=till.root_key,
        key_version=1,
        next_root_key=scene.tills[1].root_key,
        next_key_version=2,
    )
    things = [
        ring,
        settings,
        both,
        Rotation(both),
        Enrolled(1, till.root_key),
        till.connection(),
        Seal(till.root_key[:16]),
        till.sale(CARD),
        reversal_of(till.sale(PAYMENT_CODE)),
        EnrolAnswer(response_code="00", key_version=1, root_key=till.root_key),
        Provisioned([(till.number, 1, till.root_key)], [CARD]),
    ]
    scene.keep("repr()", *map(repr, things), *map(str, things))
    assert Role.HOST in Role


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    scene = Scene(tmp_path_factory.mktemp("canaries"))
    with scene.host() as process:
        good_sessions(scene)
        people(scene)
        key_change(scene)
        enrolment(scene)
        bad_bytes(scene)
        faults(scene)
        rewrapping(scene)
        scene.root_key(scene.tills[6].number, scene.tills[6].root_key)
        administer(scene.campus, "terminal.rotate", first=str(scene.tills[6].number))
        terminal_on_the_line(scene)
        commands(scene)
        offer(scene)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    with scene.host() as process:
        till = scene.tills[4]
        with scene.sign_on(till) as wire:
            wire.say(till.sale(CARD, faulty_host.BROKEN_FEN))
            wire.hear()
        assert process.wait(PATIENCE_S) == 70
    data_folder(scene)
    journal(scene)
    bad_configuration(scene)
    reprs(scene)
    return scene


def offer(scene: Scene) -> None:
    """A one-time code on the administrator's screen."""
    scene.run("admin terminal enrol --code", "admin", "terminal", "enrol", "3-4", "--code", "--json")
    said = json.loads(scene.places["out: admin terminal enrol --code"].split(b"\n\n")[0])
    scene.secret("code", bytes.fromhex(said["code"]))


@pytest.mark.slow
def test_no_secret_is_where_it_must_not_be(scene):
    leaks = {
        (kind, place): forms
        for place, text in scene.places.items()
        for kind, forms in sightings(scene.canaries, text).items()
        if (kind, place) not in ALLOWED
    }
    assert leaks == {}


@pytest.mark.slow
def test_what_the_table_allows_is_there(scene):
    """Or the table says more than is true, and the search would not have noticed."""
    missing = [
        (kind, place) for kind, place in ALLOWED if kind not in sightings(scene.canaries, scene.places.get(place, b""))
    ]
    assert missing == []


@pytest.mark.slow
def test_the_faults_have_happened(scene):
    log = scene.places["host: log"].decode()
    for said in (
        "a bug in a handler",
        "a bug in a rule",
        "a bug near keys",
        "a bug in a handshake",
        "database or disk is full",
        "disk I/O error",
        "request refused",
        "frame refused",
        "noise discarded",
        "key fetched",
        "key changed",
        "terminal enrolled",
    ):
        assert said in log, said
    assert "Traceback" in log
    assert len(scene.places["host: /metrics"]) > 1000
    assert len(scene.places["table: transfers"]) > 100


@pytest.mark.slow
def test_places_and_secrets_are_what_we_think(scene):
    assert {canary.kind for canary in scene.canaries} >= {kind for kind, _ in ALLOWED} | {
        "pin",
        "derived key",
        "password",
        "operator password",
        "moment's code",
        "host secret",
    }
    assert len(scene.places) > 40
    for place in ("data: ledger.db", "data: fanka.toml", "data: kek.key", "backup", "host: /healthz", "repr()"):
        assert scene.places[place], place
