"""Owns whether Claude can be asked to think in the middle of a tool loop, in which another model made calls.

With a budget for thinking, Claude refuses a loop that does not begin with its own thought: "When `thinking` is enabled,
a final `assistant` message must start with a thinking block". It does not begin a thought in a loop by itself, either,
unless its thinking is interleaved: so answers of its own behind the first one need none. And where it is not to think,
it refuses the thoughts of the loop. Models that think as they see fit demand nothing of the kind.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from messages_api import schemas

#: How the ids of Claude's calls begin, by who hosts it.
CLAUDES_CALL_IDS = ("toolu_01", "toolu_bdrk_", "toolu_vrtx_")
NO_THINKING = "thinking is left out: the calls that were just answered have no thought of the model's own before them"

T = TypeVar("T")
Answer = tuple[schemas.AssistantMessage, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """An answer of an open tool loop, as it is given back: whether a thought begins it, and whether it is Claude's."""

    is_thought_out: bool
    is_claudes: bool


def forbids_thinking(loop: Sequence[Step]) -> bool:
    """Whether Claude, asked to think with a budget, would refuse to go on after `loop`."""
    return any(not step.is_thought_out and (place == 0 or not step.is_claudes) for place, step in enumerate(loop))


def open_loop(messages: Sequence[T], has_results: Callable[[T], bool | None]) -> list[T]:
    """The answers since the user last asked something, if their calls were just answered.

    `has_results` tells whether a message holds results of tools; None stands for an answer.
    """
    answers: list[T] = []
    for message in reversed(messages):
        told = has_results(message)
        if told is None and message is messages[-1]:
            return []
        if told is None:
            answers.append(message)
        elif not told:
            break
    return answers[::-1]


# --- the loop of a conversation that is translated -------------------------------------------------------------------


def translated_loop(messages: Iterable[schemas.Message], chat: Iterable[dict[str, Any]]) -> list[Answer]:
    """The answers of the open loop, each as it came and as it goes out; `chat` has one message for each answer."""
    answers = (message for message in chat if message["role"] == "assistant")
    said = [
        (message, next(answers) if isinstance(message, schemas.AssistantMessage) else {})
        for message in messages
        if not isinstance(message, schemas.SystemMessage)
    ]
    return [
        (came, goes_out)
        for came, goes_out in open_loop(said, lambda pair: _has_results(pair[0]))
        if isinstance(came, schemas.AssistantMessage)
    ]


def translated_step(answer: Answer) -> Step:
    came, goes_out = answer
    blocks = came.content if isinstance(came.content, list) else []
    has_thoughts = any(isinstance(block, schemas.ThinkingBlock | schemas.RedactedThinkingBlock) for block in blocks)
    calls = [block.id for block in blocks if isinstance(block, schemas.ToolUseBlock)]
    return Step(
        is_thought_out="reasoning_details" in goes_out,
        is_claudes=not has_thoughts and all(call_id.startswith(CLAUDES_CALL_IDS) for call_id in calls),
    )


def _has_results(message: schemas.Message) -> bool | None:
    if isinstance(message, schemas.AssistantMessage):
        return None
    blocks = message.content if isinstance(message.content, list) else []
    return any(isinstance(block, schemas.ToolResultBlock) for block in blocks)
