"""Owns what a model can do, as Anthropic's `ModelInfo.capabilities` says it (wire.md 1.8).

It is about requests to this server: what the translation says in another way counts as supported, what it leaves out
or refuses does not, and what is relayed is up to the target.
"""

from collections.abc import Container
from typing import Any

from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import Target

Capability = dict[str, Any]

EFFORTS = ("low", "medium", "high", "xhigh", "max")
#: Those that OpenRouter turns into a budget for a model that names none of its own (wire.md 2.2).
USUAL_EFFORTS = ("low", "medium", "high")
THINKING_TYPES = ("adaptive", "between_tools", "disabled", "enabled")
CONTEXT_EDITS = ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")


def capabilities(target: Target) -> dict[str, Capability]:
    """What `target` can do. Every key is present, as the SDK's type promises."""
    facts, is_openrouter = target.facts, target.provider is None
    is_relayed = target.transport == "native"
    takes_schema = facts.supports("structured_outputs") or facts.supports("response_format")
    return {
        "batch": _one(supported=False),
        "citations": _one(supported=is_relayed),
        "code_execution": _one(supported=False),
        "context_management": _some(CONTEXT_EDITS, CONTEXT_EDITS if is_relayed else ()),
        "effort": _some(EFFORTS, _efforts(facts)),
        "image_input": _one(supported="image" in facts.modalities),
        "pdf_input": _one(supported=is_openrouter or "file" in facts.modalities),  # OpenRouter reads them for any model
        "server_tools": _some(("web_search", "code_execution"), ("web_search",) if is_openrouter else ()),
        "structured_outputs": _one(supported=takes_schema),
        "thinking": _thinking(facts, is_relayed=is_relayed),
    }


def _one(*, supported: bool) -> Capability:
    return {"supported": supported}


def _some(names: tuple[str, ...], supported: Container[str]) -> Capability:
    """A capability of several parts, which is supported as soon as one of them is."""
    parts = {name: _one(supported=name in supported) for name in names}
    return {**_one(supported=any(name in supported for name in names)), **parts}


def _efforts(facts: ModelFacts) -> tuple[str, ...]:
    return (facts.efforts or USUAL_EFFORTS) if facts.supports("reasoning") else ()


def _thinking(facts: ModelFacts, *, is_relayed: bool) -> Capability:
    """OpenRouter's own Messages endpoint knows no `between_tools` (wire.md 2.6)."""
    reasons = facts.supports("reasoning")
    types = {"adaptive", "enabled"} if reasons else set()
    if reasons and not is_relayed:
        types.add("between_tools")
    if not facts.reasoning_is_mandatory:
        types.add("disabled")
    return {**_one(supported=reasons), "types": {name: _one(supported=name in types) for name in THINKING_TYPES}}
