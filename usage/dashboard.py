"""Owns the landing page of the admin: who spent what, over time and by everything that it can be broken down by.

A superuser sees all, whoever keeps a team sees that. Every figure leads to the records behind it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Team
from accounts.scope import is_superuser, teams_of, visible
from usage import charts
from usage.budget_table import budgets_at_a_glance
from usage.charts import Column
from usage.days import BadDay, today
from usage.display import NONE, cents, compact, count, dollars, duration, exact_dollars, percent
from usage.links import records_behind, session_page
from usage.models import DailyTiming
from usage.report_periods import CUSTOM, NAMES, Period, period_of
from usage.services import reports
from usage.services.reports import Group, Selection, Session, Speed, Speeds, Sums
from usage.tables import Cell, Table, Tile

Measure = DailyTiming.Measure
LONGEST_TABLE = 10
#: Spend from which amounts are written in cents, so that they stand below each other.
IN_CENTS = 10**12
TOKEN_KINDS = ("Input", "Cache read", "Cache write", "Output")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page was asked for: a period, and a team or all that may be seen."""

    period: Period
    team: int | None
    selection: Selection
    money: Callable[[int], str] = dollars

    def records(self, **wanted: str) -> str:
        return records_behind(self.period.first, self.period.last, self.team, **wanted)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    teams = list(visible(request, Team).order_by("name").values_list("pk", "name"))
    asked, complaint = _asked(request, dict(teams))
    groups = reports.groups(asked.selection)
    speeds = reports.speeds(asked.selection)
    everything = reports.total(group.sums for group in groups)
    asked = replace(asked, money=cents if everything.cost >= IN_CENTS else dollars)
    return context | {
        "title": "Spending",
        "complaint": complaint,
        "asked": asked,
        "periods": NAMES.items(),
        "custom": CUSTOM,
        "teams": teams,
        "made": _made(asked.selection),
        "tiles": _tiles(asked, everything, speeds),
        "charts": _charts(asked, reports.by_day(asked.selection)),
        "tables": [*_budgets(asked), *_breakdowns(asked, groups, speeds), _errors(asked, groups)],
        "sessions": _sessions(asked, reports.dearest_sessions(asked.selection)),
    }


# --- what was asked --------------------------------------------------------------------------------------------------


def _asked(request: HttpRequest, teams: dict[int, str]) -> tuple[Asked, str]:
    """What the address asks for; or what it might have, and what was wrong with it."""
    complaint = ""
    try:
        period = period_of(request.GET, today())
    except BadDay as error:
        period, complaint = period_of({}, today()), str(error)
    team = None
    if wanted := request.GET.get("team"):
        team = int(wanted) if wanted.isascii() and wanted.isdigit() and int(wanted) in teams else None
        complaint = complaint or ("" if team else "team: there is no such team.")
    seen = [team] if team else None if is_superuser(request) else teams_of(request)
    selection = Selection(period.first, period.last, seen)
    return Asked(period, team, selection.with_months if period.is_by_month else selection), complaint


def _made(selection: Selection) -> str:
    made_at = reports.made_at(selection)
    if made_at is None:
        return "nothing counted yet"
    behind = reports.days_to_come(selection)
    late = f", {behind} days to come" if behind > 1 else ""
    return f"counted at {made_at.astimezone(timezone.get_default_timezone()):%H:%M:%S} UTC{late}"


# --- the figures on top ----------------------------------------------------------------------------------------------


def _tiles(asked: Asked, sums: Sums, speeds: Speeds) -> list[Tile]:
    everything = asked.records()
    latency, first = speeds.of(Measure.LATENCY), speeds.of(Measure.FIRST_TOKEN)
    return [
        Tile("Spend", dollars(sums.cost), _about_cost(sums), everything),
        Tile("Requests", count(sums.requests), _about_requests(sums), everything),
        Tile("Tokens in", compact(sums.prompt_tokens), f"{count(sums.prompt_tokens)}", everything),
        Tile("Tokens out", compact(sums.output_tokens), f"{count(sums.output_tokens)}", everything),
        Tile("Cache hit rate", percent(sums.cache_hit_rate), "of tokens in, read from a cache", everything),
        Tile("Errors", count(sums.errors), _rate(sums.errors, sums.requests), asked.records(state__exact="error")),
        Tile("Latency", _half(latency), _most(latency), everything),
        Tile("First token", _half(first), _most(first), everything),
    ]


def _about_cost(sums: Sums) -> str:
    estimated = f", of it {dollars(sums.estimated_cost)} estimated" if sums.estimated_cost else ""
    return f"{exact_dollars(sums.cost)}{estimated}"


def _about_requests(sums: Sums) -> str:
    said = ((sums.aborted, "aborted"), (sums.lost, "lost"), (sums.open, "open"), (sums.unpriced, "without a cost"))
    return ", ".join(f"{count(number)} {what}" for number, what in said if number) or "all settled"


def _rate(part: int, whole: int) -> str:
    return f"{percent(part / whole)} of requests" if whole else "of no requests"


def _half(speed: Speed) -> str:
    return duration(speed.p50) or NONE


def _most(speed: Speed) -> str:
    return f"half of them; 95 % within {duration(speed.p95)}" if speed.p95 is not None else "nothing was measured"


# --- over time -------------------------------------------------------------------------------------------------------


def _charts(asked: Asked, days: dict[date, Sums]) -> list[Table]:
    parts = asked.period.parts
    figures = reports.over_time(days, parts)
    return [_spend(asked, parts, figures), _tokens(asked, parts, figures)] if any(s.requests for s in figures) else []


def _spend(asked: Asked, parts: Sequence[tuple[date, date]], figures: Sequence[Sums]) -> Table:
    names = [_name(asked.period, first) for first, _ in parts]
    drawn = [
        Column(name, f"{name}: {asked.money(sums.cost)}", (max(sums.cost, 0),))
        for name, sums in zip(names, figures, strict=True)
    ]
    rows = [
        [
            Cell(name, records_behind(first, last, asked.team)),
            Cell(count(sums.requests)),
            Cell(asked.money(sums.cost), hint=exact_dollars(sums.cost)),
        ]
        for name, (first, last), sums in zip(names, parts, figures, strict=True)
        if sums.requests
    ]
    chart = charts.columns(drawn, "Spend; the numbers are in the table beside it", asked.money)
    return Table("spend", "Spend", (_unit(asked.period), "Requests", "Spend"), rows[::-1], chart=chart)


def _tokens(asked: Asked, parts: Sequence[tuple[date, date]], figures: Sequence[Sums]) -> Table:
    names = [_name(asked.period, first) for first, _ in parts]
    kinds = [_kinds(sums) for sums in figures]
    drawn = [Column(name, f"{name}: {_in_words(numbers)}", numbers) for name, numbers in zip(names, kinds, strict=True)]
    rows = [
        [Cell(name, records_behind(first, last, asked.team)), *(Cell(compact(n), hint=count(n)) for n in numbers)]
        for name, (first, last), numbers in zip(names, parts, kinds, strict=True)
        if any(numbers)
    ]
    chart = charts.columns(drawn, "Tokens; the numbers are in the table beside it", compact)
    headers = (_unit(asked.period), *TOKEN_KINDS)
    return Table("tokens", "Tokens", headers, rows[::-1], chart=chart, legend=TOKEN_KINDS)


def _kinds(sums: Sums) -> tuple[int, ...]:
    return (sums.input_tokens, sums.cache_read_tokens, sums.cache_write_tokens, sums.output_tokens)


def _in_words(numbers: Iterable[int]) -> str:
    return ", ".join(f"{kind.lower()} {count(n)}" for kind, n in zip(TOKEN_KINDS, numbers, strict=True))


def _name(period: Period, first: date) -> str:
    return f"{first:%b %Y}" if period.is_by_month else f"{first.day} {first:%b}"


def _unit(period: Period) -> str:
    return "Month" if period.is_by_month else "Day"


# --- broken down -----------------------------------------------------------------------------------------------------


def _breakdowns(asked: Asked, groups: list[Group], speeds: Speeds) -> list[Table]:
    return [
        _breakdown(asked, groups, "teams", "Teams", "team_name"),
        _breakdown(asked, groups, "members", "Members", "email"),
        _models(asked, groups, speeds),
        _breakdown(asked, groups, "keys", "Personal keys", "key_name", "email"),
        _breakdown(asked, groups, "providers", "Providers", "provider"),
    ]


def _breakdown(asked: Asked, groups: list[Group], id_: str, title: str, *names: str) -> Table:
    """Who or what it was spent on; what has no place in the table is its last row, so that it adds up."""
    found = reports.broken_down(groups, *names)
    whole = max(1, reports.total(found.values()).cost)
    shown, rest = _first_and_rest(found)
    rows = [
        [
            Cell(
                values[0] or "(not told)", asked.records(**dict(zip(names, values, strict=True))), " ".join(values[1:])
            ),
            *_figures(asked, sums, whole),
        ]
        for values, sums in shown
    ]
    if rest:
        rows.append([Cell(f"{len(rest)} others"), *_figures(asked, reports.total(rest), whole)])
    return Table(id_, title, ("", "Requests", "Cache hits", "Spend"), rows)


def _models(asked: Asked, groups: list[Group], speeds: Speeds) -> Table:
    """As they answered, with how fast they were."""
    found = reports.broken_down(groups, "model")
    whole = max(1, reports.total(found.values()).cost)
    shown, rest = _first_and_rest(found)
    rows = [
        [
            Cell(model, asked.records(model=model)),
            *_figures(asked, sums, whole),
            _speed(speeds.of(Measure.LATENCY, model)),
            _speed(speeds.of(Measure.FIRST_TOKEN, model)),
        ]
        for (model,), sums in shown
    ]
    if rest:
        rows.append([Cell(f"{len(rest)} others"), *_figures(asked, reports.total(rest), whole), Cell(""), Cell("")])
    note = (
        "Latency and first token: half of the requests within the first figure, 95 % within the second; within 6.5 %."
    )
    return Table("models", "Models", ("", "Requests", "Cache hits", "Spend", "Latency", "First token"), rows, note)


def _first_and_rest(found: dict[tuple[str, ...], Sums]) -> tuple[list[tuple[tuple[str, ...], Sums]], list[Sums]]:
    items = list(found.items())
    return items[:LONGEST_TABLE], [sums for _, sums in items[LONGEST_TABLE:]]


def _figures(asked: Asked, sums: Sums, whole: int) -> list[Cell]:
    bar = charts.share(max(sums.cost, 0), whole)
    return [
        Cell(count(sums.requests)),
        Cell(percent(sums.cache_hit_rate)),
        Cell(asked.money(sums.cost), hint=exact_dollars(sums.cost), bar=bar),
    ]


def _speed(speed: Speed) -> Cell:
    return Cell(f"{duration(speed.p50)} / {duration(speed.p95)}" if speed.p50 is not None else NONE)


def _budgets(asked: Asked) -> list[Table]:
    """Those nearest to their end, whatever the page's period: what counts of a budget is its own present one."""
    table = budgets_at_a_glance(asked.selection.teams, LONGEST_TABLE)
    return [table] if table.rows else []


def _errors(asked: Asked, groups: list[Group]) -> Table:
    failed = [group for group in groups if group.names["error_type"]]
    found = sorted(reports.broken_down(failed, "error_type").items(), key=lambda item: -item[1].requests)
    requests = reports.total(group.sums for group in groups).requests
    rows = [
        [
            Cell(error_type, asked.records(error_type=error_type)),
            Cell(count(sums.requests)),
            Cell(percent(sums.requests / requests)),
            Cell(asked.money(sums.cost), hint=exact_dollars(sums.cost)),
        ]
        for (error_type,), sums in found[:LONGEST_TABLE]
    ]
    return Table("errors", "Errors", ("", "Requests", "Of all", "Spend"), rows)


def _sessions(asked: Asked, sessions: Iterable[Session]) -> Table:
    rows = [
        [
            Cell(
                session.session_id,
                session_page(session.session_id),
                f"{session.email}, {session.team_name}",
            ),
            Cell(count(session.requests)),
            Cell(compact(session.tokens), hint=count(session.tokens)),
            Cell(asked.money(session.cost), hint=exact_dollars(session.cost)),
        ]
        for session in sessions
    ]
    return Table("sessions", "The dearest sessions", ("", "Requests", "Tokens", "Spend"), rows)
