"""Owns a year of made-up usage on PostgreSQL, and how long reports about it take."""

import io
import random
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from statistics import median

from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import QuerySet, Sum
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Team, User
from testing.signed_in import signed_in
from usage.days import beginning, each, end, month_of
from usage.models import DailySession, DailyTiming, DailyUsage, UsageRecord
from usage.services.export import as_csv
from usage.services.rollups import rebuild, recorded_days, roll_up_day, touch

DAYS = 365
TEAMS, MEMBERS, KEYS = 10, 10, 2  # each of the one before
MODELS = (
    "anthropic/claude-sonnet-5",
    "anthropic/claude-haiku-4.5",
    "openai/gpt-5",
    "google/gemini-2.5-pro",
    "x-ai/grok-4",
)
PROVIDERS = ("Anthropic", "Amazon Bedrock", "OpenAI", "Google", "xAI")
ERRORS = ("", *("",) * 95, "overloaded_error", "rate_limit_error", "api_error", "invalid_request_error")
REQUESTS_OF_A_SESSION = 60
TIMES = 5
DASHBOARD_SECONDS, STATEMENT_SECONDS = 1.0, 2.0
UNBOUNDED = float("inf")  # told, and not judged
EXPORTED = 1_000_000
COLUMNS = (
    *("request_id", "state", "server", "lease_expires_at", "started_at", "settled_at", "latency_ms", "first_byte_ms"),
    *("team_id", "user_id", "api_key_id", "team_name", "email", "key_name", "session_id", "agent_id"),
    *("parent_agent_id", "requested_model", "model", "provider", "streamed", "generation_id", "attempts"),
    *("estimated_tokens", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "web_searches", "cost", "cost_source", "status", "stop_reason", "error_type"),
    "error_message",
)


def measure(rows: int) -> int:
    """Load, count, ask. Whether everything was quick enough, as an exit code."""
    call_command("migrate", verbosity=0)
    owner = _people()
    _said("records loaded with COPY", lambda: _load(rows), f"{rows:,}")
    _sql("VACUUM ANALYZE")
    days = _days()
    _said("rollups made", lambda: sum(1 for _ in rebuild(days)), f"{len(days)} days")
    _sql("VACUUM ANALYZE")
    tables = (UsageRecord, DailyUsage, DailyTiming, DailySession)
    print(", ".join(f"{table.__name__} {table._default_manager.count():,}" for table in tables), flush=True)
    slow = [*_dashboards(User.objects.get(is_superuser=True), owner), *_statements(days[-1])]
    _said("one day rolled up again", lambda: roll_up_day(days[-2]))
    _export(min(rows, EXPORTED))
    _indexes(days[-40])
    for what in slow:
        print(f"too slow: {what}", flush=True)
    return 1 if slow else 0


# --- what is asked ---------------------------------------------------------------------------------------------------


def _dashboards(root: User, owner: User) -> Iterator[str]:
    page = reverse("admin:index")
    for who, user in (("superuser", root), ("keeper of a team", owner)):
        browser = signed_in(user)
        for period in ("today", "30d", "12m"):
            yield from _judged(f"dashboard, {period}, {who}", DASHBOARD_SECONDS, _page(browser, page, period=period))
    records = reverse("admin:usage_usagerecord_changelist")
    for what, query in (("the last day", {"started_at_from": str(_days()[-1])}), ("all", {})):
        yield from _judged(f"list of records, {what}", UNBOUNDED, _page(signed_in(root), records, **query))


def _page(browser: Client, path: str, **query: str) -> Callable[[], object]:
    def ask() -> object:
        response = browser.get(path, query, headers={"host": "127.0.0.1"})
        assert response.status_code == 200
        return response

    return ask


def _statements(last: date) -> Iterator[str]:
    month = month_of(last)[0] - timedelta(days=1)

    def ask() -> object:
        return call_command("usage_report", month=f"{month:%Y-%m}", team="team-1", format="json", stdout=io.StringIO())

    def ask_with_a_day_to_make() -> object:
        touch([beginning(month)])
        return ask()

    yield from _judged("statement of a month", STATEMENT_SECONDS, ask)
    yield from _judged("statement, a day of it to be made first", STATEMENT_SECONDS, ask_with_a_day_to_make)


def _judged(what: str, allowed: float, ask: Callable[[], object]) -> Iterator[str]:
    """Say how long it takes; name it if that is too long."""
    ask()
    seconds = median(_seconds(ask) for _ in range(TIMES))
    print(f"{what:45} {seconds * 1000:8.0f} ms", flush=True)
    if seconds >= allowed:
        yield what


def _export(rows: int) -> None:
    last = UsageRecord.objects.order_by("started_at").values_list("started_at", flat=True)[rows - 1]
    records = UsageRecord.objects.filter(started_at__lte=last)
    size, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    for piece in as_csv(records):
        size += len(piece)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"export of {rows:,} records: {time.monotonic() - began:.1f} s, {size / 1e6:.0f} MB of CSV, "
        f"memory grown by {grown / 1024:.1f} MB",
        flush=True,
    )


def _indexes(day: date) -> None:
    """What BRIN on time would bring: its size and the time of a month's sum, beside the index that the list needs."""
    first, last = month_of(day)
    month = UsageRecord.objects.filter(started_at__gte=beginning(first), started_at__lt=end(last))
    index = next(index for index in UsageRecord._meta.indexes if index.fields == ["-started_at"])
    print(f"a month's sum from records, B-tree ({_size(index.name)})", f"{_time_of_sum(month):.0f} ms", flush=True)
    _sql("CREATE INDEX usage_brin ON usage_usagerecord USING brin (started_at)")
    print(f"the same with BRIN beside it ({_size('usage_brin')})", f"{_time_of_sum(month):.0f} ms", flush=True)
    with transaction.atomic():
        _sql(f"DROP INDEX {index.name}")
        print("the same with BRIN alone", f"{_time_of_sum(month):.0f} ms", flush=True)
        transaction.set_rollback(True)


def _time_of_sum(month: QuerySet[UsageRecord]) -> float:
    def ask() -> object:
        return month.order_by().aggregate(Sum("cost"))

    ask()
    return 1000 * median(_seconds(ask) for _ in range(TIMES))


def _size(index: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_relation_size(%s))", [index])
        return str(cursor.fetchone()[0])


# --- the year --------------------------------------------------------------------------------------------------------


def _people() -> User:
    """Ten teams, a superuser, and who keeps the first team."""
    User.objects.create_superuser("root@example.com", "correct-horse-battery")
    teams = [Team.objects.create(name=f"Team {number}") for number in range(1, TEAMS + 1)]
    owner = User.objects.create_user("owner@example.com", "correct-horse-battery")
    Membership.objects.create(user=owner, team=teams[0], role=Membership.Role.OWNER)
    return owner


def _days() -> list[date]:
    recorded = recorded_days()
    assert recorded
    return list(each(*recorded))


def _load(rows: int) -> None:
    connection.ensure_connection()
    columns = ", ".join(COLUMNS)
    teams = list(Team.objects.order_by("pk").values_list("pk", "name"))
    with (
        connection.connection.cursor() as cursor,
        cursor.copy(f"COPY usage_usagerecord ({columns}) FROM STDIN") as copy,
    ):
        for lines in _pieces(rows, teams):
            copy.write(lines)


def _pieces(rows: int, teams: list[tuple[int, str]], size: int = 5_000) -> Iterator[str]:
    chance = random.Random(1)
    last = datetime.now(UTC)
    first = last - timedelta(days=DAYS - 1)
    apart = (last - first) / rows
    lines = []
    for number in range(rows):
        lines.append(_line(chance, number, first + apart * number, teams))
        if len(lines) == size:
            yield "".join(lines)
            lines.clear()
    yield "".join(lines)


def _line(chance: random.Random, number: int, started: datetime, teams: list[tuple[int, str]]) -> str:
    pick = chance.random
    team = int(pick() ** 2 * TEAMS)
    member = team * MEMBERS + int(pick() * MEMBERS)
    key = member * KEYS + int(pick() * KEYS)
    model = int(pick() ** 2 * len(MODELS))
    error = ERRORS[int(pick() * len(ERRORS))]
    first, latency = int(chance.lognormvariate(6.6, 0.5)), int(chance.lognormvariate(9, 0.8))
    when = started.isoformat()
    team_id, team_name = teams[team]
    session = f"session-{member}-{number // (REQUESTS_OF_A_SESSION * TEAMS * MEMBERS)}"
    fields = (
        *(f"req_{number:032x}", "error" if error else "completed", "server", when, when, when, latency, first),
        *(team_id, 1000 + member, 1000 + key, team_name, f"member{member}@example.com", f"key {key}", session, ""),
        *("", MODELS[model].partition("/")[2], MODELS[model], PROVIDERS[model], "t", f"gen-{number}", "[]"),
        *(20_000, 1_500, 400, 30_000, 900, 0, 0, int(pick() * 2**36), "upstream"),
        *(529 if error else 200, "" if error else "end_turn", error, ""),
    )
    return "\t".join(map(str, fields)) + "\n"


# --- saying it -------------------------------------------------------------------------------------------------------


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _said(what: str, work: Callable[[], object], of: str = "") -> None:
    print(f"{of} {what}: {_seconds(work):.1f} s".strip(), flush=True)


def _sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
