"""A conversation goes on with another model at any place, either way, and no model refuses what it is given.

The simulator refuses what providers refuse: reasoning of others, or its own altered, and calls without the thoughts
that led to them.
"""

import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from messages_api.errors import ApiError
from messages_api.services.routing import Transport
from messages_api.tests.talk import Talk
from testing.simulator_process import SimulatorProcess

Json = dict[str, Any]

MODELS = [
    "anthropic/claude-haiku-4.5",
    "anthropic/claude-sonnet-5",
    "deepseek/deepseek-chat",
    "google/gemini-3-pro-preview",
    "meta-llama/llama-3.3-70b-instruct",
    "minimax/minimax-m2",
    "mistralai/mistral-large",
    "moonshotai/kimi-k2",
    "openai/gpt-5",
    "qwen/qwen3-coder",
    "x-ai/grok-4",
    "z-ai/glm-4.6",
]
WAYS: tuple[Transport, ...] = ("native", "translate")
THINKING: dict[str, Json] = {
    "unasked": {},
    "budget": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "adaptive": {"thinking": {"type": "adaptive"}},
    "between": {"thinking": {"type": "between_tools"}},
    "clearing": {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    },
}
CALL = {"tool_call": {"name": "Bash", "arguments": {"command": "true"}}}
#: A loop in which thoughts stand before some calls only.
LOOP = {
    "name": "loop",
    "turns": [
        {"attempts": [[{"reasoning": "I begin."}, CALL]]},
        {"attempts": [[CALL]]},
        {"attempts": [[{"reasoning": "And on."}, {"text": "So."}, CALL, CALL]]},
        {"attempts": [[{"reasoning": "Done?"}, {"text": "Done."}]]},
    ],
}
#: Which of two models answers each request: those of a loop, and of the turn after it.
PLACES = {
    "after a turn": "0000 1111 0000",
    "at the second call": "0111 1111 0000",
    "at the third call": "0011 1111 0000",
    "at the last word": "0001 1111 0000",
    "there and back": "0100 0000 1111",
    "back and forth": "0101 0101 1010",
}
SAMPLE = 400


@dataclass(frozen=True)
class Course:
    """Who answers, which way, and how thinking is asked for."""

    models: tuple[str, str]
    ways: tuple[Transport, Transport]
    thinking: str
    place: str

    def __str__(self) -> str:
        (first, second), ways = self.models, self.ways
        return f"{first} {ways[0]}, {second} {ways[1]}, {self.place}, {self.thinking}"

    def is_sound(self) -> bool:
        """What is adaptive is refused by Claude's models of before it: that is the client's to know."""
        is_adaptive = self.thinking in {"adaptive", "between"}
        natives = [model for model, way in zip(self.models, self.ways, strict=True) if way == "native"]
        clears = self.thinking == "clearing" and self.ways != ("native", "native")  # refused by name in translation
        return not clears and not (is_adaptive and "anthropic/claude-haiku-4.5" in natives)


COURSES = [
    course
    for models, ways, thinking, place in product(product(MODELS, MODELS), product(WAYS, WAYS), THINKING, PLACES)
    if (course := Course(models, ways, thinking, place)).is_sound()
]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as running:
        running.register(LOOP)
        yield running


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def refusal_of(course: Course, talk: Talk) -> str:
    """What a model on the way refuses, in its words; nothing if none does."""
    for turn in PLACES[course.place].split():
        said: str | list[Json] = "[[loop]]"
        for step, place in enumerate(map(int, turn)):
            talk.messages.append({"role": "user", "content": said})
            try:
                answer = await talk.ask(course.models[place], course.ways[place], **THINKING[course.thinking])
            except ApiError as error:
                return f"{course}, step {step}: {error.message}"
            talk.messages.append({"role": "assistant", "content": answer})
            calls = [block["id"] for block in answer if block["type"] == "tool_use"]
            said = [{"type": "tool_result", "tool_use_id": call, "content": "ok"} for call in calls]
    return ""


async def refusals(courses: list[Course], simulator: SimulatorProcess, session: aiohttp.ClientSession) -> list[str]:
    told = [await refusal_of(course, Talk(session, simulator)) for course in courses]
    return [each for each in told if each]


async def test_no_model_refuses_to_go_on(simulator: SimulatorProcess, session: aiohttp.ClientSession) -> None:
    chosen = random.Random(3).sample(COURSES, SAMPLE)
    assert await refusals(chosen, simulator, session) == []


@pytest.mark.proof
@pytest.mark.timeout(1800)
async def test_no_model_refuses_to_go_on_anywhere(simulator: SimulatorProcess, session: aiohttp.ClientSession) -> None:
    assert await refusals(COURSES, simulator, session) == []
