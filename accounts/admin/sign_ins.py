"""The page on which failed sign-ins are seen, and somebody who is locked out is let in again."""

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from accounts.admin_base import BridgeAdmin
from accounts.scope import SUPERUSERS_ONLY


@admin.register(AccessAttempt)
class AccessAttemptAdmin(BridgeAdmin):
    """Sign-ins that failed. Deleting a row lets its user try again from that address."""

    scope = SUPERUSERS_ONLY
    is_audited = False
    intro = "Passwords that were refused. After too many a user waits, or a row is deleted here to let them in at once."
    empty_hint = "None has been refused lately."
    list_display = ("username", "ip_address", "failures_since_start", "state", "attempt_time", "user_agent")
    search_fields = ("username", "ip_address")
    ordering = ("-attempt_time",)
    fields = ("username", "ip_address", "failures_since_start", "attempt_time", "user_agent", "path_info")

    @display(description="", label="danger")
    def state(self, attempt: AccessAttempt) -> str:
        return "locked out" if attempt.failures_since_start >= settings.AXES_FAILURE_LIMIT else ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
