"""Which business day a moment belongs to; and that days open in time, whatever clock and disk do."""

from datetime import UTC, datetime

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from server.business_day import AUTOMATIC_DAYS_MAX, CHECK_EVERY_S, began_ms, business_day_at, open_by_clock
from server.config import Day
from server.ledger.store import StoreFull
from tests.server.host import BUSINESS_DAY, CARD, START_MS, open_host

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("moment", "day", "expected"),
    [
        ("2026-09-01T12:00:00+08:00", Day(), 20260901),
        ("2026-09-01T04:00:00+08:00", Day(), 20260901),
        ("2026-09-01T03:59:59.999+08:00", Day(), 20260831),
        ("2026-09-01T00:30:00+08:00", Day(), 20260831),
        ("2027-01-01T03:00:00+08:00", Day(), 20261231),
        ("2028-03-01T03:00:00+08:00", Day(), 20280229),
        ("2026-09-01T00:00:00+08:00", Day(starts_at="00:00"), 20260901),
        ("2026-09-01T23:29:00+08:00", Day(starts_at="23:30"), 20260831),
        ("2026-09-01T12:00:00+00:00", Day(starts_at="00:00", utc_offset_minutes=840), 20260902),
        ("2026-09-01T11:59:00+00:00", Day(starts_at="00:00", utc_offset_minutes=-720), 20260831),
        ("2026-09-01T12:00:00+00:00", Day(starts_at="00:00", utc_offset_minutes=-720), 20260901),
    ],
)
def test_a_moment_belongs_to_the_local_date_counted_from_the_start_of_the_day(moment, day, expected):
    assert business_day_at(ms(moment), day) == expected


@given(st.integers(0, ms("2100-01-01T00:00:00+00:00")), st.integers(0, 2 * DAY_MS))
def test_a_later_moment_never_belongs_to_an_earlier_day(now_ms, later_ms):
    assert business_day_at(now_ms, Day()) <= business_day_at(now_ms + later_ms, Day())


@given(st.integers(0, ms("2100-01-01T00:00:00+00:00")))
def test_a_day_has_24_hours(now_ms):
    today, tomorrow = business_day_at(now_ms, Day()), business_day_at(now_ms + DAY_MS, Day())
    dates = [datetime(day // 10_000, day // 100 % 100, day % 100, tzinfo=UTC) for day in (today, tomorrow)]
    assert (dates[1] - dates[0]).days == 1


@pytest.mark.parametrize(
    ("wanted", "now", "since"),
    [
        (20260901, "2026-09-01T04:00:20+08:00", "2026-09-01T04:00:00+08:00"),
        (20260901, "2026-09-01T12:30:00+08:00", "2026-09-01T04:00:00+08:00"),
        (20260902, "2026-09-01T21:00:00+08:00", "2026-09-01T21:00:00+08:00"),
    ],
)
def test_a_day_that_is_opened_late_has_begun_in_time_and_one_ahead_of_it_begins_now(wanted, now, since):
    assert began_ms(wanted, ms(now), Day()) == ms(since)


async def test_what_was_sold_without_a_host_that_was_off_in_the_morning_counts_for_the_day(autojump_clock):
    """Its meals are of today, so they count for today's limits, although the day could be opened at noon only."""
    async with open_host() as rig:
        ledger, noon_ms = rig.host.ledger, START_MS + 3 * DAY_MS
        assert open_by_clock(ledger, noon_ms, Day())
        [(since_ms,)] = ledger.store.execute("SELECT max(opened_at_ms) FROM business_days")
        assert since_ms == began_ms(ledger.business_day, noon_ms, Day())
        assert business_day_at(since_ms, Day()) == ledger.business_day
        assert business_day_at(since_ms - 1, Day()) < ledger.business_day


# --- Opening


def fill_page_of_days(rig):
    """Old days, until one more would need a page that the disk does not have."""

    def add_days():
        for day in range(20000101, BUSINESS_DAY):
            with rig.store.transaction():
                rig.store.execute("INSERT INTO business_days VALUES (?, 0, 1)", (day,))

    with pytest.raises(StoreFull):
        add_days()


async def one_check():
    await trio.sleep(CHECK_EVERY_S)
    await trio.testing.wait_all_tasks_blocked()


async def test_the_day_is_opened_when_its_time_has_come(autojump_clock):
    async with open_host() as rig:
        await one_check()
        assert rig.host.ledger.business_day == BUSINESS_DAY
        rig.clock.ms += DAY_MS
        await one_check()
        assert rig.host.ledger.business_day == BUSINESS_DAY + 70  # 31 August, 1 September
        till = rig.enrol()
        answer = await (await rig.sign_on(till)).sell(till.sale(CARD))
        assert answer.response_code == "00"
        rows = rig.store.execute("SELECT business_day FROM transfers WHERE seq = ?", (answer.rrn,))
        assert rows == [(20260901,)]


async def test_a_clock_that_goes_back_opens_nothing(autojump_clock):
    async with open_host() as rig:
        rig.clock.ms -= 3 * DAY_MS
        await one_check()
        assert rig.host.ledger.business_day == BUSINESS_DAY
        assert rig.store.execute("SELECT count(*) FROM business_days") == [(1,)]


async def test_a_clock_years_ahead_opens_nothing_and_stops_nobody(autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        rig.clock.ms += 3000 * DAY_MS
        await one_check()
        await one_check()
        assert rig.host.ledger.business_day == BUSINESS_DAY
        assert (await line.sell(till.sale(CARD))).response_code == "00"
        rig.clock.ms = START_MS + DAY_MS  # mended
        await one_check()
        assert rig.host.ledger.business_day == 20260901


async def test_a_week_without_sales_is_nothing_special(autojump_clock):
    async with open_host() as rig:
        rig.clock.ms += AUTOMATIC_DAYS_MAX * DAY_MS
        await one_check()
        assert rig.host.ledger.business_day == 20260907


async def test_a_clock_months_ahead_does_not_make_one_day_of_them(autojump_clock, logs):
    """Days never go back: had it been opened, all sales until then would count towards that one day's limits."""
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        rig.clock.ms += (AUTOMATIC_DAYS_MAX + 1) * DAY_MS
        await one_check()
        await one_check()
        assert rig.host.ledger.business_day == BUSINESS_DAY
        assert (await line.sell(till.sale(CARD))).response_code == "00"
        assert rig.host.unready() == []
        [alarm] = [entry for entry in logs if entry["log_level"] == "error"]  # said once, not at every check
        assert "fanka admin day open 20260908" in alarm["error"]
        assert alarm["open_day"] == BUSINESS_DAY

        rig.clock.ms += DAY_MS  # and said again every day
        await one_check()
        assert len([entry for entry in logs if entry["log_level"] == "error"]) == 2

        # A person says that the clock is right: from then on it is believed again.
        await rig.gate.call(rig.host.admin.days.open, 20260909)
        rig.clock.ms += DAY_MS
        await one_check()
        assert rig.host.ledger.business_day == 20260910


async def test_a_full_disk_delays_the_day_and_stops_nobody(autojump_clock):
    async with open_host() as rig:
        till = rig.enrol()
        line = await rig.sign_on(till)
        rig.fill_disk()
        fill_page_of_days(rig)
        rig.clock.ms += DAY_MS
        await one_check()
        assert rig.host.ledger.business_day == BUSINESS_DAY
        assert rig.count("ledger_faults_total", kind="StoreFull") == 1
        assert rig.host.unready() == ["the ledger could not commit: see fanka_ledger_faults_total and the log"]
        rig.free_disk()
        await one_check()
        assert rig.host.ledger.business_day == 20260901
        assert (await line.sell(till.sale(CARD))).response_code == "00"
