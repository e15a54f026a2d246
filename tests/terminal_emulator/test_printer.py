"""A printer without paper keeps what it got, and no trouble of it reaches a transaction."""

from terminal_emulator.printer import MAX_WAITING, Printer, PrinterState
from tests.terminal_emulator.slips import plain_slip


class Desk:
    def __init__(self, paper=None):
        self.printed, self.failed = [], []
        self.printer = Printer(paper, self.printed.append, self.failed.append)


def test_slips_come_out_in_their_order_when_paper_is_back():
    desk = Desk()
    desk.printer.put(plain_slip("1"))
    desk.printer.set(PrinterState.OUT_OF_PAPER)
    for text in "23":
        desk.printer.put(plain_slip(text))
    assert [slip.lines for slip in desk.printed] == [("1",)]
    assert desk.failed == ["out of paper"] * 2
    assert desk.printer.waiting == 2
    desk.printer.set(PrinterState.READY)
    assert [slip.lines for slip in desk.printed] == [("1",), ("2",), ("3",)]
    assert desk.printer.waiting == 0


def test_of_too_many_the_oldest_are_dropped():
    desk = Desk()
    desk.printer.set(PrinterState.COVER_OPEN)
    for number in range(MAX_WAITING + 1):
        desk.printer.put(plain_slip(str(number)))
    desk.printer.set(PrinterState.READY)
    assert [slip.lines for slip in desk.printed][:1] == [("1",)]
    assert len(desk.printed) == MAX_WAITING
    assert desk.failed[0] == "cover open"


def test_paper_that_fails_is_reported_and_raises_nothing():
    def jam(_slip):
        raise OSError("disk full")

    desk = Desk(jam)
    desk.printer.put(plain_slip("1"))
    assert desk.failed == ["disk full"]
    assert desk.printed == []
