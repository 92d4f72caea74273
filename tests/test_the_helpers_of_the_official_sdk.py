"""The official SDK's own helpers work on the server's answers: accumulators, tool runners, parsed answers, threads."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from messages_api.tests.stream_grammar import check_grammar, events_of, message_added_up
from testing.server_process import ServerProcess
from tests.test_the_official_sdk import TOOLS
from tests.test_the_typescript_sdk import THINKERS, check_same

ASKED: list[anthropic.types.beta.BetaMessageParam] = [{"role": "user", "content": "[[reasoning_tool]]"}]
LAST_WORDS = "After thinking, the command printed: printed by echo hello-from-bash"


class Title(BaseModel):
    title: str
    words: int


class Received:
    """Every answer that a client of the SDK got, kept as it came over the wire."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def keep(self, response: Any) -> None:
        self.answers.append(response.read())

    async def keep_later(self, response: Any) -> None:
        self.answers.append(await response.aread())

    def streams(self) -> list[bytes]:
        return [answer for answer in self.answers if answer.startswith(b"event:")]


@pytest.fixture
def received() -> Iterator[Received]:
    """Checks, at the end of the test, that every stream was grammatical."""
    kept = Received()
    yield kept
    for answer in kept.streams():
        check_grammar(events_of(answer))


@pytest.fixture
def client(server: ServerProcess, received: Received) -> Iterator[anthropic.Anthropic]:
    http_client = anthropic.DefaultHttpxClient(event_hooks={"response": [received.keep]})
    with anthropic.Anthropic(
        base_url=server.base_url, api_key=server.api_key, max_retries=0, http_client=http_client
    ) as client:
        yield client


@pytest.fixture
async def async_client(server: ServerProcess, received: Received) -> AsyncIterator[anthropic.AsyncAnthropic]:
    http_client = anthropic.DefaultAsyncHttpxClient(event_hooks={"response": [received.keep_later]})
    async with anthropic.AsyncAnthropic(
        base_url=server.base_url, api_key=server.api_key, max_retries=0, http_client=http_client
    ) as client:
        yield client


def texts(events: Iterable[Any], kind: str, name: str) -> str:
    """What the accumulator told piece by piece in events of one kind."""
    return "".join(getattr(event, name) for event in events if event.type == kind)


@pytest.mark.parametrize("model", THINKERS)
def test_the_accumulator_tells_thinking_text_and_arguments(
    client: anthropic.Anthropic, received: Received, model: str
) -> None:
    asked: list[anthropic.types.MessageParam] = [{"role": "user", "content": "[[interleaved_reasoning]]"}]
    with client.messages.stream(
        model=model,
        max_tokens=4000,
        tools=TOOLS,
        messages=asked,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        events = list(stream)
        message = stream.get_final_message()
    assert texts(events, "thinking", "thinking") == "First thought.Second thought."
    assert texts(events, "text", "text") == "A first word."
    assert texts(events, "input_json", "partial_json") == '{"command":"echo hello-from-bash","description":"Say hello"}'
    check_same(message.model_dump(mode="json", exclude_unset=True), message_added_up(events_of(received.answers[0])))


def test_a_web_search_is_accumulated_with_its_citations(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model="sonnet",
        max_tokens=1000,
        tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
        messages=[{"role": "user", "content": "What is new?"}],
    ) as stream:
        message = stream.get_final_message()
    found = next(block for block in message.content if block.type == "web_search_tool_result")
    assert isinstance(found.content, list)
    assert found.content[0].url == "https://example.com/simulated"
    assert message.usage.server_tool_use is not None
    assert message.usage.server_tool_use.web_search_requests == 1


@pytest.mark.parametrize("model", THINKERS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_runner_runs_tools_until_the_answer(client: anthropic.Anthropic, model: str, stream: bool) -> None:
    ran: list[str] = []

    @anthropic.beta_tool(name="Bash")
    def bash(command: str, description: str = "") -> str:
        """Run a command."""
        ran.append(f"{command} ({description})")
        return f"printed by {command}"

    runner = client.beta.messages.tool_runner(model=model, max_tokens=4000, tools=[bash], messages=ASKED, stream=stream)
    message = runner.until_done()
    assert ran == ["echo hello-from-bash (Say hello)"]
    assert message.content[0].type == "text"
    assert message.content[0].text == LAST_WORDS


async def test_the_tool_runner_of_the_asynchronous_client(
    async_client: anthropic.AsyncAnthropic, received: Received
) -> None:
    @anthropic.beta_async_tool(name="Bash")
    async def bash(command: str, description: str = "") -> str:
        """Run a command."""
        return f"printed by {command}"

    runner = async_client.beta.messages.tool_runner(
        model="sonnet", max_tokens=4000, tools=[bash], messages=ASKED, stream=True
    )
    message = await runner.until_done()
    assert message.content[0].type == "text"
    assert message.content[0].text == LAST_WORDS
    assert len(received.streams()) == 2


async def test_the_asynchronous_accumulator(async_client: anthropic.AsyncAnthropic) -> None:
    async with async_client.messages.stream(
        model="sonnet", max_tokens=1000, messages=[{"role": "user", "content": "[[stream 40 0]]"}]
    ) as stream:
        pieces = [piece async for piece in stream.text_stream]
        message = await stream.get_final_message()
    assert message.content[0].type == "text"
    assert "".join(pieces) == message.content[0].text == "token " * 40


def test_a_structured_answer_is_parsed(client: anthropic.Anthropic) -> None:
    message = client.messages.parse(
        model="sonnet", max_tokens=1000, messages=[{"role": "user", "content": "Name it."}], output_format=Title
    )
    assert isinstance(message.parsed_output, Title)


def test_a_structured_answer_is_parsed_from_a_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model="sonnet", max_tokens=1000, messages=[{"role": "user", "content": "Name it."}], output_format=Title
    ) as stream:
        message = stream.get_final_message()
    assert isinstance(message.parsed_output, Title)


def test_a_thread_goes_on_though_the_server_keeps_none(client: anthropic.Anthropic, received: Received) -> None:
    """The SDK sends the whole conversation as soon as it is told that there is no such thread (wire.md 1.3)."""
    thread = client.beta.messages.thread(model="sonnet", max_tokens=1000)
    thread.send({"role": "user", "content": "[[say first]]"})
    answer = thread.send({"role": "user", "content": "[[say second]]"})
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "second"
    assert [b"thread_not_found" in body for body in received.answers] == [False, True, False]
    assert len(thread.messages) == 4
