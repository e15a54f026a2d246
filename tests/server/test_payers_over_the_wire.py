"""PINs and payment codes over real sessions of a real host: what was heard in one is worth nothing in another."""

from __future__ import annotations

import msgspec
import pytest
from structlog.testing import capture_logs

from protocol.messages import BalanceRequest, EntryMode
from protocol.payment_code import STEP_S
from protocol.pin_block import card_digits, encode_pin_block
from server.ledger.model import Status
from tests.server.host import CARD, OTHER_CARD, START_FEN, open_host
from tests.wire import query_of, reversal_of

PIN, WRONG_PIN = "839214", "839215"
FILL = bytes(range(8))


def block_for(line, pin=PIN, payer=CARD):
    return encode_pin_block(line.connection.pin_key, pin, card_digits(payer), FILL)


def set_pin(rig, card=CARD, pin=PIN):
    """As the office does it."""
    verifier = rig.host.admin.desk.secrets.pin_verifier(card, pin)
    with rig.store.transaction():
        rig.store.execute("UPDATE cards SET pin_verifier = ? WHERE token = ?", (verifier, card))


def ask_for_pins(rig, above_fen=1000):
    rig.host.admin.perform("parameter.set", {"name": "pin_sale_fen", "value": above_fen})


def with_pin(sale, block):
    return msgspec.structs.replace(sale, pin_block=block)


async def code_of(rig, till, student_number="S1"):
    """A new virtual card of the customer, and the request of a sale with its code of the moment."""
    rig.host.admin.perform("virtual_card.issue", {"student_number": student_number})
    code = rig.host.admin.perform("virtual_card.code", {"card": student_number})["code"]
    return msgspec.structs.replace(till.sale(code.encode()), entry_mode=EntryMode.CODE)


# --- PINs


async def test_a_pin_is_asked_for_and_the_right_one_pays():
    async with open_host() as rig:
        set_pin(rig)
        ask_for_pins(rig)
        till = rig.enrol()
        line = await rig.sign_on(till)
        assert (await line.sell(till.sale(CARD, 1000))).response_code == "00"
        assert (await line.sell(till.sale(CARD, 1001))).response_code == "1A"
        assert (await line.sell(with_pin(till.sale(CARD, 1001), block_for(line, WRONG_PIN)))).response_code == "55"
        assert (await line.sell(with_pin(till.sale(CARD, 1001), block_for(line)))).response_code == "00"
        assert (await line.sell(till.sale(OTHER_CARD, 1001))).response_code == "00", "it has no PIN"
        assert rig.balance_fen() == START_FEN - 2001


async def test_a_pin_block_of_another_session_is_a_wrong_pin():
    """A4, A7: replayed, by the same terminal or another, it pays for nothing and counts as a guess."""
    async with open_host() as rig:
        set_pin(rig)
        ask_for_pins(rig)
        till, other = rig.enrol(), rig.enrol()
        line = await rig.sign_on(till)
        heard = block_for(line)
        again = await rig.sign_on(till)
        elsewhere = await rig.sign_on(other)
        assert (await again.sell(with_pin(till.sale(CARD, 2000), heard))).response_code == "55"
        assert (await elsewhere.sell(with_pin(other.sale(CARD, 2000), heard))).response_code == "55"
        assert (await again.sell(with_pin(till.sale(OTHER_CARD, 2000), heard))).response_code == "00", "has no PIN"
        assert rig.balance_fen() == START_FEN
        assert (await again.sell(with_pin(till.sale(CARD, 2000), block_for(again)))).response_code == "00"


async def test_wrong_pins_lock_the_card_and_a_restart_does_not_open_it():
    async with open_host() as rig:
        set_pin(rig)
        till = rig.enrol()
        line = await rig.sign_on(till)
        codes = [
            (await line.ask(BalanceRequest(payer=CARD, pin_block=block_for(line, WRONG_PIN)))).response_code
            for _ in range(5)
        ]
        assert codes == ["55", "55", "55", "55", "75"]
        assert (await line.ask(BalanceRequest(payer=CARD, pin_block=block_for(line)))).response_code == "75"
        async with open_host(store=rig.store) as restarted:
            line = await restarted.sign_on(till)
            ask_for_pins(restarted)
            assert (await line.sell(with_pin(till.sale(CARD, 2000), block_for(line)))).response_code == "75"
            assert restarted.balance_fen() == START_FEN


async def test_a_copy_with_another_block_is_the_same_request():
    """It is sent again in a new session, where the block is another. And a copy is no guess."""
    async with open_host() as rig:
        set_pin(rig)
        till = rig.enrol()
        sale = till.sale(CARD, 2000)
        line = await rig.sign_on(till)
        answer = await line.sell(with_pin(sale, block_for(line)))
        assert answer.response_code == "00"
        for _ in range(6):
            again = await rig.sign_on(till)
            assert await again.sell(with_pin(sale, block_for(again, WRONG_PIN))) == answer
        last = await rig.sign_on(till)
        assert (await last.sell(with_pin(till.sale(CARD, 100), block_for(last)))).response_code == "00"


# --- Payment codes


async def test_a_code_pays_once():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        sale = await code_of(rig, till)
        answer = await line.sell(sale)
        assert (answer.response_code, answer.balance_fen) == ("00", START_FEN - 100)
        assert await line.sell(sale) == answer, "a copy"
        second = msgspec.structs.replace(sale, stan=till.sale(CARD).stan)
        assert (await line.sell(second)).response_code == "F3"
        other = rig.enrol()
        elsewhere = await rig.sign_on(other)
        assert (await elsewhere.sell(msgspec.structs.replace(sale, stan=7))).response_code == "F3"
        assert rig.balance_fen() == START_FEN - 100


async def test_a_copy_that_comes_when_its_code_is_stale_gets_the_first_answer():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        sale = await code_of(rig, till)
        answer = await line.sell(sale)
        rig.clock.ms += 3_600_000
        assert await line.sell(sale) == answer
        assert (await line.ask(query_of(sale))).rrn == answer.rrn
        undone = await line.ask(reversal_of(sale))
        assert (undone.response_code, undone.reversed_fen) == ("00", 100)
        assert rig.balance_fen() == START_FEN


@pytest.mark.parametrize("age_s", [2 * STEP_S, 600])
async def test_a_stale_code_pays_nothing(age_s):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        sale = await code_of(rig, till)
        rig.clock.ms += age_s * 1000
        assert (await line.sell(sale)).response_code == "F2"
        assert rig.balance_fen() == START_FEN


async def test_the_number_of_a_virtual_card_pays_nothing():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        sale = await code_of(rig, till)
        number = sale.payer[2:12]
        for payer, entry_mode in ((number, EntryMode.CARD), (number, EntryMode.CODE), (sale.payer, EntryMode.CARD)):
            answer = await line.sell(msgspec.structs.replace(till.sale(payer), entry_mode=entry_mode))
            assert answer.response_code in ("F2", "14")
        assert (await line.ask(BalanceRequest(payer=number))).response_code == "F2"
        assert rig.balance_fen() == START_FEN


async def test_codes_are_not_guessed_for_long():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        good = await code_of(rig, till)
        codes = []
        for guess in range(101):
            payer = good.payer[:12] + f"{guess:010}".encode()
            sale = msgspec.structs.replace(till.sale(payer), entry_mode=EntryMode.CODE)
            codes.append((await line.sell(sale)).response_code)
        assert codes == ["F2"] * 100 + ["38"]
        assert (await line.sell(msgspec.structs.replace(good, stan=till.sale(CARD).stan))).response_code == "38"
        assert (await line.sell(till.sale(CARD))).response_code == "00", "cards are taken"
        assert rig.host.registry.find_card(CARD).status == Status.ACTIVE


async def test_neither_pin_nor_code_is_logged():
    with capture_logs() as logs:
        async with open_host() as rig:
            set_pin(rig)
            till = rig.enrol()
            line = await rig.sign_on(till)
            block = block_for(line)
            await line.sell(with_pin(till.sale(CARD), block))
            sale = await code_of(rig, till)
            await line.sell(sale)
            await line.sell(msgspec.structs.replace(sale, amount_fen=7))  # an identity used again is alarmed
    text = repr(logs)
    assert "identity reused" in text
    for secret in (PIN, block.hex(), sale.payer.decode(), sale.payer[12:].decode(), CARD.hex()):
        assert secret not in text
