"""Owns the end of an answer: what the upstream says about it, and the stop_reason that the client is told.

What was said comes first: an answer with a tool call ends in `tool_use` whatever the upstream calls its end, and one
without never does. An end that is no end (a cut stream, an error, a call that could not be written) raises AnswerError.
"""

from collections.abc import Sequence
from typing import Final

from messages_api.services.translation.chat import AnswerError, Choice
from messages_api.services.translation.events import RefusalDetails, Stop, StopReason
from messages_api.services.translation.tables import STOP_REASON

#: The provider's own words, where they say more than `finish_reason` (wire.md 1.6: Anthropic's own).
NATIVE_STOP_REASON: Final[dict[str, StopReason]] = {
    "model_context_window_exceeded": "model_context_window_exceeded",
    "pause_turn": "pause_turn",
    "refusal": "refusal",
    "stop_sequence": "stop_sequence",
}
#: Gemini's words for a call that it could not write; some hosts call that a "stop" (wire.md 2.4).
NATIVE_FAILURES: Final = frozenset({"malformed_function_call", "malformed_response", "unexpected_tool_call"})
#: Ends that may come in the middle of a call's arguments.
CUTTING: Final[frozenset[StopReason]] = frozenset({"max_tokens", "model_context_window_exceeded", "refusal"})
#: Ends that the model chose: then there is something to read, or the answer is empty.
CHOSEN: Final[frozenset[StopReason]] = frozenset({"end_turn", "tool_use", "pause_turn"})


class Ending:
    """What the upstream has told about the end, in whatever chunk it came."""

    def __init__(self, stop_sequences: Sequence[str]) -> None:
        self._sent = stop_sequences
        self._finish_reason = ""
        self._native = ""
        self._refusal = ""

    def note(self, choice: Choice) -> None:
        if choice.finish_reason:  # some upstreams send an empty one with every chunk
            self._finish_reason = choice.finish_reason
            self._native = choice.native_finish_reason or ""
        for said in (choice.delta, choice.message):
            if said is not None and said.refusal:
                self._refusal += said.refusal

    @property
    def cuts(self) -> bool:
        """Whether a call's arguments may be incomplete."""
        return STOP_REASON.get(self._finish_reason) in CUTTING

    def check(self) -> None:
        """Raises AnswerError for an answer that did not come to its end."""
        if not self._finish_reason:
            raise AnswerError("The upstream ended its answer before it was complete.")
        if self._finish_reason not in STOP_REASON or self._native.lower() in NATIVE_FAILURES:
            raise AnswerError(f"The model stopped with an error: {self._native or self._finish_reason}.")

    def stop(self, *, has_calls: bool, is_empty: bool) -> Stop:
        """How the client is told that the answer ended. Raises AnswerError for one without content."""
        reason = self._reason()
        if is_empty and reason in CHOSEN and not self._refusal:
            raise AnswerError("The model gave an empty answer.")
        if reason == "refusal":
            return Stop(reason, stop_details=RefusalDetails(self._explanation()))
        if reason in {"end_turn", "tool_use", "pause_turn", "stop_sequence"} and has_calls:
            return Stop("tool_use")
        if reason == "stop_sequence":
            return Stop(reason, self._sent[0] if len(self._sent) == 1 else None)
        return Stop("end_turn" if reason == "tool_use" else reason)

    def _reason(self) -> StopReason:
        reason, native = STOP_REASON[self._finish_reason], self._native.lower()
        if reason == "max_tokens":
            return "model_context_window_exceeded" if "context" in native else reason
        if self._refusal and reason == "end_turn":
            return "refusal"
        told = NATIVE_STOP_REASON.get(native, reason)
        if told == "stop_sequence" and not self._sent:  # the client asked for none, so it is told of none
            return reason
        return told if reason in {"end_turn", "tool_use"} else reason

    def _explanation(self) -> str | None:
        """In the model's own words, else by the name of what the provider's filter found."""
        if self._refusal:
            return self._refusal
        named = self._native if self._native.lower() not in {"", "content_filter", "refusal"} else ""
        return f"The provider's content filter stopped the answer: {named}." if named else None
