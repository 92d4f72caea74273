"""Owns how much a model is asked to think: `thinking` and `output_config.effort` become OpenRouter's `reasoning`.

OpenRouter takes an effort or a budget, never both (wire.md 2.1). A model that cannot reason gets neither.
"""

from typing import Any

from messages_api import schemas
from messages_api.errors import InvalidRequest
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.tables import EFFORT_LADDER

LEAST_BUDGET = 1024
#: The effort that a budget amounts to, for models that take no budget: (budget up to, effort).
BUDGET_EFFORT = ((4_096, "low"), (16_384, "medium"))


def reasoning_parameter(
    thinking: schemas.Thinking | None, effort: str | None, max_tokens: int, facts: ModelFacts
) -> dict[str, Any] | None:
    """OpenRouter's `reasoning`; None leaves it to the model."""
    if not facts.supports("reasoning"):
        return None
    match thinking:
        case schemas.ThinkingDisabled():
            return _least(facts)
        case schemas.ThinkingEnabled(budget_tokens=budget):
            return _budget(budget, effort, max_tokens, facts)
        case schemas.ThinkingAdaptive() | schemas.ThinkingBetweenTools():
            return {"effort": _nearest(effort, facts)} if effort else {"enabled": True}
        case None:
            return {"effort": _nearest(effort, facts)} if effort else None


def _least(facts: ModelFacts) -> dict[str, Any]:
    """No reasoning; from a model that always reasons, as little as it can."""
    if not facts.reasoning_is_mandatory:
        return {"enabled": False}
    return {"effort": next((step for step in EFFORT_LADDER[1:] if step in facts.efforts), "low")}


def _budget(budget: int, effort: str | None, max_tokens: int, facts: ModelFacts) -> dict[str, Any]:
    if budget < LEAST_BUDGET or budget >= max_tokens:
        raise InvalidRequest(f"thinking.budget_tokens: must be at least {LEAST_BUDGET} and less than max_tokens")
    if effort is None and facts.reasoning_takes_budget:
        limit = max_tokens if facts.max_output is None else min(max_tokens, facts.max_output)
        return {"max_tokens": max(LEAST_BUDGET, min(budget, limit - 1))}
    asked = effort or next((step for most, step in BUDGET_EFFORT if budget <= most), "high")
    return {"effort": _nearest(asked, facts)}


def _nearest(effort: str, facts: ModelFacts) -> str:
    """`effort`, or the next one below it that the model knows, or the least one it knows."""
    known = [step for step in EFFORT_LADDER if step in facts.efforts and step != "none"]
    if not known:
        return effort
    below = [step for step in known if EFFORT_LADDER.index(step) <= EFFORT_LADDER.index(effort)]
    return below[-1] if below else known[0]
