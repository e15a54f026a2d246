"""kill -9 in the middle of a rush, again and again: what was answered stands, once; what was not can be found out."""

import os
import random

import pytest

from protocol.codec import encode
from protocol.messages import TransactionState
from tests.end_to_end.process import CARD, OTHER_CARD, START_FEN, Campus, serving
from tests.end_to_end.rush import Rush, Seller

KILLS = int(os.environ.get("FANKA_KILLS", "5"))
"""How often the host is killed; more for a long night."""
SELLERS = 8
FIRST_ANSWERS_MAX = 150
"""The kill comes after a random number of answers up to this."""


@pytest.mark.slow
def test_every_acknowledged_sale_survives_and_none_is_doubled(tmp_path):
    campus = Campus(tmp_path / "data", terminals=SELLERS)
    sellers = [Seller(till) for till in campus.tills(SELLERS)]
    chance = random.Random(3)
    reversed_fen = 0
    for round_ in range(KILLS + 1):
        with serving(campus) as host:
            for seller in sellers:
                with host.sign_on(seller.till) as wire:
                    reversed_fen += settle_doubt(wire, seller, reverse=chance.random() < 0.5)
                    assert_same_answers(wire, seller)
            if round_ < KILLS:
                with Rush(host, sellers) as rush:
                    rush.wait_answers(chance.randrange(1, FIRST_ANSWERS_MAX))
                    host.kill()
                assert rush.failures() == []
        assert_answered_once(campus, sellers)
    sold = sum(sale.amount_fen for seller in sellers for sale, _ in seller.answered)
    assert campus.balance_fen(CARD) + campus.balance_fen(OTHER_CARD) == 2 * START_FEN - sold + reversed_fen
    campus.verify()


def assert_answered_once(campus, sellers):
    """Every sale that was answered is in the ledger once, as it was answered."""
    posted = campus.posted()
    assert {len(rows) for rows in posted.values()} <= {1}
    for seller in sellers:
        for sale, answer in seller.answered:
            [(rrn, decision, amount_fen)] = posted[seller.till.number.to_int(), sale.batch, sale.stan]
            assert (decision, amount_fen) == (0, sale.amount_fen)
            assert rrn == int.from_bytes(answer[13:21], "big")


def settle_doubt(wire, seller, *, reverse):
    """What became of the one sale that was sent without an answer: found out by query, then sent again or reversed.

    Gives the fen that a reversal has given back of sales counted as answered.
    """
    sale, seller.in_doubt = seller.in_doubt, None
    if sale is None:
        return 0
    seen = wire.query(sale)
    assert seen.state in (TransactionState.APPROVED, TransactionState.NEVER_SEEN)
    if not reverse:
        answer = wire.sell(sale)
        assert answer.response_code == "00"
        if seen.state == TransactionState.APPROVED:
            assert (answer.rrn, answer.posted_at_ms) == (seen.rrn, seen.posted_at_ms)
        seller.answered.append((sale, encode(answer)))
        return 0
    reversal = wire.reverse(sale)
    assert reversal.response_code == "00"
    assert reversal.reversed_fen == (sale.amount_fen if seen.state == TransactionState.APPROVED else 0)
    assert wire.query(sale).state == TransactionState.REVERSED
    if seen.state == TransactionState.NEVER_SEEN:
        assert wire.sell(sale).response_code == "68"
        return 0
    seller.answered.append((sale, encode(wire.sell(sale))))
    return reversal.reversed_fen


def assert_same_answers(wire, seller):
    """Sent again after the restart, every sale gets the bytes it got before."""
    for sale, answer in seller.answered:
        assert encode(wire.sell(sale)) == answer


def test_a_killed_host_leaves_nothing_that_hinders_the_next(tmp_path):
    campus = Campus(tmp_path / "data", terminals=2)
    with serving(campus) as host, host.sign_on(campus.till()) as line:
        line.sell(line.till.sale(CARD))
        host.kill()
        assert line.is_over()
    assert campus.folder.control_path.exists()
    with serving(campus) as host, host.sign_on(line.till) as line:
        assert host.wait_log("serving")["newest_transfer"] == 3
        assert line.sell(line.till.sale(CARD)).response_code == "00"


def test_ready_after_a_restart_tells_the_newest_transaction(tmp_path):
    """A terminal that has lost its memory learns which numbers are used."""
    campus = Campus(tmp_path / "data", terminals=1)
    till = campus.till()
    with serving(campus) as host, host.sign_on(till) as line:
        for _ in range(3):
            line.sell(till.sale(CARD))
        host.kill()
    with serving(campus) as host, host.line(till) as line:
        ready = line.shake_hands()
        assert (ready.last_batch, ready.last_stan) == (1, 3)
        assert ready.config_version == 2  # the epoch of the second start
