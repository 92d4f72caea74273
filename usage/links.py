"""Owns the addresses of the records behind a figure: the list of usage, filtered as its page allows."""

from datetime import date
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

#: How the list's filters are asked for a value that is empty.
EMPTY = "-"
#: The columns of a record by which a figure can be broken down, and the filter of the list for each.
FILTERS = {
    "team_name": "team_is",
    "email": "member_is",
    "key_name": "key_is",
    "requested_model": "asked_is",
    "model": "model_is",
    "provider": "provider_is",
    "error_type": "error_is",
    "session_id": "session_is",
}


def records_behind(first: date, last: date, team: int | None = None, **wanted: str) -> str:
    """The records of these days, of one team or all, with the columns that are `wanted`; others as they stand."""
    query: dict[str, object] = {"started_at_from": first, "started_at_to": last}
    if team is not None:
        query["team__id__exact"] = team
    named = {FILTERS.get(name, name): value or EMPTY for name, value in wanted.items()}
    return f"{reverse('admin:usage_usagerecord_changelist')}?{urlencode(query | named)}"


def export_of(query: QueryDict) -> str:
    """The records of the list as a file, with the filters of the list's address."""
    return f"{reverse('admin:usage_usagerecord_export')}?{query.urlencode()}"
