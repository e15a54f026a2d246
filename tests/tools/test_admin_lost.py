"""Money whose answer was lost: the operator is told the one way to ask again that cannot pay twice."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import threading

import pytest

from tools.admin_client import open_directly


@pytest.fixture
def card(fanka):
    assert fanka("admin", "card", "issue", "04A1B2C3", "S1", "张三") == 0


@contextlib.contextmanager
def host_that_never_answers(folder, *, leave):
    """A host that does what it is asked, and is gone before it says so; `leave()` is how."""
    asked = []

    def serve(listener):
        connection, _ = listener.accept()
        with connection, connection.makefile() as lines:
            request = json.loads(lines.readline())
            asked.append(request)
            with open_directly(folder) as admin:
                admin.perform(request["op"], request["args"])
            leave(lines)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.control_path))
        listener.listen()
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        yield asked
        thread.join()
    folder.control_path.unlink()


def die(_lines):
    """Between the commit and the answer."""


def hang(lines):
    """Until the other side has had enough."""
    lines.read()


def interrupt(lines):
    """The operator has: Ctrl-C."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    lines.read()


@pytest.mark.parametrize("leave", [die, hang, interrupt], ids=["dies", "times out", "is interrupted"])
@pytest.mark.parametrize(("verb", "amount", "balance_fen"), [("topup", "100", 10_000), ("correct", "0.05", 5)])
def test_the_request_to_repeat_is_named_and_posts_once(
    fanka, folder, card, monkeypatch, leave, verb, amount, balance_fen
):
    if leave is hang:
        monkeypatch.setattr("tools.admin_client.ANSWER_TIMEOUT_S", 0.2)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with host_that_never_answers(folder, leave=leave) as asked:
            said = fanka.error("admin", "account", verb, "S1", amount)
    finally:
        signal.signal(signal.SIGINT, before)
    found = re.search(r"repeat with --request (\d+-\d+)", said)
    assert found is not None, said
    assert found[1] == f"{asked[0]['args']['batch']}-{asked[0]['args']['line']}"
    assert "may or may not be done" in said
    assert fanka("admin", "account", verb, "S1", amount, "--request", found[1]) == 0
    assert "posted before and not again" in fanka.out
    assert fanka.json("admin", "account", "show", "S1")["balance_fen"] == balance_fen


def test_a_request_of_ones_own_is_named_too(fanka, folder, card):
    with host_that_never_answers(folder, leave=die):
        assert "repeat with --request 7-1" in fanka.error("admin", "account", "topup", "S1", "1", "--request", "7-1")


def test_what_is_no_payment_is_just_repeated(fanka, folder, card):
    with host_that_never_answers(folder, leave=die):
        said = fanka.error("admin", "card", "freeze", "04A1B2C3")
    assert "--request" not in said
    assert "may or may not be done" in said


def test_a_refusal_needs_no_repeat(fanka, card):
    assert "--request" not in fanka.error("admin", "account", "correct", "S1", "-5")
