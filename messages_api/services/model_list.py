"""Owns what `/v1/models` lists: the names a caller may ask for, in Anthropic's shape (wire.md 1.8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from messages_api.errors import Forbidden, InvalidRequest, NotFound
from messages_api.services.model_capabilities import capabilities
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import PICKER_PREFIX, Directory, route_for

#: What Anthropic's own list says where the date is not known. The catalogue has none.
CREATED_AT = "1970-01-01T00:00:00Z"
#: Of Claude's models; the SDK's `ModelLine`.
LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
LARGEST_PAGE = 1000
#: The stages of a model's life, and those that are listed unasked; the SDK's `ModelListParams`.
STAGES = ("active", "deprecated", "retired")
LISTED_STAGES = frozenset(STAGES[:2])
#: Whatever can be asked for here. What is gone from the catalogue is not in the list at all.
STAGE = "active"


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of the list: at most `limit` names, after or before one, in these stages of their life."""

    limit: int = 20
    after_id: str = ""
    before_id: str = ""
    stages: frozenset[str] = LISTED_STAGES


def list_models(directory: Directory, team_id: int, allowed: Sequence[str], page: Page) -> dict[str, Any]:
    """One page of the list. Raises InvalidRequest for a cursor that is not in it."""
    ids = _names(directory, team_id, allowed) if STAGE in page.stages else []
    start, end = 0, len(ids)
    if page.after_id:
        start = _position(ids, page.after_id, "after_id") + 1
        end = min(end, start + page.limit)
        has_more = end < len(ids)
    elif page.before_id:
        end = _position(ids, page.before_id, "before_id")
        start = max(0, end - page.limit)
        has_more = start > 0
    else:
        end = min(end, page.limit)
        has_more = end < len(ids)
    shown = ids[start:end]
    return {
        "data": [model_info(name, directory, team_id, allowed) for name in shown],
        "has_more": has_more,
        "first_id": shown[0] if shown else None,
        "last_id": shown[-1] if shown else None,
    }


def model_info(name: str, directory: Directory, team_id: int, allowed: Sequence[str]) -> dict[str, Any]:
    """One entry. Raises NotFound for a name that leads nowhere, and for one that the caller may not ask for."""
    try:
        route = route_for(name, team_id, allowed, directory)
    except (InvalidRequest, Forbidden) as refused:
        raise NotFound(refused.message) from None
    facts = route.target.facts
    limits = [limit for limit in (facts.max_output, route.terms.max_output) if limit is not None]
    return {
        "type": "model",
        "id": name,
        "display_name": _display_name(name, facts),
        "created_at": CREATED_AT,
        "lifecycle": STAGE,
        "deprecated_at": None,
        "retires_at": None,
        "line": _line(facts),
        "max_input_tokens": facts.context_length,
        "max_tokens": min(limits, default=None),
        "capabilities": capabilities(route.target),
    }


def _names(directory: Directory, team_id: int, allowed: Sequence[str]) -> list[str]:
    """Aliases and models; what Claude Code's picker would hide is listed once more under a name it shows."""
    names = directory.listed_for(team_id, allowed)
    hidden = [name for name in names if not name.startswith(("claude", "anthropic"))]
    return names + [PICKER_PREFIX + name for name in hidden]


def _display_name(name: str, facts: ModelFacts) -> str:
    return (facts.name or facts.id) if name.endswith(facts.id) else f"{name} ({facts.name or facts.id})"


def _line(facts: ModelFacts) -> str | None:
    return next((line for line in LINES if line in facts.id), None) if facts.family == "anthropic" else None


def _position(ids: list[str], cursor: str, parameter: str) -> int:
    try:
        return ids.index(cursor)
    except ValueError:
        raise InvalidRequest(f"{parameter}: {cursor[:200]!r} is not in the list") from None
