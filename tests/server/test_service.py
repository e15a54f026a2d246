"""What a terminal's requests mean, asked of the service itself: real gate and ledger, no socket."""

import msgspec
import pytest
import trio

from protocol import TerminalNumber
from protocol.messages import (
    EchoAnswer,
    EnrolAnswer,
    EnrolRequest,
    QueryAnswer,
    Reject,
    ReversalAnswer,
    SaleAnswer,
    SignOffAnswer,
    SignOffRequest,
    TransactionState,
    UploadAnswer,
    UploadRequest,
    UploadVerdict,
)
from protocol.messages.money import TransactionKind
from server.service import CODES
from tests.server.host import (
    BUSINESS_DAY,
    CARD,
    OTHER_CARD,
    START_FEN,
    START_MS,
    STRANGER,
    SlowLedger,
    config_of,
    open_host,
)
from tests.wire import ECHO, query_of, reversal_of

ENROL = EnrolRequest(serial_number="EX-0001")
NUMBER = TerminalNumber(9, 1)


async def ask(rig, till, message):
    return await rig.host.service.handle(till.number, message)


# --- Money


async def test_a_sale_its_copy_its_query_and_its_reversal():
    async with open_host() as rig:
        till = rig.enrol()
        sale = till.sale(CARD, 1250)
        answer = await ask(rig, till, sale)
        assert isinstance(answer, SaleAnswer)
        assert (answer.response_code, answer.balance_fen) == ("00", START_FEN - 1250)
        assert answer.posted_at_ms == START_MS
        rig.clock.ms += 5000
        assert await ask(rig, till, sale) == answer
        query = await ask(rig, till, query_of(sale))
        assert isinstance(query, QueryAnswer)
        assert (query.state, query.rrn, query.amount_fen) == (TransactionState.APPROVED, answer.rrn, 1250)
        reversal = await ask(rig, till, reversal_of(sale))
        assert isinstance(reversal, ReversalAnswer)
        assert (reversal.response_code, reversal.reversed_fen, reversal.balance_fen) == ("00", 1250, START_FEN)
        assert (await ask(rig, till, query_of(sale))).state == TransactionState.REVERSED
        assert await ask(rig, till, sale) == answer


@pytest.mark.slow
async def test_two_terminals_one_card_balance_for_one():
    """The same instant, 1,000 times, in whatever order the tasks run: one of them gets it, and never both."""
    async with open_host() as rig:
        tills = rig.enrol(), rig.enrol()
        for attempt in range(1_000):
            sales = [till.sale(CARD, START_FEN - attempt % 2) for till in tills]
            answers = [None, None]

            async def tap(place, sales=sales, answers=answers):
                answers[place] = await ask(rig, tills[place], sales[place])

            async with trio.open_nursery() as nursery:
                for place in (0, 1):
                    nursery.start_soon(tap, place)
            codes = [answer.response_code for answer in answers]
            assert sorted(codes) == ["00", "51"], attempt
            approved = codes.index("00")
            assert rig.balance_fen() == attempt % 2
            assert (await ask(rig, tills[approved], reversal_of(sales[approved]))).response_code == "00"
            assert rig.balance_fen() == START_FEN


async def test_a_terminal_sees_only_its_own():
    async with open_host() as rig:
        till, other = rig.enrol(), rig.enrol()
        sale = till.sale(CARD)
        await ask(rig, till, sale)
        assert (await ask(rig, other, query_of(sale))).state == TransactionState.NEVER_SEEN
        assert (await ask(rig, other, reversal_of(sale))).reversed_fen == 0
        assert rig.balance_fen() == START_FEN - 100


def upload_of(sale, **changes):
    fields = {name: getattr(sale, name) for name in sale.__struct_fields__ if name != "pin_block"}
    fields["charged_fen"] = sale.amount_fen
    return UploadRequest(**fields | {"rrn": 900, "balance_fen": 5, "posted_at_ms": START_MS} | changes)


async def test_an_upload_that_waits_is_counted_apart_and_said_now_and_then(logs):
    """It is the office that has to do something: issue the card again, or find the other terminal."""
    async with open_host() as rig:
        rig.host.ledger.open_history(START_MS)
        till = rig.enrol()
        refund = msgspec.structs.replace(
            upload_of(till.sale(CARD, 500)), kind=TransactionKind.REFUND, original_batch=1, original_stan=777
        )
        for _ in range(3):
            answer = await ask(rig, till, refund)
            assert (answer.verdict, answer.response_code) == (UploadVerdict.UNDECIDED, "25")
        assert rig.count("uploads_total", verdict="waiting") == 3
        assert rig.count("uploads_total", verdict="undecided") == 0
        said = [line for line in logs if line["event"].startswith("upload waits")]
        assert [(line["stan"], line["why"]) for line in said] == [(refund.stan, "original_unknown")]


async def test_uploads_are_answered_counted_and_conflicts_are_logged_without_the_card(logs):
    async with open_host() as rig:
        till = rig.enrol()
        lost, here = till.sale(CARD, 300), till.sale(CARD, 400)
        await ask(rig, till, here)
        assert (await ask(rig, till, upload_of(lost))).verdict is UploadVerdict.NOT_OPEN
        assert rig.host.ledger.open_history(START_MS) == 2
        said = []
        for message in (lost, lost, here, msgspec.structs.replace(here, amount_fen=401)):
            answer = await ask(rig, till, upload_of(message))
            assert isinstance(answer, UploadAnswer)
            said.append((answer.verdict.name, answer.response_code))
        assert said == [("RESTORED", "00"), ("KNOWN", "00"), ("KNOWN", "00"), ("CONFLICT", "94")]
        assert (await ask(rig, till, reversal_of(lost))).reversed_fen == 300
        assert (await ask(rig, till, upload_of(lost))).verdict is UploadVerdict.REVERSED
        assert rig.balance_fen() == START_FEN - 400
        counted = {verdict: int(rig.count("uploads_total", verdict=verdict.name.lower())) for verdict in UploadVerdict}
        assert [*counted.values()] == [1, 2, 1, 1, 1, 0]
        assert rig.count("authorizations_total", type="upload", code="00") == 3
        assert rig.count("id_conflicts_total") == 1
    [error] = [entry for entry in logs if entry["log_level"] == "error"]
    assert error["event"].startswith("upload contradicts the ledger")
    assert (error["terminal"], error["batch"], error["stan"]) == (str(till.number), here.batch, here.stan)
    assert (error["lost_rrn"], error["lost_posted_at_ms"]) == (900, START_MS)
    assert CARD.hex() not in str(logs)


async def test_a_full_disk_decides_nothing_about_an_upload():
    async with open_host() as rig:
        till = rig.enrol()
        rig.host.ledger.open_history(START_MS)
        sale = till.sale(CARD, 300)
        rig.fill_disk()
        answers = [await ask(rig, till, upload_of(till.sale(CARD, 1))) for _ in range(60)]
        assert (answers[-1].verdict, answers[-1].response_code) == (UploadVerdict.UNDECIDED, "96")
        rig.free_disk()
        assert (await ask(rig, till, upload_of(sale))).verdict is UploadVerdict.RESTORED


async def test_answers_are_counted_by_type_and_code():
    async with open_host() as rig:
        till = rig.enrol()
        sale = till.sale(CARD)
        for message in (sale, sale, till.sale(STRANGER), query_of(sale), reversal_of(sale)):
            await ask(rig, till, message)
        assert rig.count("authorizations_total", type="sale", code="00") == 2
        assert rig.count("authorizations_total", type="sale", code="14") == 1
        assert rig.count("authorizations_total", type="query", code="00") == 1
        assert rig.count("authorizations_total", type="reversal", code="00") == 1
        assert rig.count("authorization_seconds_count", type="sale") == 3


async def test_every_counter_exists_from_the_start():
    """A rate over a counter that appears with its first event misses that event."""
    async with open_host() as rig:
        for verdict in UploadVerdict:
            labels = {"verdict": verdict.name.lower()}
            assert rig.host.metrics.registry.get_sample_value("fanka_uploads_total", labels) == 0
        for kind in ("sale", "reversal", "query", "upload"):
            for code in CODES:
                value = rig.host.metrics.registry.get_sample_value(
                    "fanka_authorizations_total", {"type": kind, "code": code}
                )
                assert value == 0


async def test_latency_is_from_request_to_answer(autojump_clock):
    async with open_host(executor=SlowLedger(0.3)) as rig:
        till = rig.enrol()
        await ask(rig, till, till.sale(CARD))
        assert rig.count("authorization_seconds_sum", type="sale") == pytest.approx(0.3)


async def test_an_identity_with_other_content_is_refused_counted_and_alarmed(logs):
    async with open_host() as rig:
        till = rig.enrol()
        sale = till.sale(CARD, 100)
        await ask(rig, till, sale)
        answer = await ask(rig, till, msgspec.structs.replace(sale, amount_fen=101))
        assert (answer.response_code, answer.amount_fen) == ("94", 101)
        assert rig.count("id_conflicts_total") == 1
        assert rig.balance_fen() == START_FEN - 100
        [alarm] = [entry for entry in logs if entry["log_level"] == "error"]
        assert (alarm["terminal"], alarm["batch"], alarm["stan"]) == (str(till.number), sale.batch, sale.stan)
        assert "expected a copy of the first request" in alarm["event"]


async def test_a_query_about_another_sale_than_the_numbers_own_is_refused_counted_and_alarmed(logs):
    async with open_host() as rig:
        till = rig.enrol()
        sale = till.sale(CARD, 100)
        await ask(rig, till, sale)
        for other in ({"amount_fen": 101}, {"payer": OTHER_CARD}):
            about = msgspec.structs.replace(query_of(sale), **other)
            assert await ask(rig, till, about) == QueryAnswer(
                stan=sale.stan,
                batch=sale.batch,
                state=TransactionState.DECLINED,
                response_code="94",
                amount_fen=about.amount_fen,
                rrn=0,
                balance_fen=0,
                posted_at_ms=0,
            )
        assert rig.count("id_conflicts_total") == rig.count("authorizations_total", type="query", code="94") == 2
        alarms = [entry for entry in logs if entry["log_level"] == "error"]
        assert [(alarm["batch"], alarm["stan"]) for alarm in alarms] == [(sale.batch, sale.stan)] * 2
        assert (await ask(rig, till, query_of(sale))).state == TransactionState.APPROVED


async def test_a_busy_host_says_so_and_decides_nothing(autojump_clock):
    config = config_of()
    config = msgspec.structs.replace(config, ledger=msgspec.structs.replace(config.ledger, queue_max=1))
    async with open_host(config, executor=SlowLedger(1)) as rig:
        till = rig.enrol()
        sales = [till.sale(CARD) for _ in range(3)]
        answers = {}

        async def one(sale):
            answers[sale.stan] = (await ask(rig, till, sale)).response_code

        async with trio.open_nursery() as nursery:
            for sale in sales:
                nursery.start_soon(one, sale)
        assert sorted(answers.values()) == ["00", "09", "09"]
        [shed] = [sale for sale in sales if answers[sale.stan] == "09"][:1]
        assert (await ask(rig, till, query_of(shed))).state == TransactionState.NEVER_SEEN


async def test_a_full_disk_is_answered_96_for_every_request_that_writes():
    async with open_host() as rig:
        till = rig.enrol()
        rig.fill_disk()
        sale = till.sale(CARD, 1)
        while (answer := await ask(rig, till, sale)).response_code == "00":
            assert till.stan < 200
            sale = till.sale(CARD, 1)
        assert (answer.response_code, answer.rrn, answer.posted_at_ms) == ("96", 0, 0)
        assert (await ask(rig, till, query_of(sale))).state == TransactionState.NEVER_SEEN
        rig.free_disk()
        assert (await ask(rig, till, sale)).response_code == "00"


# --- The service's own


async def test_an_echo_tells_time_and_day():
    async with open_host() as rig:
        till = rig.enrol()
        answer = await ask(rig, till, ECHO)
        assert answer == EchoAnswer(
            host_time_ms=START_MS, business_day=BUSINESS_DAY, config_version=rig.host.admin.config_version()
        )


async def test_a_sign_off_is_granted():
    async with open_host() as rig:
        assert await ask(rig, rig.enrol(), SignOffRequest()) == SignOffAnswer()


@pytest.mark.parametrize("message", [ECHO, SignOffRequest(), ENROL])
async def test_what_needs_no_ledger_still_yields(message):
    async with open_host() as rig:
        till = rig.enrol()
        with trio.testing.assert_checkpoints():
            await ask(rig, till, message)


async def test_an_enrolled_terminal_may_not_enrol(logs):
    async with open_host() as rig:
        till = rig.enrol()
        answer = await ask(rig, till, ENROL)
        assert answer == Reject(
            rejected_mti=0x0800,
            rejected_processing_code=0x92,
            response_code="58",
            offset=4,
            field="mti",
            expected="a request of an enrolled terminal's session",
            got="enrolment",
        )
        assert rig.count("frames_rejected_total", reason="state") == 1
        [entry] = [entry for entry in logs if entry["event"] == "request refused"]
        assert (entry["terminal"], entry["got"]) == (str(till.number), "enrolment")


# --- Enrolment


async def redeem(rig, message=ENROL, wrapped_code=None):
    wrapped = wrapped_code or rig.host.registry.find_terminal(NUMBER.to_int()).wrapped_code
    return await rig.host.service.enrol(wrapped, NUMBER, message)


def offer_code(rig, serial_number=""):
    rig.host.admin.terminals.enrol(str(NUMBER), rig.merchant_id, serial_number, with_code=True)
    return rig.host.registry.find_terminal(NUMBER.to_int()).wrapped_code


REFUSED = EnrolAnswer(response_code="58", key_version=0, root_key=bytes(32))


async def test_a_code_buys_one_key():
    async with open_host() as rig:
        wrapped_code = offer_code(rig)
        answer = await redeem(rig)
        assert (answer.response_code, answer.key_version) == ("00", 1)
        assert answer.root_key != bytes(32)
        record = rig.host.registry.find_terminal(NUMBER.to_int())
        assert record.serial_number == "EX-0001"
        assert await redeem(rig, wrapped_code=wrapped_code) == REFUSED


async def test_a_code_for_another_machine_is_used_up_by_the_attempt():
    async with open_host() as rig:
        wrapped_code = offer_code(rig, serial_number="EX-0002")
        assert await redeem(rig) == REFUSED
        assert await redeem(rig, EnrolRequest(serial_number="EX-0002"), wrapped_code) == REFUSED


async def test_a_session_opened_with_an_old_code_does_not_profit_from_a_new_one():
    async with open_host() as rig:
        old = offer_code(rig)
        offer_code(rig)
        assert await redeem(rig, wrapped_code=old) == REFUSED
        assert (await redeem(rig)).response_code == "00"


async def test_nothing_but_enrolment_may_be_asked_with_a_code(logs):
    async with open_host() as rig:
        offer_code(rig)
        sale = rig.enrol().sale(CARD)
        for message in (sale, query_of(sale), reversal_of(sale), ECHO):
            answer = await redeem(rig, message)
            assert isinstance(answer, Reject)
            assert (answer.response_code, answer.rejected_mti) == ("58", message.layout.mti)
            assert answer.expected == "an enrolment request, in a session opened by a one-time code"
        assert rig.count("frames_rejected_total", reason="state") == 4
        assert rig.balance_fen() == START_FEN
        assert (await redeem(rig)).response_code == "00"


async def test_a_terminal_that_has_its_key_may_sign_off():
    async with open_host() as rig:
        offer_code(rig)
        assert await redeem(rig, SignOffRequest()) == SignOffAnswer()


async def test_no_key_is_ever_logged(logs):
    async with open_host() as rig:
        offer_code(rig)
        answer = await redeem(rig)
        assert answer.root_key.hex() not in str(logs)
        assert [entry for entry in logs if entry["event"] == "terminal enrolled"]
