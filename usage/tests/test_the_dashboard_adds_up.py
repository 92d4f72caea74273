"""The landing page of the admin: its figures are those of the records, its links lead to them, and it asks little."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Team
from testing import cast
from testing.seeded_usage import seed
from testing.signed_in import signed_in
from usage.charts import Column, columns, scale
from usage.days import today
from usage.display import cents, count, dollars
from usage.models import Budget, UsageRecord
from usage.services.budgets.counting import count_anew_where_needed
from usage.services.rollups import rebuild
from usage.tables import Table, Tile
from usage.tests.counted import record

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:index")
LAST = date(2026, 5, 4)
#: Session, user, teams, whole months, groups, speeds, made at, days to come, days, sessions, budgets.
QUERIES_OF_THE_PAGE = 11
CUSTOM: dict[str, str] = {"period": "custom", "from": "2026-04-20", "to": "2026-05-04"}


@pytest.fixture
def records() -> list[UsageRecord]:
    return seed(LAST, days=6)


@pytest.fixture
def browser(records: list[UsageRecord]) -> Client:
    return signed_in(cast.root())


def table(context: Any, name: str) -> Table:
    tables = [*context["charts"], *context["tables"], context["sessions"]]
    (found,) = (each for each in tables if isinstance(each, Table) and each.id == name)
    return found


def tiles(context: Any) -> dict[str, Tile]:
    return {tile.title: tile for tile in context["tiles"]}


def as_told(context: Any, name: str, *columns_: int) -> dict[str, tuple[str, ...]]:
    return {row[0].text: tuple(row[column].text for column in columns_) for row in table(context, name).rows}


def spent(records: list[UsageRecord], key: Callable[[UsageRecord], str]) -> dict[str, tuple[str, ...]]:
    """Requests and spend, counted here: independently of what is tested."""
    requests: Counter[str] = Counter()
    costs: defaultdict[str, int] = defaultdict(int)
    for row in records:
        requests[key(row)] += 1
        costs[key(row)] += row.cost
    return {name: (f"{requests[name]:,}", cents(costs[name])) for name in requests}


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_figures_on_top_are_those_of_the_records(browser: Client, records: list[UsageRecord]) -> None:
    told = tiles(browser.get(PAGE, CUSTOM).context)
    cost = sum(row.cost for row in records)
    prompt = sum(row.input_tokens + row.cache_read_tokens + row.cache_write_tokens for row in records)
    errors = sum(row.state == "error" for row in records)
    assert told["Spend"].value == dollars(cost)
    estimated = dollars(sum(row.cost for row in records if row.cost_source == "catalogue"))
    assert told["Spend"].note.endswith(f"of it {estimated} estimated")
    assert told["Requests"].value == f"{len(records):,}"
    assert told["Tokens in"].note == f"{prompt:,}"
    assert told["Tokens out"].note == f"{sum(row.output_tokens for row in records):,}"
    assert told["Cache hit rate"].value == f"{100 * sum(row.cache_read_tokens for row in records) / prompt:.1f} %"
    assert told["Errors"].value == f"{errors:,}"
    assert told["Errors"].note == f"{100 * errors / len(records):.1f} % of requests"


@pytest.mark.parametrize(("title", "column"), [("Latency", "latency_ms"), ("First token", "first_byte_ms")])
def test_half_and_most_of_the_durations_are_told_within_their_bound(
    browser: Client, records: list[UsageRecord], title: str, column: str
) -> None:
    durations = sorted(value for row in records if (value := getattr(row, column)) is not None)
    tile = tiles(browser.get(PAGE, CUSTOM).context)[title]
    for told, share in ((tile.value, 0.5), (tile.note, 0.95)):
        seconds = re.search(r"([\d.]+) s$", told)
        assert seconds
        exact = durations[-int(-(len(durations) * share) // 1) - 1] / 1000
        assert float(seconds[1]) == pytest.approx(exact, rel=0.075)  # of the class, and of the two digits


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("teams", lambda row: row.team_name),
        ("members", lambda row: row.email),
        ("models", lambda row: row.model),
        ("keys", lambda row: row.key_name),
        ("providers", lambda row: row.provider),
    ],
)
def test_each_breakdown_adds_up(browser: Client, records: list[UsageRecord], name: str, key: Any) -> None:
    assert as_told(browser.get(PAGE, CUSTOM).context, name, 1, 3) == spent(records, key)


def test_errors_are_told_by_type(browser: Client, records: list[UsageRecord]) -> None:
    counted = Counter(row.error_type for row in records if row.error_type)
    told = as_told(browser.get(PAGE, CUSTOM).context, "errors", 1)
    assert told == {name: (f"{number}",) for name, number in counted.items()}


def test_days_stand_under_each_other_the_newest_first(browser: Client, records: list[UsageRecord]) -> None:
    told = as_told(browser.get(PAGE, CUSTOM).context, "spend", 1, 2)
    assert told == spent(records, lambda row: f"{row.started_at.day} {row.started_at:%b}")
    assert next(iter(told)) == "4 May"


def test_a_long_period_is_told_by_months(browser: Client, records: list[UsageRecord]) -> None:
    told = as_told(browser.get(PAGE, {**CUSTOM, "from": "2025-06-01"}).context, "spend", 1, 2)
    assert told == spent(records, lambda row: f"{row.started_at:%b %Y}")


def test_the_ten_dearest_sessions_are_told(browser: Client, records: list[UsageRecord]) -> None:
    costs: defaultdict[str, int] = defaultdict(int)
    for row in records:
        costs[row.session_id] += row.cost
    dearest = sorted(costs, key=lambda name: (-costs[name], name))[:10]
    told = as_told(browser.get(PAGE, CUSTOM).context, "sessions", 3)
    assert told == {name: (cents(costs[name]),) for name in dearest}


def test_what_has_no_place_in_a_table_is_its_last_row() -> None:
    alice = cast.alice()
    for number in range(13):
        record(f"req_{number}", alice, model=f"acme/model-{number:02}", cost=(20 - number) * 10**12)
    list(rebuild([LAST]))
    rows = table(signed_in(cast.root()).get(PAGE, CUSTOM).context, "models").rows
    assert [row[0].text for row in rows] == [*(f"acme/model-{number:02}" for number in range(10)), "3 others"]
    assert rows[-1][3].text == "$27.00"


# --- whose -----------------------------------------------------------------------------------------------------------


def test_who_keeps_a_team_sees_that_team_alone(records: list[UsageRecord]) -> None:
    response = signed_in(cast.alice().user).get(PAGE, CUSTOM)
    own = [row for row in records if row.team_name == "Acme"]
    assert as_told(response.context, "members", 1, 3) == spent(own, lambda row: row.email)
    assert tiles(response.context)["Spend"].value == dollars(sum(row.cost for row in own))
    assert "lobex" not in response.content.decode()


def test_another_team_cannot_be_asked_for(records: list[UsageRecord]) -> None:
    alice, carol = cast.alice(), cast.carol()
    own = signed_in(alice.user).get(PAGE, CUSTOM)
    asked = signed_in(alice.user).get(PAGE, {**CUSTOM, "team": f"{carol.team.pk}"})
    assert asked.context["complaint"] == "team: there is no such team."
    assert asked.context["tiles"] == own.context["tiles"]
    assert "lobex" not in asked.content.decode()


def test_a_member_has_no_admin(records: list[UsageRecord]) -> None:
    assert signed_in(cast.bob().user).get(PAGE).status_code == 302


def test_one_team_is_chosen(browser: Client, records: list[UsageRecord]) -> None:
    context = browser.get(PAGE, {**CUSTOM, "team": f"{cast.carol().team.pk}"}).context
    theirs = [row for row in records if row.team_name == "Globex"]
    assert as_told(context, "models", 1, 3) == spent(theirs, lambda row: row.model)
    row = table(context, "models").rows[0]
    assert count(browser.get(row[0].url).context["cl"].queryset.count()) == row[1].text


# --- links -----------------------------------------------------------------------------------------------------------


def test_every_figure_leads_to_as_many_records_as_it_counts(browser: Client, records: list[UsageRecord]) -> None:
    context = browser.get(PAGE, CUSTOM).context
    tables = [*context["charts"], *context["tables"], context["sessions"]]
    for shown in tables:
        for row in shown.rows:
            listed = browser.get(row[0].url)
            assert listed.status_code == 200, row[0].url
            if shown.id == "sessions":
                assert f"{row[1].text} requests, " in listed.content.decode()
            elif shown.headers[1] == "Requests":
                assert count(listed.context["cl"].queryset.count()) == row[1].text, (shown.id, row[0].text)
    for tile in context["tiles"]:
        found = browser.get(tile.url).context["cl"].queryset.count()
        assert found == (sum(row.state == "error" for row in records) if tile.title == "Errors" else len(records))


def test_what_has_no_name_leads_to_its_records_too() -> None:
    alice = cast.alice()
    record("req_1", alice, provider="")
    record("req_2", alice)
    list(rebuild([LAST]))
    browser = signed_in(cast.root())
    (unnamed,) = [row[0] for row in table(browser.get(PAGE, CUSTOM).context, "providers").rows if "not" in row[0].text]
    assert [row.request_id for row in browser.get(unnamed.url).context["cl"].queryset] == ["req_1"]


# --- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"period": "forever"}, "period: &#x27;forever&#x27; is none of"),
        ({"period": "custom", "from": "04.05.2026"}, "from: &#x27;04.05.2026&#x27; is not a day such as 2026-11-30."),
        ({"period": "custom", "from": "2026-05-04", "to": "2026-05-03"}, "from: 2026-05-04 is after to, 2026-05-03."),
        ({"period": "custom", "from": "2001-01-01", "to": "2026-05-03"}, "from: more than five years before to"),
        ({"team": "0"}, "team: there is no such team."),
        ({"team": "²"}, "team: there is no such team."),
    ],
)
def test_what_makes_no_sense_is_told_and_the_page_still_opens(query: dict[str, str], told: str) -> None:
    response = signed_in(cast.root()).get(PAGE, query)
    assert response.status_code == 200
    assert told in response.content.decode()


@pytest.mark.parametrize("name", ["today", "7d", "30d", "month", "last-month", "12m"])
def test_every_period_ends_today_or_with_last_month(name: str) -> None:
    period = signed_in(cast.root()).get(PAGE, {"period": name}).context["asked"].period
    if name == "last-month":
        assert period.last == today().replace(day=1) - timedelta(days=1)
        assert period.first == period.last.replace(day=1)
        return
    assert period.last == today()
    lengths = {"today": 1, "7d": 7, "30d": 30, "month": today().day}
    assert period.days == lengths.get(name, period.days)
    assert name != "12m" or (len(period.parts) == 12 and period.first.day == 1)


def test_days_filled_in_count_unless_another_period_is_chosen() -> None:
    days = {"from": "2026-05-01", "to": "2026-05-04"}
    browser = signed_in(cast.root())
    filled_in = browser.get(PAGE, {**days, "was": "30d", "period": "30d"}).context["asked"].period
    assert (filled_in.name, str(filled_in)) == ("custom", "2026-05-01 to 2026-05-04")
    assert browser.get(PAGE, {**days, "was": "custom", "period": "7d"}).context["asked"].period.name == "7d"


def test_an_empty_page_says_what_to_do_next() -> None:
    assert "Connect Claude Code" in signed_in(cast.root()).get(PAGE).content.decode()


def test_the_page_asks_as_often_for_much_as_for_little() -> None:
    browser = signed_in(cast.root())
    for days in (2, 6):
        seed(LAST - timedelta(days=40 * days), days)
        Budget.objects.bulk_create([Budget(team=Team.objects.first(), amount=number + 1) for number in range(days)])
        browser.get(PAGE, {**CUSTOM, "from": "2023-01-01"})
        with CaptureQueriesContext(connection) as captured:
            browser.get(PAGE, {**CUSTOM, "from": "2023-01-01"})
        assert len(captured) == QUERIES_OF_THE_PAGE
        assert not any("usage_usagerecord" in query["sql"] for query in captured)


def test_budgets_are_there_at_a_glance_the_nearest_to_its_end_first() -> None:
    alice, carol = cast.alice(), cast.carol()
    wide = Budget.objects.create(team=alice.team, amount=10**13, is_hard=False)
    narrow = Budget.objects.create(team=alice.team, membership=alice.membership, amount=2 * 10**12)
    Budget.objects.create(team=carol.team, amount=10**12)
    now = timezone.now()
    record("req_1", alice, started_at=now, settled_at=now, cost=10**12)
    count_anew_where_needed(Budget.objects.all())
    shown = table(signed_in(cast.root()).get(PAGE).context, "budgets")
    first, second, third = shown.rows
    assert [cell.text for cell in first[:5]] == [narrow.whose, "50 %", "$1.00", "$0", "$2.00"]
    assert (first[0].url, first[0].hint) == (reverse("admin:usage_budget_change", args=[narrow.pk]), "month, hard")
    assert (second[0].text, second[0].hint, second[1].text) == (wide.whose, "month, warn only", "10 %")
    assert third[1].text == "0 %"
    of_acme = table(signed_in(alice.user).get(PAGE).context, "budgets")
    assert [row[0].text for row in of_acme.rows] == [narrow.whose, wide.whose]


def test_without_a_budget_there_is_no_table_of_them(browser: Client) -> None:
    assert "budgets" not in {each.id for each in browser.get(PAGE).context["tables"]}


# --- drawing ---------------------------------------------------------------------------------------------------------


def test_the_page_needs_no_script_and_no_style_of_its_own(browser: Client) -> None:
    page = browser.get(PAGE, CUSTOM).content.decode()
    ours = page[page.index('<div id="dashboard">') : page.index("The dearest sessions")]
    assert "style=" not in ours
    assert "<script" not in ours
    assert not re.search(r"\son\w+=", ours)


def test_names_are_escaped_wherever_they_stand() -> None:
    record("req_1", cast.alice(), model="<b>bold</b>", provider="<i>", session_id="<u>", key_name="<s>")
    list(rebuild([LAST]))
    page = signed_in(cast.root()).get(PAGE, CUSTOM).content.decode()
    assert not re.search(r"<(b|i|u|s)>", page)
    assert "<b>bold</b>" in unescape(page)


def test_a_column_is_as_high_as_what_it_shows() -> None:
    drawn = columns([Column("a", "a: 50", (50,)), Column("<b>", "<b>: 100", (60, 40))], "Two", str)
    heights = [float(height) for kind, height in re.findall(r'class="(part-\d)".*?height="([\d.]+)"', drawn)]
    assert heights[0] == pytest.approx(sum(heights[1:]) / 2, abs=0.2)
    assert "<b>" not in drawn


def test_the_scale_is_round_and_holds_everything() -> None:
    assert scale(0) == [0, 1]
    assert scale(7) == [0, 2, 4, 6, 8]
    for most in (1, 9, 10, 11, 999, 12_345, 10**15):
        assert most <= scale(most)[-1] < 2 * most + 2


def test_a_moment_is_shown_at_which_it_was_counted(browser: Client) -> None:
    told = browser.get(PAGE, CUSTOM).context["made"]
    assert re.fullmatch(r"counted at \d\d:\d\d:\d\d UTC", told)
