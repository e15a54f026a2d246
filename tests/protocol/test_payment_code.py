"""Payment codes: the published vectors of RFC 6238, what is taken for a code, and when one is still good."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import payment_code
from protocol.messages.fields import PAYER_SIZE

RFC_SECRET = b"12345678901234567890123456789012"
SECRET = bytes(range(32))
NUMBER = "0000000042"
NOW_S = 1_795_000_005


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [
        (59, "46119246"),
        (1_111_111_109, "68084774"),
        (1_111_111_111, "67062674"),
        (1_234_567_890, "91819424"),
        (2_000_000_000, "90698825"),
        (20_000_000_000, "77737706"),
    ],
)
def test_rfc_6238_appendix_b(at_s, expected):
    """SHA-256, 8 digits, steps of 30 s."""
    assert payment_code.one_time_password(RFC_SECRET, at_s // 30, 8) == expected


def test_a_code_fits_the_payer_field_and_comes_apart_again():
    code = payment_code.make_code(SECRET, NUMBER, NOW_S)
    assert len(code) == payment_code.CODE_DIGITS == 22 <= PAYER_SIZE
    parsed = payment_code.parse_code(code.encode())
    assert parsed is not None
    assert (parsed.number, parsed.token) == (NUMBER, NUMBER.encode())
    assert parsed.dynamic == code[12:]
    assert code[12:] not in repr(parsed)


@pytest.mark.parametrize(
    "payer",
    [b"", b"91", b"9" * 22, b"91" + b"0" * 19, b"91" + b"0" * 21, b"91" + b"0" * 19 + b"x", b"\xff" * 22, "９１" * 4],
)
def test_what_is_no_code(payer):
    assert payment_code.parse_code(payer if isinstance(payer, bytes) else payer.encode()) is None


def test_a_code_is_good_in_its_step_and_the_next():
    start_s = payment_code.step_at(NOW_S) * payment_code.STEP_S
    dynamic = payment_code.make_code(SECRET, NUMBER, start_s)[12:]

    def step_of(at_s, secret=SECRET):
        return payment_code.matching_step(secret, dynamic, at_s)

    assert step_of(start_s) == step_of(start_s + 2 * payment_code.STEP_S - 1) == start_s // 15
    assert step_of(start_s + 2 * payment_code.STEP_S) is None
    assert step_of(start_s - 1) is None, "the phone's clock is ahead"
    assert step_of(start_s, bytes(32)) is None, "another card's secret"


@given(st.binary(max_size=24))
def test_any_bytes_are_a_code_or_none(payer):
    parsed = payment_code.parse_code(payer)
    assert parsed is None or payer == f"91{parsed.number}{parsed.dynamic}".encode()


def test_the_number_alone_is_known_for_what_it_is():
    assert payment_code.is_virtual_number(NUMBER.encode())
    for token in (b"\x04\xa1\xb2\xc3", b"000000004", b"00000000042", b"000000004x"):
        assert not payment_code.is_virtual_number(token)
