"""The page on which people see who spent what. Nothing on it can be changed: records are the ledger's to write."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    RangeDateFilter,
    TextFilter,
)
from unfold.decorators import display
from unfold.utils import parse_date_str

from accounts.admin_base import ReadOnlyAdmin, RelatedFilter, RelatedSearchFilter, in_one_line
from accounts.scope import by_team
from usage.display import count, dollars, duration, exact_dollars
from usage.links import EMPTY, FILTERS, export_of, session_page
from usage.models import UsageRecord
from usage.services.export import as_csv, beside
from usage.session_page import session_tables

State = UsageRecord.State
STATE_COLOURS: dict[str, str] = {
    State.OPEN: "info",
    State.COMPLETED: "success",
    State.ERROR: "danger",
    State.ABORTED: "warning",
    State.LOST: "warning",
}
SUMS = {
    "input": Sum("input_tokens", default=0),
    "output": Sum("output_tokens", default=0),
    "cache_read": Sum("cache_read_tokens", default=0),
    "cost": Sum("cost", default=0),
}
BREAKDOWNS = {"By member": ("email", "team_name"), "By model": ("model",)}
BREAKDOWN_ROWS = 10
MOST_ADDED_UP = 200_000
LINE_BREAK = mark_safe("<br>")  # a constant
OK = 200


class Figure(NamedTuple):
    """One total above the list."""

    title: str
    value: str


class ModelFilter(TextFilter):
    """Part of a model's name, as asked for or as it answered: typing one is quicker than a list of hundreds."""

    title = "model"
    parameter_name = "model_contains"

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        part = self.value() or ""
        return queryset.filter(Q(requested_model__icontains=part) | Q(model__icontains=part)) if part else queryset


class ExactFilter(TextFilter):
    """A column that is what was typed, or empty: figures of reports lead to the list with these."""

    column: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        wanted = self.value()
        return queryset.filter(**{self.column: "" if wanted == EMPTY else wanted}) if wanted else queryset


def exactly(column: str, title: str) -> type[ExactFilter]:
    fields = {"title": title, "parameter_name": FILTERS[column], "column": column}
    return type(f"{column.title()}Filter", (ExactFilter,), fields)


class MemberFilter(RelatedSearchFilter):
    """A member, by the name that this page has for a user."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "member"


class DateRangeFilter(RangeDateFilter):
    """From a day to a day, both included."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        first, last = self._midnight("started_at_from"), self._midnight("started_at_to")
        if first:
            queryset = queryset.filter(started_at__gte=first)
        return queryset.filter(started_at__lt=last + timedelta(days=1)) if last else queryset

    def _midnight(self, parameter: str) -> datetime | None:
        """The beginning of the day that was given; None for none, or for something that is not a day."""
        day = parse_date_str(str(self.used_parameters.get(parameter, "")))
        return timezone.make_aware(datetime.combine(day, time.min)) if day else None


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    """Every admitted request, and what the requests on view cost together."""

    scope = by_team("team")
    intro = "Every admitted request; times are UTC. The totals are those of what filters and search let through."
    empty_hint = "Nothing yet: connect Claude Code with a personal key, and ask it something."
    list_before_template = "admin/usage/totals.html"  # type: ignore[assignment]  # declared as None
    date_hierarchy = "started_at"
    list_display = (
        "moment",
        "member",
        "mapping",
        "outcome",
        "tokens_in",
        "tokens_out",
        "shown_cost",
        "speed",
    )
    list_display_links = ("moment",)
    list_filter = (
        ("started_at", DateRangeFilter),
        ("team", RelatedFilter),
        ("user", MemberFilter),
        ("state", ChoicesDropdownFilter),
        ModelFilter,
        exactly("model", "model that answered"),
        exactly("requested_model", "model asked for"),
        exactly("provider", "provider"),
        exactly("key_name", "personal key's name"),
        exactly("email", "member's email"),
        exactly("team_name", "team's name"),
        exactly("session_id", "session"),
        exactly("agent_id", "agent"),
        exactly("error_type", "type of error"),
        ("cost_source", ChoicesDropdownFilter),
        ("corrected_at", EmptyFieldListFilter),
        "streamed",
    )
    search_fields = (
        "request_id__startswith",
        "session_id__startswith",
        "email__icontains",
        "generation_id__startswith",
    )
    search_help_text = "The beginning of a request id, session or generation id, or part of a member's email."
    fieldsets = (
        ("Request", {"fields": ("request_id", "started_at", "state", "status", "streamed")}),
        ("Who", {"fields": ("email", "team_name", "key_name")}),
        ("Who that is now", {"fields": ("user", "team", "api_key")}),
        ("Where from", {"fields": ("shown_session", "agent_id", "parent_agent_id")}),
        ("Model", {"fields": ("requested_model", "model", "provider", "generation_id", "stop_reason")}),
        ("Attempts", {"fields": ("shown_attempts",)}),
        (
            "Tokens",
            {
                "fields": (
                    "shown_input",
                    "shown_output",
                    "shown_cache_read",
                    "shown_cache_write",
                    "reasoning",
                    "estimated_tokens",
                )
            },
        ),
        ("Cost", {"fields": ("exact_cost", "cost_source", "web_searches")}),
        ("Afterwards", {"fields": ("corrected_at", "shown_before", "asked_at", "times_asked")}),
        ("Time", {"fields": ("latency", "first_token", "settled_at")}),
        ("Error", {"fields": ("error_type", "error_message")}),
        ("Server", {"fields": ("server", "lease_expires_at")}),
    )

    # --- the list ---

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None) or {}
        if "cl" in context:  # else a redirect, for a filter that makes no sense
            context["export_url"] = export_of(request.GET)
            context.update(_summary(context["cl"]))
        return response

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(require_safe(self.export))
        session = self.admin_site.admin_view(require_safe(self.session))
        return [
            path("export/", export, name="usage_usagerecord_export"),
            path("session/", session, name="usage_usagerecord_session"),
            *super().get_urls(),
        ]

    def session(self, request: HttpRequest) -> HttpResponseBase:
        """What one session cost, as the tree of its agents."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        tables = session_tables(request)
        context = self.admin_site.each_context(request) | {"title": "A session and its agents", "tables": tables}
        return TemplateResponse(request, "admin/usage/session.html", context)

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The records that the list would show, all pages of it, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            records = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseBadRequest("These filters make no sense.")
        pieces = as_csv(records)
        # Without ASGI, which the server speaks, only a plain iterator is streamed.
        content = beside(pieces) if isinstance(request, ASGIRequest) else pieces
        name = f"usage-{timezone.now():%Y-%m-%d}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)

    @display(description="time", ordering="started_at", header=True)
    def moment(self, record: UsageRecord) -> tuple[str, str]:
        return in_one_line(f"{record.started_at:%d %b %Y}"), f"{record.started_at:%H:%M:%S}"

    @display(description="member", ordering="email", header=True)
    def member(self, record: UsageRecord) -> tuple[str, str]:
        return record.email, record.team_name

    @display(description="mapping", ordering="model", header=True)
    def mapping(self, record: UsageRecord) -> tuple[str, str]:
        return in_one_line(record.requested_model), in_one_line(f"→ {record.model}")

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def outcome(self, record: UsageRecord) -> tuple[str, str]:
        told = record.status if record.status not in (None, OK) else ""
        return record.state, f"{record.state} {told}".rstrip()

    @display(description="in", ordering="input_tokens", header=True)
    def tokens_in(self, record: UsageRecord) -> tuple[str, str]:
        cached = record.cache_read_tokens
        return count(record.input_tokens), in_one_line(f"+ {count(cached)} cached") if cached else ""

    @display(description="out", ordering="output_tokens")
    def tokens_out(self, record: UsageRecord) -> str:
        return count(record.output_tokens)

    @display(description="cost", ordering="cost")
    def shown_cost(self, record: UsageRecord) -> str:
        return dollars(record.cost) if record.cost_source else ""

    @display(description="latency", ordering="latency_ms", header=True)
    def speed(self, record: UsageRecord) -> tuple[str, str]:
        first = duration(record.first_byte_ms)
        return in_one_line(duration(record.latency_ms)), in_one_line(f"first {first}" if first else "")

    # --- one record ---

    @display(description="attempts")
    def shown_attempts(self, record: UsageRecord) -> str:
        """What was asked, in order; empty where the first attempt answered."""
        rows = (
            (
                attempt["target"],
                str(attempt["status"]),
                "answered" if attempt["status"] == OK else attempt["error"],
                duration(attempt["milliseconds"]),
                exact_dollars(attempt["cost"]),
            )
            for attempt in record.attempts
        )
        return format_html_join(LINE_BREAK, "{}: {} {} ({}, {})", rows)

    @display(description="session")
    def shown_session(self, record: UsageRecord) -> str:
        """Its name, which leads to what all of it cost."""
        if not record.session_id:
            return ""
        return format_html('<a class="link" href="{}">{}</a>', session_page(record.session_id), record.session_id)

    @display(description="latency")
    def latency(self, record: UsageRecord) -> str:
        return duration(record.latency_ms)

    @display(description="first token")
    def first_token(self, record: UsageRecord) -> str:
        return duration(record.first_byte_ms)

    @display(description="input")
    def shown_input(self, record: UsageRecord) -> str:
        return f"{count(record.input_tokens)} without what was read from or written to a cache"

    @display(description="output")
    def shown_output(self, record: UsageRecord) -> str:
        return count(record.output_tokens)

    @display(description="cache read")
    def shown_cache_read(self, record: UsageRecord) -> str:
        return count(record.cache_read_tokens)

    @display(description="cache write")
    def shown_cache_write(self, record: UsageRecord) -> str:
        return count(record.cache_write_tokens)

    @display(description="reasoning")
    def reasoning(self, record: UsageRecord) -> str:
        return f"{count(record.reasoning_tokens)}, part of the output"

    @display(description="before")
    def shown_before(self, record: UsageRecord) -> str:
        """What was guessed, and why; empty where nothing was corrected."""
        if record.before is None:
            return ""
        guess = record.before
        tokens = f"{count(guess['input_tokens'])} in, {count(guess['output_tokens'])} out"
        return f"{exact_dollars(guess['cost'])} ({tokens}): {guess['why']}"

    @display(description="cost (USD)")
    def exact_cost(self, record: UsageRecord) -> str:
        return exact_dollars(record.cost)


def _summary(shown: ChangeList) -> dict[str, Any]:
    """What the records on view come to together, and who and what the most of it was for.

    Adding up millions would make everybody wait who opens the list; the landing page does that from rollups.
    """
    if shown.result_count > MOST_ADDED_UP:
        return {"figures": [Figure("Requests", count(shown.result_count))], "breakdowns": {}, "too_many": MOST_ADDED_UP}
    records: QuerySet[UsageRecord] = shown.queryset.order_by()
    totals = records.aggregate(requests=Count("pk"), **SUMS)
    breakdowns = {title: _breakdown(records, fields) for title, fields in BREAKDOWNS.items()}
    return {"figures": _figures(totals), "breakdowns": breakdowns if totals["requests"] else {}}


def _figures(totals: Mapping[str, int]) -> list[Figure]:
    return [
        Figure("Requests", count(totals["requests"])),
        Figure("Tokens in", count(totals["input"])),
        Figure("Tokens out", count(totals["output"])),
        Figure("Cached tokens", count(totals["cache_read"])),
        Figure("Cost (USD)", exact_dollars(totals["cost"])),
    ]


def _breakdown(records: QuerySet[UsageRecord], fields: tuple[str, ...]) -> dict[str, Any]:
    """A table for Unfold: who or what the most was spent on."""
    groups = records.values(*fields).annotate(requests=Count("pk"), **SUMS).order_by("-cost", *fields)
    rows = [
        [" · ".join(group[field] for field in fields), count(group["requests"]), dollars(group["cost"])]
        for group in groups[:BREAKDOWN_ROWS]
    ]
    return {"headers": ["", "Requests", "Cost"], "rows": rows}
