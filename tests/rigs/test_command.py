"""The rigs' command lines: a run of nothing is refused, Ctrl-C is one line."""

import argparse

import pytest

from tests.rigs.command import INTERRUPTED, at_least, run


@pytest.mark.parametrize(
    ("kind", "text", "value"), [(int, "1", 1), (int, "1000000", 1_000_000), (float, "1", 1.0), (float, "2.5", 2.5)]
)
def test_a_number_that_makes_sense(kind, text, value):
    assert at_least(1, kind)(text) == value


@pytest.mark.parametrize(
    ("kind", "text"), [(int, "0"), (int, "-5"), (int, "abc"), (int, "1.5"), (int, ""), (float, "0"), (float, "nan")]
)
def test_a_number_that_makes_none(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"of 1 or more, got {text!r}"):
        at_least(1, kind)(text)


def test_the_exit_code_is_the_rigs():
    with pytest.raises(SystemExit) as ended:
        run(lambda: 3)
    assert ended.value.code == 3


def test_an_interrupt_is_one_line(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(interrupted)
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr().err.count("\n") == 1
