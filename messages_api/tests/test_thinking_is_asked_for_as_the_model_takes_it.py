"""Every way to ask for thinking becomes one that the model takes: never an effort and a budget, never out of bounds."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages_api.errors import InvalidRequest
from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import Terms
from messages_api.services.translation.request import translate_request
from messages_api.services.translation.tables import EFFORT_LADDER, EFFORTS

Json = dict[str, Any]
ABLE = frozenset({"reasoning", "max_tokens"})
MODELS = {
    "takes efforts": ModelFacts(id="m", parameters=ABLE, efforts=("minimal", "low", "medium", "high")),
    "takes a budget": ModelFacts(id="m", family="anthropic", parameters=ABLE, reasoning_takes_budget=True),
    "always reasons": ModelFacts(id="m", parameters=ABLE, efforts=("low", "high"), reasoning_is_mandatory=True),
    "gives little": ModelFacts(id="m", parameters=ABLE, reasoning_takes_budget=True, max_output=2000),
    "is unknown": ModelFacts(id="m"),
}
CANNOT = ModelFacts(id="m", parameters=frozenset({"max_tokens"}))
THINKING = (
    st.sampled_from([{"type": "adaptive"}, {"type": "between_tools"}, {"type": "disabled"}])
    | st.builds(lambda budget: {"type": "enabled", "budget_tokens": budget}, st.integers(1024, 63_999))
    | st.none()
)


def body_of(facts: ModelFacts, terms: Terms, max_tokens: int, thinking: Json | None, effort: str | None) -> Json:
    fields: Json = {"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "a"}]}
    if thinking:
        fields["thinking"] = thinking
    if effort:
        fields["output_config"] = {"effort": effort}
    request = parse_request(orjson.dumps(fields))
    return translate_request(request, model="m", facts=facts, terms=terms).body


@given(
    model=st.sampled_from(list(MODELS)),
    thinking=THINKING,
    effort=st.none() | st.sampled_from(EFFORTS),
    cap=st.sampled_from(["", *EFFORTS]),
)
def test_what_is_asked_is_within_what_the_model_the_answer_and_the_alias_allow(
    model: str, thinking: Json | None, effort: str | None, cap: str
) -> None:
    facts = MODELS[model]
    body = body_of(facts, Terms(max_effort=cap), 64_000, thinking, effort)
    reasoning = body.get("reasoning", {})
    assert len(reasoning) <= 1
    assert not facts.efforts or reasoning.get("effort", facts.efforts[0]) in facts.efforts
    assert 1024 <= reasoning.get("max_tokens", 1024) < max(body["max_tokens"], 1025)
    assert reasoning != {"enabled": False} or not facts.reasoning_is_mandatory
    if cap and "effort" in reasoning and cap in (facts.efforts or EFFORTS):
        assert EFFORT_LADDER.index(reasoning["effort"]) <= EFFORT_LADDER.index(cap)


@given(thinking=THINKING, effort=st.none() | st.sampled_from(EFFORTS))
def test_a_model_that_cannot_reason_is_not_asked_to(thinking: Json | None, effort: str | None) -> None:
    assert "reasoning" not in body_of(CANNOT, Terms(), 64_000, thinking, effort)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("max_tokens", [1, 1024, 1025, 64_000])
@pytest.mark.parametrize("effort", ["max", None])
def test_adaptive_thinking_is_never_refused_nor_more_than_fits(model: str, max_tokens: int, effort: str | None) -> None:
    body = body_of(MODELS[model], Terms(), max_tokens, {"type": "adaptive"}, effort)
    if MODELS[model].reasoning_takes_budget and max_tokens <= 1024:
        assert body["reasoning"] == {"enabled": False}
    else:
        assert body["reasoning"].get("enabled") is not False


@pytest.mark.parametrize("budget", [0, 500, 1023, 2048, 3000])
@pytest.mark.parametrize("facts", [*MODELS.values(), CANNOT])
def test_a_budget_that_anthropic_refuses_is_refused_whatever_the_model(facts: ModelFacts, budget: int) -> None:
    with pytest.raises(InvalidRequest, match=r"^thinking\.budget_tokens: must be at least 1024 and less than max_to"):
        body_of(facts, Terms(), 2048, {"type": "enabled", "budget_tokens": budget}, None)


@pytest.mark.parametrize(("cap", "budget"), [("low", 4_096), ("medium", 16_384), ("high", 30_000), ("", 30_000)])
def test_an_alias_caps_a_budget_too(cap: str, budget: int) -> None:
    thinking = {"type": "enabled", "budget_tokens": 30_000}
    body = body_of(MODELS["takes a budget"], Terms(max_effort=cap), 64_000, thinking, None)
    assert body["reasoning"] == {"max_tokens": budget}


def test_an_aliass_limit_of_the_answer_leaves_no_room_for_a_budget() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2048}
    body = body_of(MODELS["takes a budget"], Terms(max_output=1000), 4096, thinking, None)
    assert (body["max_tokens"], body["reasoning"]) == (1000, {"enabled": False})


def test_a_model_that_always_reasons_is_held_to_the_most_also_when_it_is_not_asked_to() -> None:
    always, may = MODELS["always reasons"], MODELS["takes efforts"]
    assert body_of(always, Terms(max_effort="low"), 64_000, None, None)["reasoning"] == {"effort": "low"}
    assert "reasoning" not in body_of(always, Terms(), 64_000, None, None)
    assert "reasoning" not in body_of(may, Terms(max_effort="low"), 64_000, None, None)
