"""A conversation moves between the relay and the translation, and each model has its own reasoning back every time.

The simulator refuses reasoning that is altered, out of order or foreign, and tells how much of it came back.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from messages_api.services.routing import Transport
from messages_api.tests.talk import BASH, FIRST_OF_FAMILY, Talk
from testing.simulator_process import SimulatorProcess

Json = dict[str, Any]

HAIKU, SONNET, GPT = "anthropic/claude-haiku-4.5", "anthropic/claude-sonnet-5", "openai/gpt-5"
GEMINI = "google/gemini-3-pro-preview"
#: One of each family that the simulator has beside Claude's.
OTHERS = [model for model in FIRST_OF_FAMILY.values() if not model.startswith("anthropic/")]
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
#: Each a turn of its own: thoughts before a call, between words, without words, before two calls.
SCRIPTS = ("reasoning_tool", "interleaved_reasoning", "reasoning_redacted", "reasoning_two_tools")
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as running:
        yield running


@pytest_asyncio.fixture
async def talk(simulator: SimulatorProcess) -> AsyncIterator[Talk]:
    simulator.reset()
    async with aiohttp.ClientSession() as session:
        yield Talk(session, simulator)


BOTH_ORDERS = pytest.mark.parametrize("ways", [("native", "translate"), ("translate", "native")], ids="-".join)
MODELS = pytest.mark.parametrize(
    ("model", "more"),
    [(HAIKU, BUDGET), (SONNET, {}), *((model, more) for model in OTHERS for more in ({}, BUDGET))],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)


@BOTH_ORDERS
@MODELS
async def test_a_model_goes_on_the_other_way_and_back(
    ways: tuple[Transport, Transport], model: str, more: Json, talk: Talk
) -> None:
    for way in (ways[0], ways[1], ways[0]):
        for script in SCRIPTS:
            await talk.turn(script, model, way, **more)
            assert talk.returned() == talk.told()
    assert talk.told() >= 3 * len(SCRIPTS)


@BOTH_ORDERS
@MODELS
async def test_it_goes_the_other_way_between_a_call_and_its_result(
    ways: tuple[Transport, Transport], model: str, more: Json, talk: Talk
) -> None:
    for script in SCRIPTS:
        await talk.turn(script, model, *ways, **more)
        assert talk.returned() == talk.told()


@pytest.mark.parametrize("way", ["native", "translate"])
async def test_thoughts_of_another_model_are_left_out(way: Transport, talk: Talk) -> None:
    for model in (GPT, SONNET, GPT, SONNET):
        for script in SCRIPTS:
            await talk.turn(script, model, way)
            assert talk.returned() > 0


async def test_a_search_that_was_translated_is_relayed_in_words(talk: Talk) -> None:
    tools = [BASH, WEB_SEARCH]
    await talk.turn("citations", GPT, "translate", tools=tools)
    kinds = {block["type"] for block in talk.messages[-1]["content"]}
    assert kinds == {"text", "server_tool_use", "web_search_tool_result"}
    assert any(block.get("citations") for block in talk.messages[-1]["content"])
    await talk.turn("text", SONNET, "native", tools=tools)
    told = talk.simulator.requests()[-1]["body"]["messages"][1]["content"]
    assert {block["type"] for block in told} == {"text"}
    assert "https://example.com/simulated" in told[-1]["text"]
    await talk.turn("searches 1", SONNET, "native", tools=tools)
    await talk.turn("text", SONNET, "native", tools=tools)
    await talk.turn("text", GPT, "translate", tools=tools)
