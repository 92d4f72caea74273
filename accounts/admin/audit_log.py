"""The page on which people read what was changed by whom. Nothing on it can be changed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter
from unfold.decorators import display

from accounts import audit
from accounts.admin_base import ReadOnlyAdmin, RelatedFilter, in_one_line
from accounts.audit import AuditEntry
from accounts.scope import by_team

EVENT_COLOURS = {
    audit.CREATED: "success",
    audit.CHANGED: "info",
    audit.DELETED: "danger",
    audit.REVOKED: "danger",
    audit.ROTATED: "warning",
    audit.SHOWN: "warning",
}

admin.site.unregister(AuditEntry)  # the library's own page shows everybody everything


class EventFilter(DropdownFilter):
    """What happened."""

    title = "event"
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in EVENT_COLOURS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(event=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who changed what, and when; no secret is ever in it."""

    scope = by_team("team")
    intro = "Every change of what this site keeps, and what became of keys; times are UTC. Nothing here can be changed."
    empty_hint = "Nothing has been changed yet."
    date_hierarchy = "timestamp"
    list_display = ("moment", "who", "shown_event", "what", "team_name", "summary")
    list_display_links = ("moment",)
    list_filter = (("timestamp", RangeDateFilter), EventFilter, ("team", RelatedFilter))
    list_select_related = ("content_type",)
    search_fields = ("object_repr", "actor_email", "team_name")
    search_help_text = "Part of what was changed, or of the email of who did it."
    ordering = ("-timestamp", "-id")
    fieldsets = (
        (None, {"fields": ("moment", "shown_event", "kind", "object_repr", "team_name")}),
        ("By", {"fields": ("who", "remote_addr")}),
        ("Changes", {"fields": ("changes_in_full",)}),
    )

    @display(description="time", ordering="timestamp")
    def moment(self, entry: AuditEntry) -> str:
        return in_one_line(f"{entry.timestamp:%d %b %Y %H:%M:%S}")

    @display(description="who", ordering="actor_email")
    def who(self, entry: AuditEntry) -> str:
        return entry.actor_email or "command line"

    @display(description="event", ordering="event", label=EVENT_COLOURS)
    def shown_event(self, entry: AuditEntry) -> str:
        return entry.event

    @display(description="what", ordering="object_repr", header=True)
    def what(self, entry: AuditEntry) -> tuple[str, str]:
        return entry.object_repr, entry.content_type.name

    @display(description="changes")
    def summary(self, entry: AuditEntry) -> str:
        return ", ".join(entry.changes or ()) if entry.event not in {audit.CREATED, audit.DELETED} else ""

    @display(description="kind")
    def kind(self, entry: AuditEntry) -> str:
        return entry.content_type.name

    @display(description="changes")
    def changes_in_full(self, entry: AuditEntry) -> str:
        return format_html_join("", "<p>{}</p>", ((line,) for line in entry.lines))
