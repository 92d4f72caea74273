"""Records for tests of reports, and what they come to, computed from the rows in plain Python."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from testing.cast import Member
from usage.histogram import bucket_of
from usage.models import DailySession, DailyTiming, DailyUsage, UsageRecord

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SUMMED = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("web_searches", "cost"),
)
STATES = {"open": "open", "completed": "completed", "error": "errors", "aborted": "aborted", "lost": "lost"}
WHO_AND_WHAT = (
    *("team_id", "team_name", "user_id", "email", "api_key_id", "key_name"),
    *("requested_model", "model", "provider", "error_type"),
)
Figures = dict[tuple[Any, ...], Counter[str]]


def record(request_id: str, member: Member, **fields: Any) -> UsageRecord:
    """A completed request of `member`'s, like most."""
    started = fields.pop("started_at", NOON)
    settled = None if fields.get("state") == "open" else started + 3 * SECOND
    given = {
        "state": "completed",
        "settled_at": settled,
        "lease_expires_at": started + 60 * SECOND,
        "team": member.team,
        "team_name": member.team.name,
        "user": member.user,
        "email": member.user.email,
        "key_name": f"{member.user.email.partition('@')[0]}'s laptop",
        "session_id": f"session of {member.user.email}",
        "requested_model": "sonnet",
        "model": "openai/gpt-5",
        "provider": "OpenAI",
        "input_tokens": 1_204,
        "output_tokens": 87,
        "cache_read_tokens": 14_000,
        "cost": 15_312_000_001,
        "cost_source": "upstream",
        "latency_ms": 2_840,
        "first_byte_ms": 412,
        "status": 200,
        **fields,
    }
    return UsageRecord.objects.create(request_id=request_id, started_at=started, **given)


def from_records(records: Iterable[UsageRecord]) -> Figures:
    """What each combination of day, who and what comes to."""
    figures: Figures = defaultdict(Counter)
    for row in records:
        key = (row.started_at.astimezone(UTC).date(), *(getattr(row, name) for name in WHO_AND_WHAT))
        figures[key].update({"requests": 1, STATES[row.state]: 1, **{name: getattr(row, name) for name in SUMMED}})
        if row.cost_source == "catalogue":
            figures[key]["estimated_cost"] += row.cost
        if row.cost_source == "" and row.state != "open":
            figures[key]["unpriced"] += 1
    return {key: +figure for key, figure in figures.items()}


def from_rollups(*, is_month: bool = False) -> Figures:
    counted = ("requests", *STATES.values(), *SUMMED, "estimated_cost", "unpriced")
    figures: Figures = defaultdict(Counter)
    for row in DailyUsage.objects.filter(is_month=is_month):
        key = (row.day, *(getattr(row, name) for name in WHO_AND_WHAT))
        figures[key].update({name: getattr(row, name) for name in counted})
    return {key: +figure for key, figure in figures.items()}


def timings_from_records(records: Iterable[UsageRecord]) -> Counter[tuple[Any, ...]]:
    counts: Counter[tuple[Any, ...]] = Counter()
    for row in records:
        for measure, milliseconds in (("latency", row.latency_ms), ("first", row.first_byte_ms)):
            if milliseconds is not None:
                day = row.started_at.astimezone(UTC).date()
                counts[day, row.team_id, row.model, measure, bucket_of(milliseconds)] += 1
    return counts


def timings_from_rollups(*, is_month: bool = False) -> Counter[tuple[Any, ...]]:
    counts: Counter[tuple[Any, ...]] = Counter()
    for row in DailyTiming.objects.filter(is_month=is_month):
        counts[row.day, row.team_id, row.model, row.measure, row.bucket] += row.requests
    return counts


def sessions_from_records(records: Iterable[UsageRecord]) -> Counter[tuple[Any, ...]]:
    costs: Counter[tuple[Any, ...]] = Counter()
    for row in records:
        if row.session_id:
            costs[row.started_at.astimezone(UTC).date(), row.team_id, row.session_id, row.email] += row.cost
    return +costs


def sessions_from_rollups(*, is_month: bool = False) -> Counter[tuple[Any, ...]]:
    costs: Counter[tuple[Any, ...]] = Counter()
    for row in DailySession.objects.filter(is_month=is_month):
        costs[row.day, row.team_id, row.session_id, row.email] += row.cost
    return +costs


def by_month(counts: Mapping[tuple[Any, ...], Any]) -> dict[tuple[Any, ...], Any]:
    """The same, added up over the days of each month; a day is the first of a key."""
    sums: dict[tuple[Any, ...], Any] = {}
    for (day, *key), value in counts.items():
        month = (day.replace(day=1), *key)
        sums[month] = sums[month] + value if month in sums else value
    return sums
