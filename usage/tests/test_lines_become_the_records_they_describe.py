"""Lines of the spool become the same records as Django would make of them, whatever they hold."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.forms.models import model_to_dict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usage.models import UsageRecord
from usage.services import record_rows
from usage.services.spool import Line

pytestmark = pytest.mark.django_db

TIMES = ("started_at", "settled_at", "lease_expires_at")
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
moments = st.integers(0, 4_000_000_000_000_000).map(lambda microseconds: microseconds / 1_000_000)
numbers = st.integers(0, 2**31 - 1)
attempts = st.lists(st.dictionaries(texts, st.one_of(texts, numbers, st.booleans(), st.none()), max_size=3), max_size=3)
lines = st.fixed_dictionaries(
    {"state": st.just("completed"), "started_at": moments, "settled_at": moments, "lease_expires_at": moments},
    optional={
        "server": texts,
        "team_id": st.none() | numbers,
        "user_id": numbers,
        "team_name": texts,
        "model": texts,
        "error_message": texts,
        "streamed": st.booleans(),
        "first_byte_ms": st.none() | numbers,
        "status": st.none() | st.integers(0, 599),
        "cost": st.integers(-(2**63), 2**63 - 1),
        "input_tokens": st.integers(0, 2**63 - 1),
        "attempts": attempts,
        "cost_source": st.sampled_from(["", "upstream", "catalogue"]),
    },
)


def made_by_django(line: Line) -> UsageRecord:
    times = {name: datetime.fromtimestamp(line[name], UTC) for name in TIMES}
    record = UsageRecord(**line | times)
    record.save(force_insert=True)
    return UsageRecord.objects.get(pk=record.pk)


def values(record: UsageRecord) -> dict[str, Any]:
    return model_to_dict(record, exclude=["id", "request_id"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=lines)
def test_a_line_becomes_what_django_would_make_of_it(line: Line) -> None:
    UsageRecord.objects.all().delete()
    record_rows.insert_missing([line | {"request_id": "req_ours"}])
    expected = made_by_django(line | {"request_id": "req_django"})
    assert values(UsageRecord.objects.get(request_id="req_ours")) == values(expected)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=lines, second=lines)
def test_only_one_of_the_two_statements_replaces_a_record(first: Line, second: Line) -> None:
    UsageRecord.objects.all().delete()
    record_rows.insert_missing([first | {"request_id": "req_1"}])
    record_rows.insert_missing([second | {"request_id": "req_1"}])
    kept = values(UsageRecord.objects.get())
    record_rows.insert_or_replace([second | {"request_id": "req_1"}])
    assert kept == values(made_by_django(first | {"request_id": "req_first"}))
    assert values(UsageRecord.objects.get(request_id="req_1")) == values(
        made_by_django(second | {"request_id": "req_second"})
    )


def test_what_has_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match="records have no colour"):
        record_rows.insert_missing([{"request_id": "req_1", "colour": "red"}])


def test_no_lines_ask_nothing_of_the_database(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        record_rows.insert_missing([])
        record_rows.insert_or_replace([])
