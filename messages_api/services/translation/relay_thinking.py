"""Owns how much a relayed request may make a model think: within the answer's length, and within what an alias allows.

What already is within them stays the bytes that came.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from messages_api.schemas import ABSENT, Effort
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.raw_json import changed, read
from messages_api.services.translation.tables import EFFORTS

LEAST_BUDGET = 1024
OFF: Final[Mapping[str, str]] = {"type": "disabled"}
#: How the edits of a context that work on thoughts begin (wire.md 1.3).
CLEARING = "clear_thinking"
MOST_BUDGET = 128_000
#: What a model does when no effort is asked for (wire.md 2.2, and Anthropic's documentation of `effort`).
USUAL_EFFORT: Final[Effort] = "high"
#: The part of `max_tokens` that an effort amounts to, as OpenRouter reckons it (wire.md 2.2).
SHARE: Final[Mapping[str, float]] = {"low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}


class Thinking(Struct, gc=False):
    type: str = ""
    budget_tokens: int | None = None


class _OutputConfig(Struct, gc=False):
    effort: str | None = None


class _Context(Struct):
    edits: list[Raw] | None = None


class _Edit(Struct, gc=False):
    type: str = ""


_THINKING = msgspec.json.Decoder(Thinking | None)
_OUTPUT_CONFIG = msgspec.json.Decoder(_OutputConfig | None)
_CONTEXT = msgspec.json.Decoder(_Context | None)
_EDIT = msgspec.json.Decoder(_Edit)


def thinking_of(fields: Mapping[str, Raw]) -> Thinking:
    asked = read("thinking", fields["thinking"], _THINKING) if "thinking" in fields else None
    return asked or Thinking()


def limited_thinking(fields: Mapping[str, Raw], max_tokens: int, *, is_cut: bool, max_effort: str) -> dict[str, Any]:
    """The field `thinking` with a smaller budget, where the one asked for is too large; else nothing."""
    budget = thinking_of(fields).budget_tokens
    if budget is None:
        return {}
    most = budget
    if is_cut:  # else a budget that is too large is the client's own, and the upstream says so
        most = min(most, max_tokens - 1)
    if max_effort:
        most = min(most, max(LEAST_BUDGET, min(MOST_BUDGET, int(max_tokens * SHARE[max_effort]))))
    if most == budget:
        return {}
    if most < LEAST_BUDGET:
        return {"thinking": OFF}
    return {"thinking": changed("thinking", fields["thinking"], budget_tokens=most)}


def without_clearing(fields: Mapping[str, Raw]) -> dict[str, Any]:
    """The field `context_management` without edits of thoughts, which are refused where none are asked for; else
    nothing."""
    raw = fields.get("context_management", ABSENT)
    context = (read("context_management", raw, _CONTEXT) if raw is not ABSENT else None) or _Context()
    edits = context.edits or []
    kept = [edit for edit in edits if not read("context_management.edits", edit, _EDIT).type.startswith(CLEARING)]
    if len(kept) == len(edits):
        return {}
    return {"context_management": changed("context_management", raw, edits=kept)}


def limited_effort(fields: Mapping[str, Raw], facts: ModelFacts, max_effort: str) -> dict[str, Any]:
    """The field `output_config` with less effort, where more is asked for or would be made by itself; else nothing."""
    if not max_effort:
        return {}
    raw = fields.get("output_config", ABSENT)
    config = (read("output_config", raw, _OUTPUT_CONFIG) if raw is not ABSENT else None) or _OutputConfig()
    asked = config.effort or (USUAL_EFFORT if _has_efforts(fields, facts) else None)
    if asked is None or is_within(asked, max_effort):
        return {}
    effort = nearest_effort(max_effort, facts)
    if raw is ABSENT or bytes(raw) == b"null":
        return {"output_config": {"effort": effort}}
    return {"output_config": changed("output_config", raw, effort=effort)}


def is_within(effort: str, max_effort: str) -> bool:
    """Whether `effort` is no more than allowed; a word that is not known here may mean anything."""
    return effort in EFFORTS[: _rank(max_effort) + 1]


def nearest_effort(max_effort: str, facts: ModelFacts) -> str:
    """The greatest effort that is allowed and that the model is known to take."""
    allowed = EFFORTS[: _rank(max_effort) + 1]
    return next((effort for effort in reversed(allowed) if effort in facts.efforts), max_effort)


def _rank(effort: str) -> int:
    return next(rank for rank, known in enumerate(EFFORTS) if known == effort)


def _has_efforts(fields: Mapping[str, Raw], facts: ModelFacts) -> bool:
    """Whether the model takes an effort; one that thinks as it sees fit does."""
    return bool(facts.efforts) or thinking_of(fields).type in {"adaptive", "between_tools"}
