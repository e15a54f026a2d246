"""kill -9 while keys are re-wrapped under a new key-encryption key: every terminal gets in, and the work goes on."""

import json
import socket

import pytest

from server.control import short_address
from server.kek_files import fingerprint_of, load_kek
from tests.end_to_end.process import CARD, Campus, administer, serving
from tools.admin_client import open_directly

TERMINALS = 500
MORE = ("4-1", "5-1")  # the first of as many again: three steps of re-wrapping, between the first and the last


def ask_and_kill(campus, host) -> None:
    """The host is killed while it does the next step: before, within or behind its commit, as it happens."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control,
        short_address(campus.folder.control_path) as address,
    ):
        control.connect(address)
        control.sendall(json.dumps({"op": "keys.rewrap", "args": {}}).encode() + b"\n")
        host.kill()


@pytest.mark.slow
def test_killed_at_each_step(tmp_path):
    campus = Campus(tmp_path / "data", terminals=TERMINALS)
    with open_directly(campus.folder) as admin:
        for number in MORE:
            admin.terminals.enrol_many(number, TERMINALS, campus.merchant_id)
    first = load_kek(campus.folder.kek_path)
    tills = campus.tills(TERMINALS)[::99]
    for killed_round in range(5):
        with serving(campus) as host:
            for till in tills:
                with host.sign_on(till) as wire:
                    assert wire.sell(till.sale(CARD)).response_code == "00"
            if killed_round % 2:
                if load_kek(campus.folder.kek_path) == first:
                    administer(campus, "keys.rewrap")
            else:
                ask_and_kill(campus, host)
    with serving(campus) as host:
        shown = administer(campus, "keys.show")
        while shown["coming"] or shown["fingerprint"] == fingerprint_of(first):
            administer(campus, "keys.rewrap")
            shown = administer(campus, "keys.show")
        for till in tills:
            with host.sign_on(till) as wire:
                assert wire.sell(till.sale(CARD)).response_code == "00"
    assert shown["fingerprint"] == fingerprint_of(load_kek(campus.folder.kek_path))
    campus.verify()
