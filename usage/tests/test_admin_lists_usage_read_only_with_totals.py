"""The usage page shows every request, adds up what is on view exactly, and changes nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import flatten_fieldsets
from django.test import Client
from django.urls import reverse

from testing import cast
from testing.signed_in import signed_in
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db

LIST = reverse("admin:usage_usagerecord_changelist")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
State = UsageRecord.State
RECORD = {
    "state": State.COMPLETED,
    "settled_at": NOON + timedelta(seconds=3),
    "requested_model": "claude-sonnet-5",
    "model": "openai/gpt-5",
    "streamed": True,
    "input_tokens": 1_204,
    "output_tokens": 87,
    "cache_read_tokens": 14_000,
    "cost": 15_312_000_001,
    "cost_source": "upstream",
    "latency_ms": 2_840,
    "first_byte_ms": 412,
    "status": 200,
}
OTHERWISE = {  # fields that are shown by a method of the page
    "shown_attempts": "attempts",
    "shown_before": "before",
    "shown_session": "session_id",
    "shown_input": "input_tokens",
    "shown_output": "output_tokens",
    "shown_cache_read": "cache_read_tokens",
    "shown_cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
    "exact_cost": "cost",
    "latency": "latency_ms",
    "first_token": "first_byte_ms",
}


@pytest.fixture
def admin() -> Client:
    return signed_in(cast.root())


def record(request_id: str, member: cast.Member, **fields: Any) -> UsageRecord:
    whose = {"team": member.team, "user": member.user, "team_name": member.team.name, "email": member.user.email}
    times = {"started_at": NOON, "lease_expires_at": NOON + timedelta(minutes=1)}
    return UsageRecord.objects.create(**{"request_id": request_id, **RECORD, **times, **whose, **fields})


def figures(response: Any) -> dict[str, str]:
    return {figure.title: figure.value for figure in response.context["figures"]}


def listed(admin: Client, **query: str) -> set[str]:
    return {row.request_id for row in admin.get(LIST, query).context["cl"].queryset}


def test_a_row_shows_who_asked_for_what_and_what_it_cost(admin: Client) -> None:
    record("req_1", cast.alice())
    page = admin.get(LIST).content.decode()
    for shown in ("alice@acme.example", "Acme", "claude-sonnet-5", "→ openai/gpt-5", "completed", "1,204", "87"):
        assert shown in page
    for shown in ("+ 14,000 cached", "$0.0153", "2.84 s", "first 0.41 s"):
        assert shown in page


def test_a_refusal_shows_its_status(admin: Client) -> None:
    record("req_1", cast.alice(), state=State.ERROR, status=529, cost=0, cost_source="")
    assert "error 529" in admin.get(LIST).content.decode()


def test_more_than_one_would_wait_for_is_not_added_up(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage.admin.records.MOST_ADDED_UP", 1)
    record("req_1", cast.alice())
    assert len(figures(admin.get(LIST))) == 5
    record("req_2", cast.alice())
    response = admin.get(LIST)
    assert figures(response) == {"Requests": "2"}
    assert "More than 1 requests are not added up here" in response.content.decode()


def test_the_totals_are_exact(admin: Client) -> None:
    record("req_1", cast.alice())
    record("req_2", cast.carol(), cost=1)
    assert figures(admin.get(LIST)) == {
        "Requests": "2",
        "Tokens in": "2,408",
        "Tokens out": "174",
        "Cached tokens": "28,000",
        "Cost (USD)": "$0.015312000002",
    }


def test_the_totals_are_those_of_what_is_on_view(admin: Client) -> None:
    alice = cast.alice()
    record("req_1", alice)
    record("req_2", cast.carol(), cost=10**12)
    assert figures(admin.get(LIST, {"q": "carol"}))["Cost (USD)"] == "$1.00"
    assert figures(admin.get(LIST, {"team__id__exact": str(alice.team.pk)}))["Cost (USD)"] == "$0.015312000001"


def test_the_totals_go_over_all_pages_of_the_list(admin: Client) -> None:
    alice = cast.alice()
    for number in range(60):
        record(f"req_{number}", alice, cost=10**10)
    assert figures(admin.get(LIST, {"p": "2"}))["Cost (USD)"] == "$0.60"


def test_who_spent_what_begins_with_the_most(admin: Client) -> None:
    record("req_1", cast.alice())
    record("req_2", cast.carol(), cost=2 * 10**12)
    rows = admin.get(LIST).context["breakdowns"]["By member"]["rows"]
    assert rows == [["carol@globex.example · Globex", "1", "$2.00"], ["alice@acme.example · Acme", "1", "$0.0153"]]


def test_an_empty_list_says_what_to_do_unless_a_search_emptied_it(admin: Client) -> None:
    response = admin.get(LIST)
    assert "connect Claude Code with a personal key" in response.content.decode()
    assert "connect Claude Code" not in admin.get(LIST, {"q": "nobody"}).content.decode()
    assert "connect Claude Code" not in admin.get(LIST, {"state__exact": "lost"}).content.decode()
    assert figures(response)["Cost (USD)"] == "$0.00"


def test_the_filters_let_through_what_they_say(admin: Client) -> None:
    alice, carol = cast.alice(), cast.carol()
    record("req_1", alice, cost_source="catalogue")
    record("req_2", carol, state=State.ERROR, requested_model="fast", model="google/gemini", streamed=False)
    assert listed(admin, team__id__exact=str(carol.team.pk)) == {"req_2"}
    assert listed(admin, user__id__exact=str(alice.user.pk)) == {"req_1"}
    assert listed(admin, state__exact="error") == {"req_2"}
    assert listed(admin, cost_source__exact="catalogue") == {"req_1"}
    assert listed(admin, streamed__exact="0") == {"req_2"}
    assert listed(admin, model_contains="gemini") == {"req_2"}
    assert listed(admin, model_contains="sonnet") == {"req_1"}


def test_a_range_of_dates_holds_its_first_and_last_day(admin: Client) -> None:
    alice = cast.alice()
    for day in range(1, 5):
        for hour in (0, 23):
            at = datetime(2026, 5, day, hour, 59, tzinfo=UTC)
            record(f"req_{day}_{hour}", alice, started_at=at)
    assert listed(admin, started_at_from="2026-05-02", started_at_to="2026-05-03") == {
        "req_2_0",
        "req_2_23",
        "req_3_0",
        "req_3_23",
    }
    assert len(listed(admin, started_at_from="2026-05-04")) == 2
    assert len(listed(admin, started_at_to="nonsense")) == 8


def test_members_are_found_for_the_filter_while_typing(admin: Client) -> None:
    cast.alice()
    field = {"app_label": "usage", "model_name": "usagerecord", "field_name": "user", "term": "alice"}
    found = admin.get(reverse("admin:autocomplete"), field).json()["results"]
    assert [user["text"] for user in found] == ["alice@acme.example"]


def test_a_filter_that_makes_no_sense_leads_back_to_the_list(admin: Client) -> None:
    assert admin.get(LIST, {"no_such_field": "x"}).status_code == 302


@pytest.mark.parametrize("query", ["req_1", "session-1", "alice", "gen-1"])
def test_the_search_finds_by_request_session_member_and_generation(admin: Client, query: str) -> None:
    record("req_1", cast.alice(), session_id="session-1", generation_id="gen-1")
    record("req_2", cast.carol(), session_id="session-2", generation_id="gen-2")
    assert listed(admin, q=query) == {"req_1"}


def test_nothing_can_be_added_changed_or_deleted(admin: Client) -> None:
    row = record("req_1", cast.alice())
    change = reverse("admin:usage_usagerecord_change", args=[row.pk])
    assert admin.get(reverse("admin:usage_usagerecord_add")).status_code == 403
    assert admin.post(change, {"cost": "0"}).status_code == 403
    assert admin.post(reverse("admin:usage_usagerecord_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    admin.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert UsageRecord.objects.get().cost == row.cost


def test_the_page_of_a_record_shows_every_field_and_the_exact_cost(admin: Client) -> None:
    row = record("req_1", cast.alice(), key_name="laptop", session_id="session-1", error_message="words")
    response = admin.get(reverse("admin:usage_usagerecord_change", args=[row.pk]))
    page = response.content.decode()
    for shown in ("req_1", "laptop", "session-1", "words", "$0.015312000001", "charged by the provider", "14,000"):
        assert shown in page
    form = response.context["adminform"]
    assert not form.form.fields  # nothing to type into
    shown_fields = {OTHERWISE.get(name, name) for name in flatten_fieldsets(form.fieldsets)}
    assert shown_fields == {field.name for field in UsageRecord._meta.fields} - {"id"}


def test_the_page_of_a_record_shows_each_attempt(admin: Client) -> None:
    failed = {"target": "openai/gpt-5", "status": 502, "error": "<b>broken</b>", "milliseconds": 90, "cost": 0}
    row = record("req_1", cast.alice(), attempts=[failed, {**failed, "status": 200, "error": ""}])
    page = admin.get(reverse("admin:usage_usagerecord_change", args=[row.pk])).content.decode()
    assert "openai/gpt-5: 502 &lt;b&gt;broken&lt;/b&gt;" in page
    assert "openai/gpt-5: 200 answered" in page


def test_a_record_outlives_what_it_points_to(admin: Client) -> None:
    alice = cast.alice()
    row = record("req_1", alice)
    UsageRecord.objects.update(team_id=99_999, user_id=99_999, api_key_id=99_999)
    page = admin.get(reverse("admin:usage_usagerecord_change", args=[row.pk]))
    assert page.status_code == 200
    assert "alice@acme.example" in page.content.decode()
    assert admin.get(LIST).status_code == 200


def test_a_corrected_record_says_what_was_guessed_and_why(admin: Client) -> None:
    why = {"why": "the client left before the end", "cost": 7 * 10**9, "input_tokens": 1200, "output_tokens": 30}
    row = record("req_1", cast.alice(), corrected_at=NOON, before=why)
    record("req_2", cast.alice())
    page = admin.get(reverse("admin:usage_usagerecord_change", args=[row.pk])).content.decode()
    assert "$0.007 (1,200 in, 30 out): the client left before the end" in page
    (listed,) = admin.get(LIST, {"corrected_at__isempty": "0"}).context["cl"].result_list
    assert listed == row
