"""Everything a peer can do wrong, against a host in memory: what the log says of it, and what it must not change."""

import pytest
from trio.testing import wait_all_tasks_blocked

from protocol.messages import Reject
from tests.bad_input import BEFORE, NOISE, REJECTED, VIOLATIONS, expect_reject
from tests.server.host import CARD, open_host


def each(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


async def line_with_a_sale(rig):
    """An open session whose last frame and answer can be sent again."""
    till = rig.enrol()
    line = await rig.sign_on(till)
    line.last_frame = await line.say(till.sale(CARD))
    line.last_answer = await line.stream.receive_some()
    line.connection.receive_data(line.last_answer)
    assert (await line.hear()).response_code == "00"
    return line


@each(BEFORE)
async def test_before_authentication_it_is_one_close_without_a_word(case, logs):
    async with open_host() as rig:
        line = rig.line(rig.enrol())
        await line.stream.send_all(case.make(line))
        assert await line.rest() == b""
        await wait_all_tasks_blocked()
        rig.assert_at_rest()
        assert rig.count("frames_rejected_total", reason=case.reason.value) == 1
        assert rig.count("handshakes_total", result="failed") == 1
        [entry] = logs
        assert (entry["event"], entry["authenticated"], entry["source"]) == ("frame refused", False, "10.0.0.1")
        assert entry["error"].startswith(f"{case.reason.value}: ")
        assert case.says in entry["error"]
        assert ", got " in entry["error"]


@each(VIOLATIONS)
async def test_a_violation_ends_the_session_and_posts_nothing(case, logs):
    async with open_host() as rig:
        line = await line_with_a_sale(rig)
        transfers = rig.transfers()
        await line.stream.send_all(case.make(line))
        assert await line.rest() == b""
        await wait_all_tasks_blocked()
        rig.assert_at_rest()
        assert rig.transfers() == transfers
        assert rig.count("frames_rejected_total", reason=case.reason.value) >= 1
        assert rig.count("sessions_ended_total", reason="protocol") == 1
        [entry] = [entry for entry in logs if entry["event"] == "frame refused"]
        assert entry["authenticated"]
        assert case.says in entry["error"]


@each(NOISE)
async def test_noise_is_dropped_and_the_session_goes_on(case, logs):
    async with open_host() as rig:
        line = await line_with_a_sale(rig)
        transfers = rig.transfers()
        await line.stream.send_all(case.make(line))
        await wait_all_tasks_blocked()
        assert rig.transfers() == transfers
        assert (await line.sell(line.till.sale(CARD))).response_code == "00"
        assert rig.count("frames_rejected_total", reason=case.reason.value) >= 1
        noise = [entry for entry in logs if entry["event"] == "noise discarded"]
        assert noise[0]["reason"] == case.reason.value
        assert noise[0]["terminal"] == str(line.till.number)
        assert case.says in noise[0]["expected"]
        assert noise[0]["got"] not in ("", noise[0]["expected"])


@each(REJECTED)
async def test_what_cannot_be_read_is_rejected_by_name_and_the_session_goes_on(case, logs):
    async with open_host() as rig:
        line = await line_with_a_sale(rig)
        transfers = rig.transfers()
        frame = case.make(line)
        expect_reject(line)
        await line.stream.send_all(frame)
        reject = await line.hear()
        assert isinstance(reject, Reject)
        assert (reject.response_code, reject.field) == (case.code, case.field)
        assert (reject.expected, reject.got) == (case.expected, case.got)
        assert rig.transfers() == transfers
        assert rig.count("frames_rejected_total", reason=case.reason.value) == 1
        [entry] = [entry for entry in logs if entry["event"] == "request refused"]
        assert f"expected {case.expected}, got {case.got}" in entry["error"]
        assert (await line.sell(line.till.sale(CARD))).response_code == "00"
