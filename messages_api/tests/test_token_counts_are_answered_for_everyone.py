"""Counting tokens is a side errand: every name has it, nothing limits it, and nothing comes of it."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from pytest_django import Settings

from benchmarks.workloads import WORKLOADS, ask
from bridge_project.lane import ApiLane
from messages_api.models import ModelAlias, Provider
from messages_api.services import token_count
from messages_api.services.gateway import running_gateway, stop_gateway
from messages_api.services.token_factors import TokenFactors
from testing import cast
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

Json = dict[str, Any]
Reply = tuple[int, Json]
Api = Callable[..., list[Reply]]
HELLO: Json = {"messages": [{"role": "user", "content": "hello"}]}
LARGE: Json = orjson.loads(ask(WORKLOADS["W2"], 1, 1).body)


@pytest.fixture
def count(settings: Settings, tmp_path: Path) -> Api:
    """Sends Alice's requests for a count, all at once, to a gateway that ends with them."""
    settings.SPOOL_DIR = tmp_path
    settings.BIG_MODEL, settings.SMALL_MODEL = "anthropic/claude-sonnet-5", "openai/gpt-5-mini"
    api_key = cast.alice().api_key
    lane = ApiLane()
    lane.load_middleware()

    async def together(*bodies: Json) -> list[Reply]:
        try:
            return await asyncio.gather(*(_count(lane, api_key, body) for body in bodies))
        finally:
            assert (await running_gateway()).ledger.in_flight == {}
            await stop_gateway()

    return lambda *bodies: asyncio.run(together(*bodies))


async def _count(lane: ApiLane, api_key: str, body: Json) -> Reply:
    unread = [{"type": "http.request", "body": orjson.dumps(body), "more_body": False}]
    said: list[Json] = []

    async def receive() -> Json:
        if not unread:
            await asyncio.Event().wait()  # the client stays
        return unread.pop()

    async def send(message: Json) -> None:
        said.append(message)

    path, headers = "/v1/messages/count_tokens", [(b"x-api-key", api_key.encode())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"beta=true", "headers": headers}
    await lane(scope, receive, send)
    return said[0]["status"], orjson.loads(said[1]["body"])


# --- pitfall 20: no name is without it -------------------------------------------------------------------------------


def test_every_name_has_a_count_whichever_way_its_requests_go(count: Api) -> None:
    Provider.objects.create(name="local", litellm_provider="openai", base_url="http://127.0.0.1:1")
    Provider.objects.create(
        name="ollama", litellm_provider="anthropic", base_url="http://127.0.0.1:1", speaks_messages=True
    )
    for name, target, transport in (
        ("by-litellm", "litellm:local/llama", "auto"),
        ("relayed", "litellm:ollama/qwen3", "native"),
        ("claude-relayed", "anthropic/claude-opus-5", "native"),
        ("claude-translated", "anthropic/claude-opus-5", "translate"),
    ):
        ModelAlias.objects.create(name=name, kind="name", target=target, transport=transport)
    names = [*ModelAlias.objects.values_list("name", flat=True).distinct(), "openai/gpt-5", "z-ai/glm-5:free"]
    names += ["claude-haiku-4-5-20251001", "claude-opus-4-8", "claude-sonnet-5[1m]", "claude-bridge/openai/gpt-5"]
    for name, (status, answer) in zip(names, count(*({**HELLO, "model": name} for name in names)), strict=True):
        assert (name, status) == (name, 200)
        assert 1 <= answer["input_tokens"] < 40


def test_a_block_that_only_the_relays_target_knows_has_a_count(count: Api) -> None:
    block = {"type": "made_up_2027", "content": "words " * 500}
    body = {"model": "claude-opus-4-8", "messages": [{"role": "user", "content": [block]}]}
    ((status, answer),) = count(body)
    assert status == 200
    assert 500 <= answer["input_tokens"] < 1_100


# --- pitfall 21 ------------------------------------------------------------------------------------------------------


def test_system_tools_and_messages_are_counted_each(count: Api) -> None:
    bare = {"model": "claude-sonnet-5", "messages": LARGE["messages"]}
    with_system, with_tools = {**bare, "system": LARGE["system"]}, {**bare, "tools": LARGE["tools"]}
    told = [answer["input_tokens"] for _, answer in count(bare, with_system, with_tools, LARGE)]
    assert 400 < told[0] < 900
    assert 1_700 < told[1] - told[0] < 3_000
    assert 13_500 < told[2] - told[0] < 20_000
    assert told[3] > told[1] + told[2] - 2 * told[0]


# --- pitfall 22 ------------------------------------------------------------------------------------------------------


def test_nothing_comes_of_a_count_nor_of_one_that_is_refused(
    count: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[Any] = []
    monkeypatch.setattr(TokenFactors, "learn", lambda *fact: learned.append(fact))
    replies = count(LARGE, {**HELLO, "model": "no-such-model"}, {"model": "sonnet"})
    assert [status for status, _ in replies] == [200, 404, 400]
    assert UsageRecord.objects.count() == 0
    assert list(tmp_path.iterdir()) == [], "the spool of the records held nothing"
    assert learned == []


# --- pitfall 23 ------------------------------------------------------------------------------------------------------


def test_fifty_counts_at_once_are_all_answered_two_at_a_time(count: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, most, lock, real = 0, 0, threading.Lock(), token_count._count

    def watched(*given: Any) -> int:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.002)
        counted = real(*given)
        with lock:
            busy -= 1
        return counted

    monkeypatch.setattr(token_count, "_count", watched)
    replies = count(*[LARGE] * 50)
    assert [status for status, _ in replies] == [200] * 50
    assert most == 2
