"""Owns the addresses of the records behind a figure: the list of usage, filtered as its page allows."""

from collections.abc import Mapping
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
    "agent_id": "agent_is",
}


def records_behind(first: date, last: date, team: int | None = None, **wanted: str) -> str:
    """The records of these days, of one team or all, with the columns that are `wanted`; others as they stand."""
    query: dict[str, object] = {"started_at_from": first, "started_at_to": last}
    if team is not None:
        query["team__id__exact"] = team
    return _listed(query | _filtered(wanted))


def records_of_session(session_id: str, agent_id: str, *, member: str, team: str) -> str:
    """What one agent asked in a session of one member's, whenever that was."""
    return _listed(_filtered({"session_id": session_id, "agent_id": agent_id, "email": member, "team_name": team}))


def session_page(session_id: str) -> str:
    """The page that shows a session as a tree."""
    return f"{reverse('admin:usage_usagerecord_session')}?{urlencode({'session': session_id})}"


def _filtered(wanted: Mapping[str, str]) -> dict[str, object]:
    return {FILTERS.get(name, name): value or EMPTY for name, value in wanted.items()}


def _listed(query: Mapping[str, object]) -> str:
    return f"{reverse('admin:usage_usagerecord_changelist')}?{urlencode(query)}"


def export_of(query: QueryDict) -> str:
    """The records of the list as a file, with the filters of the list's address."""
    return f"{reverse('admin:usage_usagerecord_export')}?{query.urlencode()}"
