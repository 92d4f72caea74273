"""The monthly statement of a team: every figure is that of its records, to the last digit, in every format."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from testing import cast
from testing.seeded_usage import seed
from usage.models import UsageRecord
from usage.services.rollups import rebuild, touch
from usage.tests.counted import NOON, record

pytestmark = pytest.mark.django_db

LAST = date(2026, 5, 4)
PICO = Decimal(10) ** 12


@pytest.fixture
def records() -> list[UsageRecord]:
    """Some of April's, and those of May of Acme, which are returned."""
    return [row for row in seed(LAST, days=8) if row.started_at.month == 5 and row.team_name == "Acme"]


def report(capsys: pytest.CaptureFixture[str], form: str, *more: str) -> str:
    capsys.readouterr()
    call_command("usage_report", "--month", "2026-05", "--team", "acme", "--format", form, *more)
    return capsys.readouterr().out


def costs(records: list[UsageRecord], key: Callable[[UsageRecord], Any]) -> dict[Any, int]:
    sums: defaultdict[Any, int] = defaultdict(int)
    for row in records:
        sums[key(row)] += row.cost
    return dict(sums)


def pico(amount: str) -> int:
    return int(Decimal(amount) * PICO)


def test_json_holds_every_sum(capsys: pytest.CaptureFixture[str], records: list[UsageRecord]) -> None:
    told = orjson.loads(report(capsys, "json"))
    assert (told["team"], told["from"], told["to"]) == ("Acme", "2026-05-01", "2026-05-31")
    assert told["total"]["requests"] == len(records)
    assert pico(told["total"]["cost_usd"]) == sum(row.cost for row in records)
    assert pico(told["total"]["estimated_usd"]) == sum(row.cost for row in records if row.cost_source == "catalogue")
    assert pico(told["total"]["charged_usd"]) == sum(row.cost for row in records if row.cost_source == "upstream")
    assert told["total"]["requests_without_a_cost"] == sum(row.cost_source == "" for row in records)
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert told["total"][name] == sum(getattr(row, name) for row in records)
    by_member = {line["email"]: pico(line["cost_usd"]) for line in told["by_member"]}
    assert by_member == costs(records, lambda row: row.email)
    by_key = {(line["email"], line["key_name"]): pico(line["cost_usd"]) for line in told["by_key"]}
    assert by_key == costs(records, lambda row: (row.email, row.key_name))
    assert {line["model"]: pico(line["cost_usd"]) for line in told["by_model"]} == costs(records, lambda row: row.model)


def test_csv_holds_the_same(capsys: pytest.CaptureFixture[str], records: list[UsageRecord]) -> None:
    rows = list(csv.DictReader(io.StringIO(report(capsys, "csv"))))
    members = {row["member"]: pico(row["cost_usd"]) for row in rows if row["section"] == "member"}
    assert members == costs(records, lambda row: row.email)
    (total,) = (row for row in rows if row["section"] == "total")
    assert pico(total["cost_usd"]) == sum(row.cost for row in records)
    assert {row["section"] for row in rows} == {"member", "key", "model", "total"}


def test_a_table_tells_amounts_exactly_and_who_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    alice = cast.alice()
    record("req_1", alice, cost=1_234_000_000_000_001)
    record("req_2", alice, cost=5, cost_source="catalogue")
    record("req_3", alice, cost=0, cost_source="")
    list(rebuild([LAST]))
    told = report(capsys, "table")
    assert "Acme, 2026-05-01 to 2026-05-31 (UTC)" in told
    assert "$1,234.000000000006" in told
    assert told.endswith(
        "$1,234.000000000001 was charged by providers, $0.000000000005 is estimated from the catalogue; "
        "the cost of 1 requests is not known.\n"
    )


def test_days_that_are_to_be_made_anew_are_made_first(capsys: pytest.CaptureFixture[str]) -> None:
    record("req_1", cast.alice(), cost=7)
    touch([NOON])
    assert orjson.loads(report(capsys, "json"))["total"]["cost_usd"] == "0.000000000007"


def test_it_can_be_had_when_the_records_are_gone(capsys: pytest.CaptureFixture[str]) -> None:
    record("req_1", cast.alice(), cost=7)
    list(rebuild([LAST]))
    UsageRecord.objects.all().delete()
    assert orjson.loads(report(capsys, "json"))["total"]["cost_usd"] == "0.000000000007"


def test_nothing_of_another_team_and_month_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    record("req_1", cast.carol())
    record("req_2", cast.alice(), started_at=NOON - timedelta(days=10))
    list(rebuild([LAST, LAST - timedelta(days=10)]))
    told = orjson.loads(report(capsys, "json"))
    assert told["total"]["requests"] == 0
    assert told["by_member"] == []


def test_a_team_is_named_by_its_name_too(capsys: pytest.CaptureFixture[str]) -> None:
    cast.alice()
    call_command("usage_report", "--month", "2026-05", "--team", "Acme")
    assert "Acme, 2026-05-01" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_file_is_there_only_once_it_is_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    cast.alice()
    path = tmp_path / "statement"
    report(capsys, form, "--output", str(path))
    assert path.read_bytes().decode() == report(capsys, form)
    path.unlink()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("usage.whole_file.os.fsync", full_disk)
    with pytest.raises(CommandError, match="No space left on device"):
        report(capsys, form, "--output", str(path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "--month: '' is not a month such as 2026-11."),
        ({"--month": "November"}, "--month: 'November' is not a month such as 2026-11."),
        ({"--month": "2026-13"}, "--month: '2026-13' is not a month such as 2026-11."),
        ({"--month": "0001-01"}, "--month: '0001-01' is not a month such as 2026-11."),
        ({"--month": "2026-05", "--team": "acme", "--format": "xml"}, "--format: 'xml' is none of table, csv, json."),
        ({"--month": "2026-05"}, "--team: there is no team ''."),
        ({"--month": "2026-05", "--team": "initech"}, "--team: there is no team 'initech'."),
        ({"--month": "2026-05", "--team": "acme", "--output": "/nowhere/at/all"}, "--output: /nowhere/at/all: No such"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_code_2(arguments: dict[str, str], told: str) -> None:
    cast.alice()
    with pytest.raises(CommandError) as refusal:
        call_command("usage_report", *(word for pair in arguments.items() for word in pair))
    assert str(refusal.value).startswith(told)
    assert "\n" not in str(refusal.value)
    assert refusal.value.returncode == 2


def test_a_name_is_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    record("req_1", cast.alice(), key_name='=HYPERLINK("http://evil.example")', model="@SUM(1)")
    list(rebuild([LAST]))
    rows = list(csv.reader(io.StringIO(report(capsys, "csv"))))
    assert not any(cell.startswith(("=", "@", "+", "-")) for row in rows for cell in row)
    assert any("'@SUM(1)" in row for row in rows)
