"""What a client marks for the cache stays marked where the model knows it, with its time to live; four at most."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.request import translate_request

Json = dict[str, Any]
MARK = {"type": "ephemeral"}


def translated(family: str, **fields: Any) -> Json:
    messages = [{"role": "user", "content": "Hello"}]
    body = orjson.dumps({"model": "m", "max_tokens": 9, "messages": messages, **fields})
    translation = translate_request(parse_request(body), model="m", facts=ModelFacts(id="m", family=family))
    chat: Json = orjson.loads(translation.encode())
    return chat


def marked(name: str, is_marked: bool) -> Json:
    return {"type": "text", "text": name, **({"cache_control": MARK} if is_marked else {})}


def marks_in(body: Json) -> list[str]:
    """The texts and names of what is marked, in order; the top level last."""
    parts = [part for m in body["messages"] if isinstance(m["content"], list) for part in m["content"]]
    names = [tool["function"]["name"] for tool in body.get("tools", []) if "cache_control" in tool]
    return names + [part["text"] for part in parts if "cache_control" in part] + ["top"] * ("cache_control" in body)


@given(
    tools=st.lists(st.booleans(), max_size=3),
    system=st.lists(st.booleans(), max_size=3),
    said=st.lists(st.booleans(), min_size=1, max_size=6),
    top=st.booleans(),
)
def test_no_more_than_four_are_left_and_the_last_and_the_shared_ones_first(
    tools: list[bool], system: list[bool], said: list[bool], top: bool
) -> None:
    body = translated(
        "anthropic",
        tools=[
            {"name": f"tool_{n}", "input_schema": {"type": "object"}, **({"cache_control": MARK} if mark else {})}
            for n, mark in enumerate(tools)
        ],
        system=[marked(f"system {n}", mark) for n, mark in enumerate(system)],
        messages=[{"role": "user", "content": [marked(f"said {n}", mark)]} for n, mark in enumerate(said)],
        **({"cache_control": MARK} if top else {}),
    )
    shared = [f"tool_{n}" for n, mark in enumerate(tools) if mark]
    shared += [f"system {n}" for n, mark in enumerate(system) if mark]
    asked = shared + [f"said {n}" for n, mark in enumerate(said) if mark] + ["top"] * top
    kept = marks_in(body)
    assert len(kept) == min(len(asked), 4)
    assert set(shared[-1:]) <= set(kept)
    assert kept == sorted(kept, key=asked.index)
    assert set(asked[-3:]) <= set(kept)


@pytest.mark.parametrize(("family", "mark"), [("anthropic", {**MARK, "ttl": "1h"}), ("google", MARK), ("openai", None)])
def test_an_hour_is_an_hour_for_claude_and_left_out_where_nobody_knows_it(family: str, mark: Json | None) -> None:
    system = [{"type": "text", "text": "Be kind.", "cache_control": {**MARK, "ttl": "1h"}}]
    content = translated(family, system=system)["messages"][0]["content"]
    assert content == ("Be kind." if mark is None else [{"type": "text", "text": "Be kind.", "cache_control": mark}])


def test_a_tools_mark_is_kept_with_its_hour() -> None:
    tools = [{"name": "look", "input_schema": {"type": "object"}, "cache_control": {**MARK, "ttl": "1h"}}]
    assert translated("anthropic", tools=tools)["tools"][0]["cache_control"] == {**MARK, "ttl": "1h"}
    assert "cache_control" not in translated("openai", tools=tools)["tools"][0]


def test_claude_codes_line_about_itself_does_not_reach_other_models_caches() -> None:
    def system(conversation: str) -> Any:
        line = f"x-anthropic-billing-header: cc_version=2; cc_entrypoint={conversation};"
        blocks = [{"type": "text", "text": line}, {"type": "text", "text": "You are Claude Code."}]
        return {family: translated(family, system=blocks)["messages"][0] for family in ("openai", "anthropic")}

    assert system("one")["openai"] == system("two")["openai"]
    assert "x-anthropic-billing-header" in system("one")["anthropic"]["content"]
