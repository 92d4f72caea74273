"""Owns the way there for a target that speaks Messages: the request as it came, but for what must not pass.

What is known of the Messages API goes as the bytes that came; model and route are ours, what an alias imposes is
applied, and the rest of this module says what else is changed at the top level (wire.md 1.2, 1.3, 2.6).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Raw

from messages_api.errors import InvalidRequest
from messages_api.fields import log_dropped
from messages_api.schemas import ABSENT, Envelope, Metadata
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import Terms
from messages_api.services.translation.raw_json import changed, encoded, items, read
from messages_api.services.translation.reasoning import CLAUDE_FAMILY
from messages_api.services.translation.relay_messages import RelayedMessages, check_tools
from messages_api.services.translation.relay_reasoning import Reader, at_openrouter, at_provider
from messages_api.services.translation.relay_thinking import (
    OFF,
    limited_effort,
    limited_thinking,
    thinking_of,
    without_clearing,
)
from messages_api.services.translation.tables import USER_LENGTH
from messages_api.services.translation.tool_loop import NO_THINKING

Fields = dict[str, Any]

RELAYED: Final = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)

#: Known, and of no use to the target: parameters that the SDK sends as headers, ids of answers that only we gave, a
#: credit for fallbacks of the client's own choice.
LEFT_OUT: Final = frozenset(
    {"betas", "diagnostics", "fallback_credit_token", "thread", "user_profile_id", "workspace_id"}
)

PDF_PARSER = "file-parser"

_NUMBER = msgspec.json.Decoder(int)
_METADATA = msgspec.json.Decoder(Metadata | None)


@dataclass(frozen=True, slots=True)
class RelayedRequest:
    """The body that goes upstream, and what an administrator may want to hear."""

    body: bytes = field(repr=False)
    warnings: list[str]


def request_to_openrouter(
    envelope: Envelope, *, model: str, facts: ModelFacts, terms: Terms, session_id: str = ""
) -> RelayedRequest:
    """The request as OpenRouter's Messages endpoint takes it. Raises InvalidRequest."""
    fields, warnings = _relayed(envelope, model, facts, terms, at_openrouter(facts.family))
    if thinking_of(envelope.fields).type == "between_tools":  # not known there
        fields["thinking"] = changed("thinking", envelope.fields["thinking"], type="adaptive")
    if terms.provider:
        fields["provider"] = terms.provider
    if terms.pdf_engine:
        fields["plugins"] = [{"id": PDF_PARSER, "pdf": {"engine": terms.pdf_engine}}]
    if session_id:
        fields["session_id"] = session_id
    return RelayedRequest(encoded(fields), warnings)


def request_to_provider(envelope: Envelope, *, model: str, facts: ModelFacts, terms: Terms) -> RelayedRequest:
    """The request as anything else takes it that speaks Messages. Raises InvalidRequest."""
    fields, warnings = _relayed(envelope, model, facts, terms, at_provider(facts.family))
    return RelayedRequest(encoded(fields), warnings)


def _relayed(
    envelope: Envelope, model: str, facts: ModelFacts, terms: Terms, reader: Reader
) -> tuple[Fields, list[str]]:
    came = envelope.fields
    for name in came.keys() & LEFT_OUT:
        log_dropped(name)
    asked = _asked(came)
    most = min(limit for limit in (asked, facts.max_output, terms.max_output) if limit is not None)
    warnings = [] if most == asked else [f"max_tokens {asked} is more than {facts.id} may give: {most}"]
    check_tools(came.get("tools", ABSENT))
    messages = RelayedMessages(came["messages"], reader)
    fields = {
        **{name: raw for name, raw in came.items() if name in RELAYED},
        "model": model,
        "max_tokens": most,
        **_system(came.get("system", ABSENT), terms.system_addendum),
        **limited_thinking(came, most, is_cut=most < asked, max_effort=terms.max_effort),
        **limited_effort(came, facts, terms.max_effort),
        **_metadata(came),
    }
    if facts.family == CLAUDE_FAMILY and thinking_of(came).type == "enabled":
        if messages.forbid_thinking():
            del fields["thinking"]
            warnings.append(f"{NO_THINKING}, {facts.id}")
        if fields.get("thinking", OFF) is OFF:
            messages.leave_out_thoughts_of_the_loop()
            fields |= without_clearing(came)
    return {**fields, "messages": messages.raw(facts, terms.max_effort)}, warnings


def _asked(came: dict[str, Raw]) -> int:
    """The limit of the answer; 0 only fills the cache, and stays 0 (wire.md 1.2)."""
    if "max_tokens" not in came:
        raise InvalidRequest("max_tokens: Field required")
    return read("max_tokens", came["max_tokens"], _NUMBER)


def _system(raw: Raw, addendum: str) -> Fields:
    """The alias's words as the last block, behind everything that a client may have marked for its cache."""
    if not addendum:
        return {}
    came = bytes(raw)
    block = {"type": "text", "text": addendum}
    if came in {b"", b"null", b'""', b"[]"}:
        return {"system": addendum}
    if came.startswith(b"["):
        return {"system": [*items("system", raw), block]}
    return {"system": [{"type": "text", "text": raw}, block]}


def _metadata(came: dict[str, Raw]) -> Fields:
    """Who asks, unreadably: Claude Code's user_id tells the device and the account."""
    if "metadata" not in came:
        return {}
    metadata = read("metadata", came["metadata"], _METADATA)
    if metadata is None or not metadata.user_id:
        return {"metadata": {}}
    return {"metadata": {"user_id": hashlib.sha256(metadata.user_id.encode()).hexdigest()[:USER_LENGTH]}}
