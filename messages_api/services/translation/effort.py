"""Owns how much a model is asked to think: `thinking` and `output_config.effort` become OpenRouter's `reasoning`.

OpenRouter takes an effort or a budget, never both (wire.md 2.1). A model that cannot reason gets neither, and an alias
or a policy may cap what is asked for, and what a model that always reasons would do unasked.
"""

from collections.abc import Mapping
from typing import Any, Final

from messages_api import schemas
from messages_api.errors import InvalidRequest
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.tables import EFFORT_LADDER

LEAST_BUDGET = 1024
#: The effort that a budget amounts to, for models that take no budget: (budget up to, effort).
BUDGET_EFFORT = ((4_096, "low"), (16_384, "medium"))
#: What Anthropic's models do where nothing is said.
USUAL_EFFORT = "high"
NO_REASONING: Final[Mapping[str, Any]] = {"enabled": False}


def reasoning_parameter(
    thinking: schemas.Thinking | None, effort: str | None, max_tokens: int, facts: ModelFacts, max_effort: str = ""
) -> dict[str, Any] | None:
    """OpenRouter's `reasoning`, within `max_effort` and within `max_tokens`, the limit of the whole answer; None leaves
    it to the model."""
    if not facts.supports("reasoning"):
        return None
    if facts.reasoning_takes_budget and max_tokens <= LEAST_BUDGET and _thinks(thinking, effort):
        return _least(facts)  # no budget fits into such an answer
    match thinking:
        case schemas.ThinkingDisabled():
            return _least(facts)
        case schemas.ThinkingEnabled(budget_tokens=budget):
            return _budget(budget, effort, max_tokens, facts, max_effort)
        case schemas.ThinkingAdaptive() | schemas.ThinkingBetweenTools() if not effort and not max_effort:
            return {"enabled": True}
        case schemas.ThinkingAdaptive() | schemas.ThinkingBetweenTools():
            return {"effort": _nearest(_capped(effort or USUAL_EFFORT, max_effort), facts)}
        case None:
            asked = effort or (USUAL_EFFORT if max_effort and facts.reasoning_is_mandatory else None)
            return {"effort": _nearest(_capped(asked, max_effort), facts)} if asked else None


def has_budget(reasoning: Mapping[str, Any], facts: ModelFacts) -> bool:
    """Whether Claude is asked for thinking that has a budget: where it takes no effort, OpenRouter makes it one."""
    return reasoning != NO_REASONING and ("max_tokens" in reasoning or not facts.efforts)


def check_budget(thinking: schemas.Thinking | None, max_tokens: int) -> None:
    """Raises InvalidRequest for a budget that Anthropic refuses, whatever the model makes of it."""
    if isinstance(thinking, schemas.ThinkingEnabled) and not LEAST_BUDGET <= thinking.budget_tokens < max_tokens:
        raise InvalidRequest(f"thinking.budget_tokens: must be at least {LEAST_BUDGET} and less than max_tokens")


def _thinks(thinking: schemas.Thinking | None, effort: str | None) -> bool:
    return effort is not None if thinking is None else not isinstance(thinking, schemas.ThinkingDisabled)


def _least(facts: ModelFacts) -> dict[str, Any]:
    """No reasoning; from a model that always reasons, as little as it can."""
    if not facts.reasoning_is_mandatory:
        return {**NO_REASONING}
    return {"effort": next((step for step in EFFORT_LADDER[1:] if step in facts.efforts), "low")}


def _budget(budget: int, effort: str | None, max_tokens: int, facts: ModelFacts, max_effort: str) -> dict[str, Any]:
    if effort is None and facts.reasoning_takes_budget:
        capped = min([budget, *(most for most, step in BUDGET_EFFORT if step == max_effort)])
        return {"max_tokens": max(LEAST_BUDGET, min(capped, max_tokens - 1))}
    asked = effort or next((step for most, step in BUDGET_EFFORT if budget <= most), USUAL_EFFORT)
    return {"effort": _nearest(_capped(asked, max_effort), facts)}


def _capped(effort: str, max_effort: str) -> str:
    return min(effort, max_effort or effort, key=EFFORT_LADDER.index)


def _nearest(effort: str, facts: ModelFacts) -> str:
    """`effort`, or the next one below it that the model knows, or the least one it knows."""
    known = [step for step in EFFORT_LADDER if step in facts.efforts and step != "none"]
    if not known:
        return effort
    below = [step for step in known if EFFORT_LADDER.index(step) <= EFFORT_LADDER.index(effort)]
    return below[-1] if below else known[0]
