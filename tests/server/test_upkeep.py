"""What the host does by itself: holds end, and unresolved money is counted while somebody still has to see to it."""

from __future__ import annotations

import msgspec
import trio

from protocol.messages import PreAuthRequest
from server.upkeep import COUNT_EVERY_S, EXPIRE_EVERY_S, count_unresolved, expire_due_holds
from tests.server.host import CARD, START_FEN, open_host
from tests.wire import reversal_of

DAYS_MS = 31 * 86_400_000


def preauth_of(till, amount_fen=1500):
    sale = till.sale(CARD, amount_fen)
    return PreAuthRequest(**{name: getattr(sale, name) for name in sale.__struct_fields__})


def unresolved(rig, kind):
    return (rig.count("unresolved_entries", kind=kind), rig.count("unresolved_age_seconds", kind=kind))


async def test_holds_end_and_are_counted_by_themselves(autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        assert (await line.ask(preauth_of(till))).response_code == "00"
        rig.clock.ms += 5_000
        await trio.sleep(COUNT_EVERY_S + 1)
        assert unresolved(rig, "hold") == (1, 5)
        assert rig.balance_fen() == START_FEN - 1500
        rig.clock.ms += DAYS_MS
        await trio.sleep(EXPIRE_EVERY_S + COUNT_EVERY_S + 1)
        assert rig.balance_fen() == START_FEN
        assert unresolved(rig, "hold") == (0, 0)


async def test_many_holds_end_in_commits_of_a_few_hundred():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        for _ in range(300):
            assert (await line.ask(preauth_of(till, 10))).response_code == "00"
        rig.clock.ms += DAYS_MS
        assert await expire_due_holds(rig.gate) == 3000
        assert rig.balance_fen() == START_FEN


async def test_a_full_disk_only_delays_it():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        for _ in range(200):
            assert (await line.ask(preauth_of(till, 10))).response_code == "00"
        rig.clock.ms += DAYS_MS
        rig.fill_disk()
        first_fen = await expire_due_holds(rig.gate)
        rig.free_disk()
        assert first_fen + await expire_due_holds(rig.gate) == 2000
        assert rig.balance_fen() == START_FEN


async def test_a_reversal_of_what_nobody_saw_waits_for_somebody():
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        await line.ask(reversal_of(msgspec.structs.replace(till.sale(CARD), stan=99)))
        await count_unresolved(rig.gate, rig.host.ledger, rig.host.metrics, rig.clock.ms)
        assert unresolved(rig, "reversal") == (0, 0), "the original may still come"
        await count_unresolved(rig.gate, rig.host.ledger, rig.host.metrics, rig.clock.ms + 3_700_000)
        assert unresolved(rig, "reversal") == (1, 3_700)
