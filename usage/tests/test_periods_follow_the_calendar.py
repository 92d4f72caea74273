"""Days, weeks and months begin at midnight of their zone, also where clocks change, and leave no moment out."""

from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.periods import Period, end_of, start_of

PERIODS: tuple[Period, ...] = get_args(Period)
#: Among them zones whose clocks change at midnight: forward (Cairo, Beirut, Santiago) and back (Havana, Asuncion).
ZONES = st.sampled_from(
    ["Africa/Cairo", "Asia/Beirut", "America/Santiago", "America/Havana", "America/Asuncion", "Australia/Lord_Howe"]
) | st.sampled_from(sorted(available_timezones()))
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
LENGTHS = {"day": (23, 25), "week": (167, 169), "month": (671, 745)}


@given(st.sampled_from(PERIODS), MOMENTS, ZONES)
def test_every_moment_is_in_one_period_and_each_begins_where_the_one_before_ends(
    period: Period, moment: datetime, name: str
) -> None:
    zone = ZoneInfo(name)
    start, end = start_of(period, moment, zone), end_of(period, moment, zone)
    assert start <= moment < end
    assert start_of(period, start, zone) == start
    assert start_of(period, end - timedelta(microseconds=1), zone) == start
    assert start_of(period, end, zone) == end


@given(st.sampled_from(PERIODS), MOMENTS, ZONES)
def test_it_begins_with_the_first_moment_of_a_day_and_is_as_long_as_the_calendar_says(
    period: Period, moment: datetime, name: str
) -> None:
    zone = ZoneInfo(name)
    start, end = start_of(period, moment, zone), end_of(period, moment, zone)
    local = start.astimezone(zone)
    assert (start - timedelta(microseconds=1)).astimezone(zone).date() < local.date()
    assert {"day": True, "week": local.weekday() == 0, "month": local.day == 1}[period]
    least, most = LENGTHS[period]
    assert timedelta(hours=least) <= end - start <= timedelta(hours=most)


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 12, tzinfo=UTC), 23),
        ("Europe/Berlin", datetime(2026, 10, 25, 12, tzinfo=UTC), 25),
        ("Europe/Berlin", datetime(2026, 6, 1, 12, tzinfo=UTC), 24),
        ("Africa/Cairo", datetime(2026, 4, 24, 12, tzinfo=UTC), 23),
        ("America/Havana", datetime(2026, 11, 1, 12, tzinfo=UTC), 25),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 2, tzinfo=UTC), 24.5),
    ],
)
def test_a_day_on_which_clocks_change(zone: str, moment: datetime, hours: float) -> None:
    length = end_of("day", moment, ZoneInfo(zone)) - start_of("day", moment, ZoneInfo(zone))
    assert length == timedelta(hours=hours)


def test_a_month_is_that_of_the_zone_and_not_of_greenwich() -> None:
    moment = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert start_of("month", moment, ZoneInfo("Europe/Berlin")) == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert start_of("month", moment, ZoneInfo("America/New_York")) == datetime(2026, 11, 1, 4, tzinfo=UTC)
