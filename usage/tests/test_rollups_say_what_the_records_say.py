"""The rollups of a day are what its records come to, whatever was written in which order, and however often."""

import asyncio
import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from testing import cast
from usage.models import RolledDay, RolledMonth, TouchedDay, UsageRecord
from usage.services import reports, rollups
from usage.services.lease import turn
from usage.services.ledger import State, mark_lost, write_lines
from usage.services.monthly_rollups import made_months
from usage.services.reports import Selection
from usage.services.rollups import Keeper, rebuild, recorded_days, roll_up_day, stale_days, touch
from usage.tests import counted
from usage.tests.counted import NOON, record

pytestmark = pytest.mark.django_db
DAY = NOON.date()
SHORTLY_BEFORE_MIDNIGHT = datetime(2026, 5, 4, 23, 59, 59, tzinfo=UTC)


def keep_until_nothing_is_stale() -> None:
    keeper = Keeper()
    for _ in range(100):
        RolledDay.objects.update(made_at=NOON)  # long ago
        if not keeper.step() and not stale_days():
            return
    raise AssertionError("there is always more to do")


def assert_they_say_what_the_records_say() -> None:
    records = list(UsageRecord.objects.all())
    assert counted.from_rollups() == counted.from_records(records)
    assert counted.timings_from_rollups() == counted.timings_from_records(records)
    assert counted.sessions_from_rollups() == counted.sessions_from_records(records)


def assert_months_say_what_the_records_say() -> None:
    records = list(UsageRecord.objects.all())
    assert counted.from_rollups(is_month=True) == counted.by_month(counted.from_records(records))
    timings = counted.by_month(counted.timings_from_records(records))
    assert counted.timings_from_rollups(is_month=True) == timings
    assert counted.sessions_from_rollups(is_month=True) == counted.by_month(counted.sessions_from_records(records))


# --- any order of events ---------------------------------------------------------------------------------------------

MOMENTS = st.sampled_from([NOON, SHORTLY_BEFORE_MIDNIGHT, SHORTLY_BEFORE_MIDNIGHT + timedelta(seconds=2)])
SETTLED = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["completed", "error", "aborted"]),
        "model": st.sampled_from(["openai/gpt-5", "google/gemini-2.5-pro"]),
        "error_type": st.sampled_from(["", "overloaded_error"]),
        "cost_source": st.sampled_from(["", "upstream", "catalogue"]),
        "cost": st.integers(0, 2**40),
        "input_tokens": st.integers(0, 10**6),
        "latency_ms": st.none() | st.integers(0, 3_000_000),
        "first_byte_ms": st.none() | st.integers(0, 3_000_000),
    }
)
REQUEST = st.integers(0, 5)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), REQUEST, MOMENTS),
        st.tuples(st.just("settle"), REQUEST, SETTLED),
        st.tuples(st.just("correct"), REQUEST, SETTLED),
        st.tuples(st.just("lose"), REQUEST, st.none()),
        st.tuples(st.just("step"), REQUEST, st.none()),
        st.tuples(st.just("rebuild"), REQUEST, st.none()),
    ),
    max_size=25,
)


class World:
    """What a few requests are told to do, by the ways in which the server does it."""

    def __init__(self, who: cast.Member) -> None:
        self.who = who
        self.started: dict[int, datetime] = {}
        self.keeper = Keeper()

    def line(self, number: int, **fields: Any) -> dict[str, Any]:
        who = self.who
        started = self.started.setdefault(number, NOON).timestamp()
        return {
            "request_id": f"req_{number}",
            "state": "open",
            "server": "server",
            "lease_expires_at": started + 60,
            "started_at": started,
            "team_id": who.team.pk,
            "user_id": who.user.pk,
            "api_key_id": 1,
            "team_name": who.team.name,
            "email": who.user.email,
            "key_name": "laptop",
            "session_id": f"session {number % 2}",
            "requested_model": "sonnet",
            "model": "openai/gpt-5",
            **fields,
        }

    def do(self, what: str, number: int, given: Any) -> None:
        if what == "open":
            self.started.setdefault(number, given)
            write_lines([self.line(number)])
        elif what == "settle":
            write_lines([self.line(number, settled_at=NOON.timestamp(), **given)])
        elif what == "correct":
            with transaction.atomic():
                for row in UsageRecord.objects.filter(request_id=f"req_{number}").exclude(state=State.OPEN):
                    UsageRecord.objects.filter(pk=row.pk).update(**given)
                    touch([row.started_at])
        elif what == "lose":
            mark_lost(Q(request_id=f"req_{number}"))
        elif what == "step":
            self.keeper.step()
        else:
            list(rebuild([DAY]))


def test_whatever_happens_in_whatever_order_they_are_the_same_as_computed_from_scratch() -> None:
    alice = cast.alice()

    @given(EVENTS)
    @settings(max_examples=50, deadline=None, phases=[Phase.generate])  # to shrink what fails would take minutes
    def run(events: list[tuple[str, int, Any]]) -> None:
        with transaction.atomic():
            world = World(alice)
            for event in events:
                world.do(*event)
            keep_until_nothing_is_stale()
            assert_they_say_what_the_records_say()
            assert_months_say_what_the_records_say()
            transaction.set_rollback(True)

    run()


# --- one thing at a time ---------------------------------------------------------------------------------------------


def test_whatever_writes_records_leaves_a_mark() -> None:
    world = World(cast.alice())
    for event in (("open", 1, NOON), ("lose", 1, None), ("settle", 1, {"state": "completed"})):
        TouchedDay.objects.all().delete()
        world.do(*event)
        assert stale_days() == [DAY], event[0]


def test_a_day_made_twice_counts_nothing_twice() -> None:
    record("req_1", cast.alice())
    roll_up_day(DAY)
    roll_up_day(DAY)
    assert_they_say_what_the_records_say()


def test_a_record_belongs_to_the_day_of_utc_on_which_it_started() -> None:
    alice = cast.alice()
    record("req_1", alice, started_at=SHORTLY_BEFORE_MIDNIGHT)
    record("req_2", alice, started_at=SHORTLY_BEFORE_MIDNIGHT + timedelta(seconds=1))
    with timezone.override("Asia/Tokyo"):
        roll_up_day(DAY)
        roll_up_day(DAY + timedelta(days=1))
        assert_they_say_what_the_records_say()
    assert {key[0] for key in counted.from_rollups()} == {DAY, DAY + timedelta(days=1)}


def test_what_is_written_while_its_day_is_made_leaves_it_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    touch([NOON])

    def and_meanwhile(*args: Any) -> Any:
        record("req_late", alice)
        touch([NOON])
        return iter(())

    monkeypatch.setattr(rollups, "_sessions", and_meanwhile)
    roll_up_day(DAY)
    assert stale_days() == [DAY]


def test_a_day_that_was_made_just_now_waits_a_little() -> None:
    touch([NOON])
    roll_up_day(DAY)
    touch([NOON])
    assert rollups.due_days() == []
    RolledDay.objects.update(made_at=timezone.now() - timedelta(seconds=rollups.EVERY_SECONDS))
    assert rollups.due_days() == [DAY]


def test_a_day_that_takes_long_is_made_less_often() -> None:
    touch([NOON])
    RolledDay.objects.create(day=DAY, made_at=timezone.now() - timedelta(seconds=60), milliseconds=10_000)
    assert rollups.due_days() == []
    RolledDay.objects.update(made_at=timezone.now() - timedelta(seconds=200))
    assert rollups.due_days() == [DAY]


def test_the_newest_day_comes_first_and_each_step_makes_one() -> None:
    touch([NOON, NOON - timedelta(days=1), NOON - timedelta(days=2)])
    keeper = Keeper()
    assert keeper.step()
    assert [row.day for row in RolledDay.objects.all()] == [DAY]
    assert keeper.step()
    assert keeper.step()
    assert RolledDay.objects.count() == 3
    assert not keeper.step()  # the month
    assert [row.made_at is None for row in RolledMonth.objects.all()] == [False]


@pytest.mark.django_db(transaction=True)
def test_the_server_makes_them_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made = threading.Event()

    class Watched(Keeper):
        def step(self) -> bool:
            more = super().step()
            made.set()
            return more

    async def until_made() -> None:
        task = asyncio.create_task(rollups.keep())
        await asyncio.to_thread(made.wait, 10)
        await asyncio.sleep(0.1)  # the lease is given back
        task.cancel()

    monkeypatch.setattr(rollups, "Keeper", Watched)
    record("req_1", cast.alice())
    touch([NOON])
    asyncio.run(until_made())
    assert_they_say_what_the_records_say()
    assert not TouchedDay.objects.exists()


# --- months ----------------------------------------------------------------------------------------------------------


def test_a_month_holds_until_one_of_its_days_is_made_anew() -> None:
    record("req_1", cast.alice(), cost=1)
    list(rebuild([DAY]))
    assert made_months(DAY.replace(day=1), date(2026, 5, 31)) == [date(2026, 5, 1)]
    assert_months_say_what_the_records_say()
    UsageRecord.objects.update(cost=2)
    roll_up_day(DAY)
    assert made_months(DAY.replace(day=1), date(2026, 5, 31)) == []
    assert counted.from_rollups(is_month=True) == {}


def test_a_month_is_read_as_a_whole_or_not_at_all() -> None:
    record("req_1", cast.alice())
    list(rebuild([DAY]))
    assert made_months(date(2026, 5, 2), date(2026, 5, 31)) == []
    assert made_months(date(2026, 5, 1), date(2026, 5, 30)) == []
    whole = Selection(date(2026, 4, 1), date(2026, 6, 30))
    assert whole.with_months.months == [date(2026, 5, 1)]
    for selection in (whole, whole.with_months):
        assert [group.sums.requests for group in reports.groups(selection)] == [1]


def test_this_month_is_not_added_up() -> None:
    record("req_1", cast.alice(), started_at=timezone.now())
    list(rebuild([timezone.now().date()]))
    assert counted.from_rollups(is_month=True) == {}


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_the_command_makes_every_day_with_records(capsys: pytest.CaptureFixture[str]) -> None:
    alice = cast.alice()
    record("req_1", alice)
    record("req_2", alice, started_at=NOON - timedelta(days=2))
    call_command("rebuild_rollups")
    assert "3 days made." in capsys.readouterr().out
    assert_they_say_what_the_records_say()


def test_the_command_has_nothing_to_do_without_records(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("rebuild_rollups")
    assert "There are no records." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "yesterday"], "--from: 'yesterday' is not a day such as 2026-11-30."),
        (["--to", "2026-02-30"], "--to: '2026-02-30' is not a day such as 2026-11-30."),
        (["--to", "9999-12-31"], "--to: '9999-12-31' is not a day such as 2026-11-30."),
        (["--from", "2026-05-04", "--to", "2026-05-03"], "--from: 2026-05-04 is after --to, 2026-05-03."),
    ],
)
def test_a_day_that_is_none_is_told_in_one_line(arguments: list[str], told: str) -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("rebuild_rollups", *arguments)
    assert str(refusal.value) == told
    assert refusal.value.returncode == 2


def test_the_command_gives_way_to_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "PATIENCE_SECONDS", 0.0)
    record("req_1", cast.alice())
    with turn(rollups.LEASE, 60), pytest.raises(CommandError, match="Another process is at it: rollups"):
        call_command("rebuild_rollups")


def test_the_first_and_last_day_are_those_of_the_records() -> None:
    assert recorded_days() is None
    alice = cast.alice()
    record("req_1", alice)
    record("req_2", alice, started_at=NOON + timedelta(days=40))
    assert recorded_days() == (date(2026, 5, 4), date(2026, 6, 13))


# --- several processes -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_processes_that_make_one_day_at_once_count_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease keeps them apart; the day's row does so where a lease has run out."""
    record("req_1", cast.alice())
    begin = threading.Barrier(3)
    real = rollups._sessions

    def slowly(records: Any) -> Any:
        time.sleep(0.2)  # so that they do it at the same time, if they can
        return real(records)

    def make() -> None:
        begin.wait(10)
        roll_up_day(DAY)
        connection.close()

    monkeypatch.setattr(rollups, "_sessions", slowly)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert_they_say_what_the_records_say()
