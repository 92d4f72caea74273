"""A hard budget: what may be spent is reserved before a request goes out, and settled when its record is final."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import configuration
from accounts.database import THREADS, background, query
from testing import cast
from testing.budgets import (
    CENT,
    DOLLAR,
    budget,
    counted,
    key_of,
    record,
    request,
    server,
    settle,
    statements_on_the_path,
)
from testing.cast import Member
from usage.models import Budget, BudgetCounter, Reservation
from usage.services.budgets import directory, hard
from usage.services.budgets.counting import give_back
from usage.services.budgets.directory import hard_budgets
from usage.services.budgets.reservations import reserve
from usage.services.ledger import ingest_orphans, lease_has_expired, renew_leases, write_lines
from usage.services.refusals import BudgetReserved, BudgetSpent, BudgetUnknown, NotRecorded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice() -> Member:
    return cast.alice()


def admitted(folder: Path, *asked: tuple[str, Member, int]) -> dict[str, str]:
    """Whether each was admitted, or why not, one after the other."""

    async def all_of_them() -> dict[str, str]:
        _, admission = server(folder)
        said: dict[str, str] = {}
        for name, member, may_cost in asked:
            try:
                await admission.admit(request(name, member, may_cost))
            except (BudgetSpent, BudgetReserved) as error:
                said[name] = str(error)
            else:
                said[name] = ""
        return said

    return asyncio.run(all_of_them())


# --- on the path -----------------------------------------------------------------------------------------------------


def test_without_a_hard_budget_a_warm_request_asks_the_database_nothing(
    tmp_path: Path, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ten() -> list[str]:
        _, admission = server(tmp_path)
        await admission.admit(request("req_cold", alice))
        with statements_on_the_path(monkeypatch) as seen:
            for number in range(10):
                await admission.admit(request(f"req_{number}", alice))
        return seen

    budget(alice, is_hard=False)
    budget(cast.carol())
    assert asyncio.run(ten()) == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such statement: a short transaction")
def test_with_hard_budgets_it_asks_with_exactly_one_statement_however_many_there_are(
    tmp_path: Path, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ten() -> list[str]:
        _, admission = server(tmp_path)
        await admission.admit(request("req_cold", alice))
        with statements_on_the_path(monkeypatch) as seen:
            for number in range(10):
                await admission.admit(request(f"req_{number}", alice))
        return seen

    for fields in ({}, {"period": "day"}, {"membership": alice.membership}, {"period": "week", "is_hard": True}):
        budget(alice, **fields)
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    seen = asyncio.run(ten())
    assert len(seen) == 10
    assert all("FOR UPDATE" in sql for sql in seen)
    assert Reservation.objects.count() == 44


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection to kill")
def test_a_connection_that_was_dropped_since_is_replaced(
    tmp_path: Path, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dropped() -> None:
        _, admission = server(tmp_path)
        for number in range(8):
            await admission.admit(request(f"before {number}", alice))
        await background(drop, await asyncio.gather(*(query(backend) for _ in range(THREADS))))
        for number in range(8):
            await admission.admit(request(f"after {number}", alice))

    def backend() -> int:
        """Of this thread; slowly, so that each of the pool is asked. Others are not the path's, and stay alive."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), pg_sleep(0.2)")
            return int(cursor.fetchone()[0])

    def drop(backends: list[int]) -> None:
        assert len(set(backends)) == THREADS
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [backends])

    row = budget(alice)
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    asyncio.run(dropped())
    connection.close()
    assert counted(row) == (0, 16 * CENT)


def test_what_fits_exactly_is_let_in_and_what_is_a_picodollar_more_is_not(tmp_path: Path, alice: Member) -> None:
    row = budget(alice, DOLLAR)
    said = admitted(tmp_path, ("a", alice, DOLLAR - CENT), ("b", alice, CENT + 1), ("c", alice, CENT), ("d", alice, 1))
    assert [bool(why) for why in said.values()] == [False, True, False, True]
    assert counted(row) == (0, DOLLAR)


def test_of_several_budgets_all_must_have_enough_or_none_is_touched(tmp_path: Path, alice: Member) -> None:
    team, own = budget(alice, DOLLAR), budget(alice, CENT, membership=alice.membership)
    assert admitted(tmp_path, ("a", alice, 2 * CENT))["a"].startswith("The monthly budget of alice@acme.example in")
    assert (counted(team), counted(own)) == ((0, 0), (0, 0))
    assert not Reservation.objects.exists()


def test_a_budget_holds_whom_it_is_for_and_nobody_else(tmp_path: Path, alice: Member) -> None:
    bob, carol = cast.bob(), cast.carol()
    budget(bob, CENT, membership=bob.membership)
    said = admitted(tmp_path, ("bob", bob, DOLLAR), ("alice", alice, DOLLAR), ("carol", carol, DOLLAR))
    assert [name for name, why in said.items() if why] == ["bob"]


def test_a_budget_of_a_key_is_not_one_of_its_members_other_keys(tmp_path: Path, alice: Member) -> None:
    async def both() -> list[bool]:
        _, admission = server(tmp_path)
        found = []
        for key_id in (key.pk, key.pk + 1):
            entry = request(f"req_{key_id}", alice, DOLLAR)
            object.__setattr__(entry.caller, "key_id", key_id)
            try:
                await admission.admit(entry)
                found.append(True)
            except BudgetSpent:
                found.append(False)
        return found

    key = key_of(alice)
    budget(alice, CENT, api_key=key)
    assert asyncio.run(both()) == [False, True]


def test_a_budget_that_only_warns_refuses_nothing(tmp_path: Path, alice: Member) -> None:
    budget(alice, CENT, is_hard=False)
    assert admitted(tmp_path, ("a", alice, DOLLAR)) == {"a": ""}


def test_who_is_refused_reads_whose_budget_it_is_how_much_until_when_and_who_can_raise_it(
    tmp_path: Path, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.team.time_zone = "Europe/Berlin"
    alice.team.save()
    row = budget(alice, DOLLAR, period="day")
    noon = datetime(2026, 10, 25, 12, tzinfo=timezone.get_default_timezone())  # that day has 25 hours in Berlin
    monkeypatch.setattr(timezone, "now", lambda: noon)

    async def refused() -> BudgetSpent:
        _, admission = server(tmp_path)
        await admission.admit(request("a", alice, 20 * CENT))
        await background(BudgetCounter.objects.update, spent=75 * CENT)
        with pytest.raises(BudgetSpent) as caught:
            await admission.admit(request("b", alice, 30 * CENT))
        return caught.value

    error = asyncio.run(refused())
    assert str(error) == (
        "The daily budget of the team Acme has not enough left: $0.7500 of $1.00 is spent, $0.2000 more is reserved "
        "for requests in progress, and this request may take $0.3000. It begins anew on Monday, 26 October 2026 at "
        "00:00 (Europe/Berlin). Whoever keeps this server can raise it."
    )
    assert error.retry_after == 11 * 3600, "midnight in Berlin is 23:00 UTC once winter time has begun"
    assert counted(row) == (75 * CENT, 20 * CENT)


def test_what_others_have_reserved_may_come_back_and_is_not_called_spent(tmp_path: Path, alice: Member) -> None:
    async def meanwhile() -> BudgetReserved:
        _, admission = server(tmp_path)
        first = request("a", alice, 90 * CENT)
        await admission.admit(first)
        with pytest.raises(BudgetReserved) as caught:
            await admission.admit(request("b", alice, 20 * CENT))
        admission.budgets.give_back(first)
        await admission.budgets._give_back()
        await admission.admit(request("b again", alice, 20 * CENT))
        return caught.value

    budget(alice, DOLLAR)
    assert str(asyncio.run(meanwhile())) == (
        "What is left of the monthly budget of the team Acme is reserved for requests in progress: $0 of $1.00 is "
        "spent, $0.9000 more is reserved for requests in progress, and this request may take $0.2000. Try again when "
        "one has ended."
    )


def test_a_budget_that_is_raised_lets_in_the_next_request(tmp_path: Path, alice: Member) -> None:
    async def before_and_after() -> None:
        _, admission = server(tmp_path)
        with pytest.raises(BudgetSpent):
            await admission.admit(request("a", alice, 2 * CENT))
        await background(Budget.objects.update, amount=DOLLAR)
        await admission.admit(request("b", alice, 2 * CENT))

    budget(alice, CENT)
    asyncio.run(before_and_after())


@pytest.mark.parametrize("change", ["deleted", "warn-only", "by the day"])
def test_a_process_that_has_not_heard_of_a_change_yet_looks_again(
    tmp_path: Path, alice: Member, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its snapshot says a hard budget by the month, and the database knows better."""

    async def meanwhile() -> None:
        _, admission = server(tmp_path)
        await admission.admit(request("a", alice, CENT))
        with monkeypatch.context() as patch:
            patch.setattr(configuration, "forget_caches", lambda: None)
            await background(changed)
        await admission.admit(request("b", alice, CENT))

    def changed() -> None:
        if change == "deleted":
            row.delete()
        elif change == "warn-only":
            Budget.objects.update(is_hard=False)
        else:
            Budget.objects.update(period="day")
            directory.load()  # as another process does

    row = budget(alice)
    asyncio.run(meanwhile())
    if change == "by the day":
        assert counted(row) == (0, 2 * CENT)
        assert BudgetCounter.objects.get().calendar == "day UTC"
    else:
        assert set(Reservation.objects.values_list("request_id", flat=True)) == {"a"}


# --- the way back ----------------------------------------------------------------------------------------------------


def test_a_settled_request_costs_what_it_cost_and_gives_its_reservation_back(tmp_path: Path, alice: Member) -> None:
    async def one() -> None:
        ledger, admission = server(tmp_path)
        entry = request("a", alice, 20 * CENT)
        await admission.admit(entry)
        assert await background(counted, rows[0]) == (0, 20 * CENT)
        settle(admission, entry, 3 * CENT)
        await ledger.close()

    rows = [budget(alice), budget(alice, membership=alice.membership), budget(alice, is_hard=False)]
    others = [budget(cast.carol()), budget(cast.bob(), membership=cast.bob().membership)]
    asyncio.run(one())
    configuration.forget_caches()
    assert [counted(row) for row in rows] == [(3 * CENT, 0)] * 3
    assert [counted(row) for row in others] == [(0, 0)] * 2
    assert not Reservation.objects.exists()


def test_lines_that_come_twice_are_counted_once(tmp_path: Path, alice: Member) -> None:
    async def lines() -> list[dict[str, Any]]:
        ledger, admission = server(tmp_path)
        for name in ("a", "b"):
            entry = request(name, alice, 20 * CENT)
            await admission.admit(entry)
            settle(admission, entry, 3 * CENT)
        return ledger._spool.read(10_000)[0]

    row = budget(alice)
    spooled = asyncio.run(lines())
    for part in (spooled[:1], spooled[:3], spooled, spooled, spooled[::-1]):
        write_lines(part)
    assert counted(row) == (6 * CENT, 0)


def test_what_is_not_admitted_after_all_gives_back_what_it_reserved(tmp_path: Path, alice: Member) -> None:
    async def full() -> None:
        ledger, admission = server(tmp_path)
        os.dup2(os.open("/dev/full", os.O_RDWR), ledger._spool._descriptor)
        with pytest.raises(NotRecorded):
            await admission.admit(request("a", alice))
        assert await background(counted, row) == (0, CENT)
        await admission.budgets._give_back()

    row = budget(alice)
    asyncio.run(full())
    assert counted(row) == (0, 0)


def test_an_admission_that_is_cancelled_gives_back_what_its_statement_takes_later(
    tmp_path: Path, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(wish: Any) -> Any:
        time.sleep(0.3)
        return reserve(wish)

    async def leaves() -> None:
        _, admission = server(tmp_path)
        await admission.admit(request("warm", alice))
        monkeypatch.setattr(hard, "reserve", slowly)
        leaving = asyncio.create_task(admission.admit(request("a", alice)))
        await asyncio.sleep(0.1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await asyncio.sleep(0.5)
        assert await background(counted, row) == (0, 2 * CENT)
        await admission.budgets._give_back()

    row = budget(alice)
    asyncio.run(leaves())
    assert counted(row) == (0, CENT)


def test_what_a_dead_process_had_reserved_is_given_back_with_its_spool(tmp_path: Path, alice: Member) -> None:
    async def dies() -> None:
        ledger, admission = server(tmp_path)
        entries = [request(name, alice, 20 * CENT) for name in ("settled", "open")]
        for entry in entries:
            await admission.admit(entry)
        settle(admission, entries[0], 3 * CENT)
        os.close(ledger._spool._descriptor)

    row = budget(alice)
    asyncio.run(dies())
    assert counted(row) == (0, 40 * CENT)
    assert ingest_orphans(tmp_path) == 1
    assert counted(row) == (3 * CENT, 0)
    assert not Reservation.objects.exists()


def test_a_lease_is_renewed_as_long_as_its_process_lives_and_then_runs_out(tmp_path: Path, alice: Member) -> None:
    async def lives() -> str:
        ledger, admission = server(tmp_path)
        await admission.admit(request("a", alice))
        return ledger.server

    row = budget(alice)
    name = asyncio.run(lives())
    Reservation.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    renew_leases(name)
    assert give_back(lease_has_expired()) == 0
    assert counted(row) == (0, CENT)
    Reservation.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert give_back(lease_has_expired()) == 1
    assert counted(row) == (0, 0)


def test_a_budget_that_is_deleted_leaves_nothing_that_anybody_waits_for(tmp_path: Path, alice: Member) -> None:
    row = budget(alice)
    admitted(tmp_path, ("a", alice, CENT))
    row.delete()
    assert give_back(Q(request_id="a")) == 1
    assert not Reservation.objects.exists()


def test_many_records_and_budgets_are_counted_with_as_many_questions_as_one(
    tmp_path: Path, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lines(count: int) -> list[dict[str, Any]]:
        ledger, admission = server(tmp_path)
        for number in range(count):
            entry = request(f"req_{count}_{number}", alice)
            await admission.admit(entry)
            settle(admission, entry, CENT // 100)
        return ledger._spool.read(10**6)[0]

    def questions(count: int) -> int:
        spooled = asyncio.run(lines(count))
        with CaptureQueriesContext(connection) as captured:
            write_lines(spooled)
        return len(captured)

    row = budget(alice)
    for_one = questions(1)
    for number in range(10):
        budget(alice, DOLLAR + number, membership=alice.membership)
        budget(alice, DOLLAR + number, api_key=key_of(alice))
    assert questions(20) == for_one
    assert counted(row) == (21 * CENT // 100, 0)


# --- periods ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    def set_to(moment: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: moment)

    return set_to


LATE = datetime(2026, 11, 24, 23, 59, tzinfo=timezone.get_default_timezone())
EARLY = LATE + timedelta(minutes=2)


def test_a_new_period_begins_with_the_first_request_in_it(
    tmp_path: Path, alice: Member, clock: Callable[[datetime], None]
) -> None:
    async def over_midnight() -> None:
        ledger, admission = server(tmp_path)
        clock(LATE)
        before = request("before", alice, 90 * CENT, started_at=LATE.timestamp())
        await admission.admit(before)
        with pytest.raises(BudgetReserved):
            await admission.admit(request("refused", alice, 20 * CENT))
        clock(EARLY)
        after = request("after", alice, 20 * CENT, started_at=EARLY.timestamp())
        await admission.admit(after)
        assert await background(counted, row) == (0, 20 * CENT)
        settle(admission, before, 80 * CENT)
        settle(admission, after, 5 * CENT)
        await ledger.close()

    row = budget(alice, period="day")
    asyncio.run(over_midnight())
    assert counted(row) == (5 * CENT, 0), "what began yesterday is yesterday's"
    assert not Reservation.objects.exists()


def test_a_process_whose_clock_is_slow_does_not_bring_yesterday_back(
    tmp_path: Path, alice: Member, clock: Callable[[datetime], None]
) -> None:
    async def two() -> None:
        _, admission = server(tmp_path)
        clock(EARLY)
        await admission.admit(request("on time", alice, 60 * CENT))
        clock(LATE)
        with pytest.raises(BudgetReserved):
            await admission.admit(request("slow", alice, 60 * CENT))

    row = budget(alice, period="day")
    asyncio.run(two())
    assert counted(row) == (0, 60 * CENT)


@pytest.mark.parametrize("subject", ["team", "member", "key"])
def test_a_new_budget_counts_what_was_spent_in_its_period_before_it_was_made(
    tmp_path: Path, alice: Member, clock: Callable[[datetime], None], subject: str
) -> None:
    clock(LATE)
    record(alice, "today", 2 * CENT, LATE - timedelta(hours=1))
    record(alice, "yesterday", 4 * CENT, LATE - timedelta(days=1))
    record(cast.bob(), "bob's", 8 * CENT, LATE - timedelta(hours=1))
    record(cast.carol(), "carol's", 16 * CENT, LATE - timedelta(hours=1))
    of: dict[str, dict[str, Any]] = {
        "team": {},
        "member": {"membership": alice.membership},
        "key": {"api_key": key_of(alice)},
    }
    row = budget(alice, period="day", **of[subject])
    admitted(tmp_path, ("a", alice, 1))
    assert counted(row)[0] == (10 * CENT if subject == "team" else 2 * CENT)


def test_another_period_or_time_zone_has_it_counted_anew_with_what_is_reserved(
    tmp_path: Path, alice: Member, clock: Callable[[datetime], None]
) -> None:
    async def changing() -> None:
        _, admission = server(tmp_path)
        await admission.admit(request("a", alice, CENT))
        assert await background(counted, row) == (2 * CENT, CENT)
        await background(Budget.objects.update, period="month")
        await admission.admit(request("b", alice, CENT))
        assert await background(counted, row) == (6 * CENT, 2 * CENT)
        await background(Budget.objects.update, period="day")
        alice.team.time_zone = "Asia/Tokyo"  # where it is tomorrow since nine hours
        await background(alice.team.save)
        await admission.admit(request("c", alice, CENT))
        assert await background(counted, row) == (0, 3 * CENT)

    clock(LATE)
    record(alice, "today", 2 * CENT, LATE - timedelta(hours=23))
    record(alice, "yesterday", 4 * CENT, LATE - timedelta(days=1))
    row = budget(alice, period="day")
    asyncio.run(changing())


# --- without a database ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["refuse", "allow"])
def test_while_the_database_is_away_hard_budgets_refuse_or_allow_and_others_go_on(
    tmp_path: Path, alice: Member, monkeypatch: pytest.MonkeyPatch, settings: Any, setting: str
) -> None:
    def unreachable(*_: object) -> None:
        raise OperationalError("away")

    async def outage() -> None:
        ledger, admission = server(tmp_path)
        await admission.admit(request("warm", alice))
        monkeypatch.setattr(hard, "reserve", unreachable)
        monkeypatch.setattr(hard_budgets, "_load", unreachable)
        for is_forgotten in (False, True):
            if is_forgotten:
                configuration.forget_caches()
            await admission.admit(request(f"carol {is_forgotten}", carol))
            if setting == "allow":
                await admission.admit(request(f"alice {is_forgotten}", alice))
                assert f"alice {is_forgotten}" in ledger.in_flight
            else:
                with pytest.raises(BudgetUnknown):
                    await admission.admit(request(f"alice {is_forgotten}", alice))

    settings.BUDGET_WITHOUT_DATABASE = setting
    carol = cast.carol()
    budget(alice)
    asyncio.run(outage())
