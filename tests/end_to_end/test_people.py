"""Passwords and PINs against a real host: a kill -9 forgives nobody, the office does."""

from __future__ import annotations

import msgspec

from protocol.messages import PasswordChangeRequest, PasswordPurpose, SignOnRequest
from protocol.pin_block import card_digits, encode_pin_block
from tests.end_to_end.process import CARD, START_FEN, Campus, administer, serving

PIN = "839214"


def sign_on(line, password, operator=1):
    return line.ask(SignOnRequest(operator=operator, password=password)).response_code


def test_a_password_that_was_locked_or_changed_stays_so(tmp_path):
    campus = Campus(tmp_path / "data", terminals=1)
    till = campus.till()
    with serving(campus) as host, host.sign_on(till) as line:
        change = PasswordChangeRequest(purpose=PasswordPurpose.SUPERVISOR, old_password="123456", new_password="471147")
        assert line.ask(change).response_code == "00"
        assert [sign_on(line, "1111") for _ in range(5)] == ["55"] * 4 + ["75"]
        host.kill()
    with serving(campus) as host, host.sign_on(till) as line:
        assert sign_on(line, "0000") == "75"
        assert sign_on(line, "471147", 0) == "00"
        assert sign_on(line, "123456", 0) == "55"
        administer(campus, "operator.unlock", merchant_id=campus.merchant_id, operator=1)
        assert sign_on(line, "0000") == "00"


def test_a_pin_is_checked_in_the_session_it_was_keyed_in_and_wrong_ones_are_not_forgotten(tmp_path):
    campus = Campus(tmp_path / "data", terminals=1)
    till = campus.till()
    administer(campus, "parameter.set", name="pin_sale_fen", value=1000)
    administer(campus, "card_terms.set_pin", uid=CARD.hex(), pin=PIN)

    def sell(line, pin="", block=b""):
        sale = till.sale(CARD, 2000)
        if pin:
            block = encode_pin_block(line.connection.pin_key, pin, card_digits(CARD), bytes(8))
        return line.sell(msgspec.structs.replace(sale, pin_block=block) if block else sale).response_code, block

    with serving(campus) as host, host.sign_on(till) as line:
        assert sell(line)[0] == "1A"
        code, heard = sell(line, PIN)
        assert code == "00"
        assert [sell(line, "000000")[0] for _ in range(3)] == ["55"] * 3
        host.kill()
    with serving(campus) as host, host.sign_on(till) as line:
        assert sell(line, block=heard)[0] == "55"
        assert sell(line, "000000")[0] == "75"
        assert sell(line, PIN)[0] == "75"
    assert campus.balance_fen() == START_FEN - 2000
    campus.verify()
