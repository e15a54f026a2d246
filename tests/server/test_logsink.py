"""The log's way out: whatever becomes of its reader or disk, nobody who logs notices, and what is lost is counted."""

import errno
import os
import threading

import pytest

from server.logsink import BATCH_LINES, LogSink

FOREVER_S = 60.0
"""A wait that a test which passes never sees the end of."""
MORE_THAN_A_PIPE = 1 << 20


@pytest.fixture
def pipe():
    """Both ends of a pipe, closed afterwards unless the test has done so."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end >= 0:
            os.close(end)


def read_all(descriptor):
    data = b""
    while piece := os.read(descriptor, 1 << 16):
        data += piece
    return data


def stuck_sink(write_end, lines_max):
    """A sink whose writer stands in the middle of a long line, because nobody reads on."""
    sink = LogSink(write_end, lines_max=lines_max)
    sink.write("x" * MORE_THAN_A_PIPE + "\n")
    return sink


def test_lines_come_out_in_order_and_whole(pipe):
    sink = LogSink(pipe[1])
    lines = [f'{{"event": "{number} 一食堂"}}\n' for number in range(3 * BATCH_LINES)]
    received = []
    reader = threading.Thread(target=lambda: received.append(read_all(pipe[0])))
    reader.start()
    for line in lines:
        assert sink.write(line) == len(line)
        sink.flush()
    sink.close(FOREVER_S)
    os.close(pipe[1])
    pipe[1] = -1
    reader.join(FOREVER_S)
    assert received[0].decode() == "".join(lines)
    assert sink.dropped == 0


def test_text_that_is_no_unicode_is_still_a_line(pipe):
    sink = LogSink(pipe[1])
    sink.write("\ud800\n")
    sink.close(FOREVER_S)
    assert os.read(pipe[0], 100) == b"\\ud800\n"


def test_a_reader_that_has_gone_away_is_no_error(pipe):
    os.close(pipe[0])
    pipe[0] = -1
    sink = LogSink(pipe[1])
    for _ in range(5):
        sink.write("lost\n")
        sink.flush()
    sink.close(FOREVER_S)
    assert sink.dropped == 5


def test_a_full_disk_is_no_error():
    descriptor = os.open("/dev/full", os.O_WRONLY)
    sink = LogSink(descriptor)
    for _ in range(5):
        sink.write("lost\n")
    sink.close(FOREVER_S)
    os.close(descriptor)
    assert sink.dropped == 5


def test_a_closed_descriptor_is_no_error(pipe):
    sink = LogSink(pipe[1])
    os.close(pipe[1])
    pipe[1] = -1
    sink.write("lost\n")
    sink.close(FOREVER_S)
    assert sink.dropped == 1


def test_a_reader_that_reads_no_more_holds_nobody_up_and_gets_what_fits_when_it_comes_back(pipe):
    sink = stuck_sink(pipe[1], lines_max=3)
    assert os.read(pipe[0], 1) == b"x"  # the writer is at the long line, and the queue empty
    for number in range(5):
        sink.write(f"{number}\n")
    assert sink.dropped == 2
    received = []
    reader = threading.Thread(target=lambda: received.append(read_all(pipe[0])))
    reader.start()
    sink.close(FOREVER_S)
    os.close(pipe[1])
    pipe[1] = -1
    reader.join(FOREVER_S)
    assert received[0].split(b"\n")[1:] == [b"0", b"1", b"2", b""]


def test_the_end_does_not_wait_for_a_reader_that_reads_no_more(pipe):
    sink = stuck_sink(pipe[1], lines_max=1)
    assert os.read(pipe[0], 1) == b"x"
    sink.write("waits\n")
    sink.close(0.01)
    sink.write("too late\n")
    assert sink.dropped == 1
    reader = threading.Thread(target=read_all, args=[pipe[0]], daemon=True)
    reader.start()
    sink.close(FOREVER_S)  # so that the writer is gone before its pipe is
    os.close(pipe[1])
    pipe[1] = -1
    reader.join(FOREVER_S)


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for(pipe):
    os.set_blocking(pipe[1], False)
    sink = LogSink(pipe[1])
    sink.write("x" * MORE_THAN_A_PIPE + "\n")
    received = []
    reader = threading.Thread(target=lambda: received.append(read_all(pipe[0])))
    assert os.read(pipe[0], 1) == b"x"
    reader.start()
    sink.close(FOREVER_S)
    os.close(pipe[1])
    pipe[1] = -1
    reader.join(FOREVER_S)
    assert (len(received[0]), sink.dropped) == (MORE_THAN_A_PIPE, 0)


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path, monkeypatch):
    """A disk that fills up in the middle of a line, and has space again later."""
    path = tmp_path / "host.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    real = os.write
    failed = threading.Event()

    def write(where, data):
        if where != descriptor or failed.is_set():
            return real(where, data)
        if bytes(data).startswith(b"first"):
            return real(where, data[:6])
        failed.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    sink = LogSink(descriptor)
    sink.write("first line\n")
    assert failed.wait(FOREVER_S)
    sink.write("second line\n")
    sink.close(FOREVER_S)
    os.close(descriptor)
    assert path.read_text() == "first \nsecond line\n"
    assert sink.dropped == 1
