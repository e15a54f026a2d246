"""Two kinds of errors, and what they say."""

import pytest

from protocol import LocalProtocolError, ProtocolError, Reason, RemoteProtocolError


def test_kinds():
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            RemoteProtocolError(Reason.FIELD, field="stan", offset=17, expected="1..999999", got="0"),
            "field: stan at offset 17: expected 1..999999, got 0",
        ),
        (RemoteProtocolError(Reason.CRC, expected="00000000", got="1"), "crc: offset 0: expected 00000000, got 1"),
    ],
)
def test_words(error, text):
    assert str(error) == text


def test_reasons_are_few_and_fit_for_a_metric_label():
    assert len(Reason) <= 16
    assert all(reason.isascii() and reason.islower() for reason in Reason)
