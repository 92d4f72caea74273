"""Old records are deleted by the day once the rollups hold what they came to, and reports say the same afterwards."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from testing import cast
from usage.models import DailyUsage, RolledDay, UsageRecord
from usage.services import retention, rollups
from usage.services.lease import turn
from usage.services.rollups import LEASE, rebuild, roll_up_day, touch
from usage.tests import counted
from usage.tests.counted import NOON, record

pytestmark = pytest.mark.django_db

DAY = NOON.date()
DAYS = [DAY - timedelta(days=2), DAY - timedelta(days=1), DAY]


@pytest.fixture
def figures() -> counted.Figures:
    """Two records on each of three days, with their rollups: what those say."""
    alice = cast.alice()
    for number in range(6):
        record(f"req_{number}", alice, cost=10**number, started_at=NOON - timedelta(days=number // 2))
    list(rebuild(DAYS))
    return counted.from_rollups()


def names() -> set[str]:
    return set(UsageRecord.objects.values_list("request_id", flat=True))


def test_rollups_outlive_the_records(figures: counted.Figures, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("delete_old_usage", "--before", f"{DAY}")
    assert "4 records of 2 days deleted." in capsys.readouterr().out
    assert names() == {"req_0", "req_1"}
    assert counted.from_rollups() == figures


def test_a_rebuild_afterwards_changes_nothing(figures: counted.Figures) -> None:
    call_command("delete_old_usage", "--before", f"{DAY + timedelta(days=1)}")
    list(rebuild(DAYS))
    assert counted.from_rollups() == figures
    assert not UsageRecord.objects.exists()


def test_a_record_that_comes_after_that_is_added(figures: counted.Figures) -> None:
    call_command("delete_old_usage", "--before", f"{DAY + timedelta(days=1)}")
    late = record("req_late", cast.alice(), cost=7)
    touch([NOON])
    for _ in range(2):
        roll_up_day(DAY)
    (key,) = (key for key in figures if key[0] == DAY)
    assert counted.from_rollups()[key] == figures[key] + counted.from_records([late])[key]
    call_command("delete_old_usage", "--before", f"{DAY + timedelta(days=1)}")
    roll_up_day(DAY)
    assert counted.from_rollups()[key] == figures[key] + counted.from_records([late])[key]


def test_a_day_that_is_not_rolled_up_is_refused(figures: counted.Figures) -> None:
    RolledDay.objects.filter(day=DAYS[0]).delete()
    with pytest.raises(CommandError, match=f"1 days are not in the rollups yet, the first is {DAYS[0]}"):
        call_command("delete_old_usage", "--before", f"{DAY}")
    assert len(names()) == 6


def test_a_day_that_was_written_to_since_is_refused(figures: counted.Figures) -> None:
    touch([NOON - timedelta(days=1)])
    with pytest.raises(CommandError, match=f"not in the rollups yet, the first is {DAYS[1]}"):
        call_command("delete_old_usage", "--before", f"{DAY}")
    assert len(names()) == 6


def test_a_day_that_is_written_to_while_it_is_deleted_stays_whole(
    figures: counted.Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = retention.records_before(DAY)
    retention.check(days)
    real = rollups.records_of

    def and_meanwhile(day: date) -> Any:
        touch([NOON - timedelta(days=2)])
        return real(day)

    monkeypatch.setattr(retention, "records_of", and_meanwhile)
    with pytest.raises(retention.NotYet, match="have just been written"):
        list(retention.delete_records(days))
    assert len(names()) == 6
    assert not DailyUsage.objects.filter(is_final=True).exists()


def test_a_day_with_an_open_request_is_refused(figures: counted.Figures) -> None:
    record("req_open", cast.alice(), state="open", started_at=NOON - timedelta(days=1))
    list(rebuild(DAYS))
    with pytest.raises(CommandError, match=f"Requests of {DAYS[1]} are not settled yet"):
        call_command("delete_old_usage", "--before", f"{DAY}")
    assert len(names()) == 7


def test_a_dry_run_says_what_would_go_and_deletes_nothing(
    figures: counted.Figures, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("delete_old_usage", "--before", f"{DAY}", "--dry-run")
    told = capsys.readouterr().out
    assert f"{DAYS[0]}: 2\n{DAYS[1]}: 2\n4 records of 2 days would be deleted." in told
    assert len(names()) == 6


def test_a_large_day_goes_in_pieces(figures: counted.Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PIECE", 2)
    alice = cast.alice()
    for number in range(5):
        record(f"req_more_{number}", alice, started_at=NOON - timedelta(days=2))
    list(rebuild(DAYS))
    with CaptureQueriesContext(connection) as captured:
        call_command("delete_old_usage", "--before", f"{DAYS[1]}")
    pieces = [query["sql"] for query in captured if 'DELETE FROM "usage_usagerecord"' in query["sql"]]
    assert len(pieces) == 4
    assert len(names()) == 4


def test_days_are_kept_by_their_number(figures: counted.Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage.management.commands.delete_old_usage.today", lambda: DAY)
    call_command("delete_old_usage", "--keep-days", "1")
    assert names() == {"req_0", "req_1", "req_2", "req_3"}


def test_it_gives_way_to_another_process(figures: counted.Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PATIENCE_SECONDS", 0.0)
    with turn(LEASE, 60), pytest.raises(CommandError, match="Another process is at it"):
        call_command("delete_old_usage", "--before", f"{DAY}")
    assert len(names()) == 6


def test_rollups_go_only_after_their_records(figures: counted.Figures, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match=f"There are records from {DAYS[0]} on: delete those first."):
        call_command("delete_old_usage", "--before", f"{DAY}", "--table", "rollups")
    call_command("delete_old_usage", "--before", f"{DAY}")
    call_command("delete_old_usage", "--before", f"{DAYS[1]}", "--table", "rollups")
    assert {key[0] for key in counted.from_rollups()} == {DAYS[1], DAY}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Say either --before or --keep-days."),
        (["--before", "2026-01-01", "--keep-days", "3"], "Say either --before or --keep-days."),
        (["--before", "new year"], "--before: 'new year' is not a day such as 2026-11-30."),
        (["--before", "2150-01-01"], "--before: 2150-01-01 has not begun yet."),
        (["--keep-days", "-1"], "--keep-days: '-1' is not a number of days."),
        (["--keep-days", "1", "--table", "users"], "--table: 'users' is none of records, rollups."),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_code_2(arguments: list[str], told: str) -> None:
    pairs = dict(zip(arguments[::2], arguments[1::2], strict=True))
    options = {name.removeprefix("--").replace("-", "_"): value for name, value in pairs.items()}
    with pytest.raises(CommandError) as refusal:
        call_command("delete_old_usage", **options)
    assert str(refusal.value) == told
    assert refusal.value.returncode == 2
