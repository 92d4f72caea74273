"""Owns the step from LiteLLM's objects, streamed or whole, to the chunks that the translator reads."""

from collections.abc import Iterable, Iterator
from typing import Any

from messages_api.services.translation.chat import (
    ChatChunk,
    ChatUsage,
    Choice,
    CompletionDetails,
    Delta,
    FunctionPiece,
    PromptDetails,
    ReasoningDetail,
    ToolCallPiece,
)
from messages_api.services.translation.reasoning import CLAUDE_FORMAT
from messages_api.services.upstream.provider_request import Chat, Place

#: LiteLLM appends the seal of a Gemini call to its id, where no provider would take it back.
SEAL_IN_ID = "__thought__"
FOREIGN_FORMAT = "unknown"
#: Ends that LiteLLM would call "stop" or "length", and what they are: kept, they reach the translator under their
#: own name (Anthropic's; Google's for a call that its model could not write; Cohere's and OpenAI's for a failure).
NATIVE_ENDS = {
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "model_context_window_exceeded": "length",
    "error": "error",
    "network_error": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}


class Fold:
    """Reads LiteLLM's objects, streamed or whole."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._format = CLAUDE_FORMAT if place.is_claude else FOREIGN_FORMAT

    def chunk(self, piece: Any) -> ChatChunk:
        choices = [self._choice(choice) for choice in piece.choices or ()]
        usage = getattr(piece, "usage", None)
        return ChatChunk(provider=self._place.name, choices=choices, usage=_usage(usage) if usage else None)

    def _choice(self, choice: Any) -> Choice:
        said = getattr(choice, "delta", None) or getattr(choice, "message", None)
        native = _native_end(choice)
        finish_reason = NATIVE_ENDS.get(native or "") or choice.finish_reason or None
        return Choice(
            delta=self._delta(said) if said else None, finish_reason=finish_reason, native_finish_reason=native
        )

    def _delta(self, said: Any) -> Delta:
        calls = getattr(said, "tool_calls", None) or ()
        details = [self._detail(block) for block in getattr(said, "thinking_blocks", None) or ()]
        details += self._seals(calls)
        return Delta(
            content=said.content,
            refusal=getattr(said, "refusal", None) or _kept_apart(said).get("refusal"),
            reasoning_content=getattr(said, "reasoning_content", None),
            reasoning_details=details or None,
            tool_calls=[_tool_call(call) for call in calls],
        )

    def _detail(self, block: Chat) -> ReasoningDetail:
        detail: ReasoningDetail = {"format": self._format}
        if "data" in block:
            detail |= {"type": "reasoning.encrypted", "data": block["data"]}
        else:
            detail |= {"type": "reasoning.text", "text": block.get("thinking") or ""}
        if block.get("signature"):
            detail["signature"] = block["signature"]
        return detail

    def _seals(self, calls: Iterable[Any]) -> Iterator[ReasoningDetail]:
        for call in calls:
            call_id, _, seal = (call.id or "").partition(SEAL_IN_ID)
            if seal:
                yield {"type": "reasoning.encrypted", "data": seal, "format": self._format, "id": call_id}


def _native_end(choice: Any) -> str | None:
    """The provider's own word for the end, where LiteLLM kept it."""
    if choice.finish_reason in NATIVE_ENDS:
        return str(choice.finish_reason)
    return _kept_apart(choice).get("native_finish_reason")


def _kept_apart(part: Any) -> Chat:
    """What LiteLLM has no field of its own for."""
    return getattr(part, "provider_specific_fields", None) or {}


def _tool_call(call: Any) -> ToolCallPiece:
    call_id = call.id.partition(SEAL_IN_ID)[0] if call.id else None
    function = FunctionPiece(call.function.name, call.function.arguments)
    return ToolCallPiece(getattr(call, "index", None), call_id, function)


def _usage(usage: Any) -> ChatUsage:
    """The cost is left out: LiteLLM's is an estimate from its own table."""
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    return ChatUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        prompt_tokens_details=PromptDetails(
            cached_tokens=getattr(prompt, "cached_tokens", None),
            cache_write_tokens=getattr(prompt, "cache_creation_tokens", None),
        ),
        completion_tokens_details=CompletionDetails(getattr(completion, "reasoning_tokens", None)),
    )
