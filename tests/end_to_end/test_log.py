"""The log's reader goes away, or its disk is full: the host serves on, and says in a metric what was lost."""

import contextlib
import http.client
import os
import signal
import subprocess
import time

import pytest

from tests.end_to_end.process import CARD, ROOT, SERVE, Campus, administer
from tests.wire import PATIENCE_S, sign_on

POLL_S = 0.05


@pytest.fixture
def campus(tmp_path):
    return Campus(tmp_path / "data", terminals=4)


@contextlib.contextmanager
def logging_to(campus, stderr, wrapper=()):
    """A host that serves, with this as its standard error; its process and where it listens."""
    command = [*wrapper, *SERVE, str(campus.folder.path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        until_s = time.monotonic() + PATIENCE_S
        while (running := campus.folder.running()) is None:
            assert time.monotonic() < until_s, "the host does not come up"
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"the host has ended with {process.wait(POLL_S)}")
        yield process, running
    finally:
        process.kill()
        process.wait()


def metrics(running):
    connection = http.client.HTTPConnection(running.http[0], running.http[1], timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def some_are_dropped(running):
    """Whether the metric says so; the log's thread may still be on its way to the first failed write."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        [line] = [line for line in metrics(running).splitlines() if line.startswith("fanka_log_lines_dropped_total ")]
        if float(line.split()[1]) > 0:
            return True
    return False


def sell_and_administer(campus, running):
    """Whatever writes to the log while it works."""
    till = campus.till()
    with sign_on(running.terminals, till) as line:
        assert line.sell(till.sale(CARD)).response_code == "00"
        administer(campus, "merchant.rename", merchant_id=campus.merchant_id, name="二食堂")
    with sign_on(running.terminals, till) as line:
        assert line.sell(till.sale(CARD)).response_code == "00"


def stop(process):
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_S)


def test_a_full_disk_under_the_log(campus):
    with open("/dev/full", "wb") as full, logging_to(campus, full) as (process, running):
        sell_and_administer(campus, running)
        assert some_are_dropped(running)
        assert stop(process) == 0
    campus.verify()


def test_a_reader_of_the_log_that_goes_away(campus):
    reader, writer = os.pipe()
    with logging_to(campus, writer) as (process, running):
        os.close(writer)
        os.close(reader)
        sell_and_administer(campus, running)
        assert some_are_dropped(running)
        assert stop(process) == 0
    campus.verify()


def test_no_standard_error_at_all(campus):
    """Descriptor 2 is then whatever the host opens next: no log may be written into that."""
    with logging_to(campus, None, ["sh", "-c", 'exec "$@" 2>&-', "sh"]) as (process, running):
        sell_and_administer(campus, running)
        assert stop(process) == 0
    campus.verify()


def test_a_reader_that_reads_no_more_delays_neither_sales_nor_the_end(campus):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    try:
        with logging_to(campus, writer) as (process, running):
            sell_and_administer(campus, running)
            assert stop(process) == 0
    finally:
        os.close(reader)
        os.close(writer)
    campus.verify()


def test_a_start_that_is_refused_ends_with_its_code_though_nobody_can_read_why(tmp_path):
    with open("/dev/full", "wb") as full:
        command = [*SERVE, str(tmp_path)]
        code = subprocess.call(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=full, timeout=PATIENCE_S)
    assert code == 2
