"""Whatever an upstream says of the key it was asked with, on whichever way and at whatever moment, stays here."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from accounts.redaction import without
from messages_api.errors import ApiError
from messages_api.schemas import parse_envelope
from messages_api.services.attempts.base import Asked, Attempt
from messages_api.services.attempts.relayed import RelayedAttempt
from messages_api.services.attempts.translated import TranslatedAttempt
from messages_api.services.failures import LONGEST_WORDS
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import ProviderAccess, Target
from messages_api.services.terms import NO_TERMS
from messages_api.services.translation.chat import AnswerError
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.services.upstream.messages import MessagesUpstream
from messages_api.services.upstream.openrouter import OpenRouterUpstream
from messages_api.tests.loopback_provider import Provider, provider_on_loopback
from messages_api.tests.provider_formats import ANTHROPIC, GEMINI, OPENAI, Format, Scripted

#: One that looks like none, and those of which a redactor would take only a part.
KEYS = ["plain-secret/of\\provider", "sk-a1b2c3d4e5.f6g7h8i9", "org-A1b2C3d4E5.tail-of-it"]
EVERY_KEY = pytest.mark.parametrize("key", KEYS)
BOTH_WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
WORDS = "No, says {}, ask Tom"
FRAGMENT = 6


@dataclass(frozen=True)
class Way:
    """A way out, and the format in which the server at its end answers."""

    name: str
    wire: Format

    def __str__(self) -> str:
        return self.name


DIRECT, VIA_LITELLM = Way("OpenRouter", OPENAI), Way("OpenRouter by LiteLLM", OPENAI)
PREPARED, ANTHROPICS, GEMINIS = Way("prepared", OPENAI), Way("anthropic", ANTHROPIC), Way("gemini", GEMINI)
RELAYED = Way("relayed", ANTHROPIC)
EVERY_WAY = pytest.mark.parametrize("way", [DIRECT, VIA_LITELLM, PREPARED, ANTHROPICS, GEMINIS, RELAYED], ids=str)
OUR_READERS = pytest.mark.parametrize("way", [DIRECT, VIA_LITELLM, PREPARED, RELAYED], ids=str)


@dataclass
class Road:
    """The server that is asked, and the clients of ours that ask it."""

    provider: Provider
    direct: OpenRouterUpstream
    litellm: LiteLlmUpstream
    messages: MessagesUpstream


@pytest_asyncio.fixture
async def road() -> AsyncIterator[Road]:
    async with provider_on_loopback() as served, aiohttp.ClientSession() as session:
        place = (Sessions(session, session), served.base_url)
        litellm = LiteLlmUpstream(*place)
        yield Road(served, OpenRouterUpstream(*place), litellm, MessagesUpstream(*place))
        await litellm.close()


async def words_told(way: Way, road: Road, key: str, *, streamed: bool = True) -> str:
    """What an attempt raises, in the words of the client and the log."""
    body = {"model": "m", "max_tokens": 99, "stream": streamed, "messages": [{"role": "user", "content": "Hi"}]}
    asked = Asked("msg_1", parse_envelope(orjson.dumps(body)), NO_TERMS)
    attempt = _attempt(way, road, asked, key)
    try:
        with pytest.raises((ApiError, AnswerError)) as raised:
            if streamed:
                async for _ in attempt.stream():
                    pass
            else:
                await attempt.complete()
    finally:
        await attempt.close()
    return str(raised.value)


def _attempt(way: Way, road: Road, asked: Asked, key: str) -> Attempt:
    openrouters = Target("openai/m", ModelFacts(id="openai/m", family="openai"))
    match way:
        case Way("OpenRouter"):
            return TranslatedAttempt(asked, openrouters, road.direct, key, 7)
        case Way("OpenRouter by LiteLLM"):
            return TranslatedAttempt(asked, openrouters, road.litellm, key, 7)
        case Way("relayed"):
            access = ProviderAccess("ours", "anthropic", road.provider.base_url, key, speaks_messages=True)
            target = Target("local", ModelFacts(id="local"), access, "native")
            return RelayedAttempt(asked, target, road.messages, key, 7)
        case _:
            target = road.provider.target(way.wire.kind, way.wire.model, family=way.wire.family, key=key)
            return TranslatedAttempt(asked, target, road.litellm, key, 7)


def check(words: str, key: str, *, begins: str = "No, says ", ends: str = ", ask Tom") -> None:
    """All of the sentence, and no part of the key."""
    assert begins in words
    assert words.endswith(ends)
    for form in (key, orjson.dumps(key).decode()[1:-1]):
        told = [form[at : at + FRAGMENT] for at in range(len(form) - FRAGMENT + 1) if form[at : at + FRAGMENT] in words]
        assert not told, words


@EVERY_KEY
@BOTH_WAYS
@EVERY_WAY
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
async def test_in_a_refusal(way: Way, streamed: bool, status: int, key: str, road: Road) -> None:
    road.provider.refusal = (status, way.wire.error(WORDS.format(key)))
    check(await words_told(way, road, key, streamed=streamed), key)


@EVERY_KEY
@EVERY_WAY
async def test_in_mid_stream(way: Way, key: str, road: Road) -> None:
    assert way.wire.error_frame is not None
    road.provider.frames = [*way.wire.frames(Scripted(text="Hello"))[:3], way.wire.error_frame(WORDS.format(key))]
    check(await words_told(way, road, key), key)


@EVERY_KEY
@BOTH_WAYS
@OUR_READERS
async def test_in_an_error_that_is_told_with_200(way: Way, streamed: bool, key: str, road: Road) -> None:
    """Escaped as no encoder of ours would: `\\/`, as PHP does."""
    error: Any = way.wire.error(WORDS.format(key))
    road.provider.answer = error
    road.provider.frames, road.provider.content_type = [orjson.dumps(error).replace(b"/", b"\\/")], "application/json"
    check(await words_told(way, road, key, streamed=streamed), key)


@EVERY_KEY
@pytest.mark.parametrize("way", [DIRECT, PREPARED], ids=str)
async def test_in_the_word_for_an_end_or_the_name_of_a_tool(way: Way, key: str, road: Road) -> None:
    """What is no error of the upstream's, and becomes one here."""
    frames = way.wire.frames(Scripted(text="Hello"))[:3]
    end = {"choices": [{"delta": {}, "finish_reason": "error", "native_finish_reason": WORDS.format(key)}]}
    road.provider.frames = [*frames, b"data: %s\n\n" % orjson.dumps(end)]
    check(await words_told(way, road, key), key, ends=", ask Tom.")


@EVERY_KEY
@OUR_READERS
async def test_where_a_long_sentence_is_cut(way: Way, key: str, road: Road) -> None:
    road.provider.refusal = (400, way.wire.error("y" * (LONGEST_WORDS - len(key) // 2) + key))
    check(await words_told(way, road, key), key, begins="yyy", ends="")


@pytest.mark.parametrize(
    ("key", "sentence", "told"),
    [
        ("", "No key at all.", "No key at all."),
        ("x", "Take the next exit, x.", "Take the next exit, [redacted]."),
        ("EMPTY", "Got EMPTY, not EMPTYNESS", "Got [redacted], not EMPTYNESS"),
        ("two words/+1", "at /v1?key=two%20words%2F%2B1&alt=sse", "at /v1?key=[redacted]&alt=sse"),
    ],
)
def test_a_short_key_is_taken_out_where_it_stands_alone_and_one_in_an_address_as_well(
    key: str, sentence: str, told: str
) -> None:
    assert without(key, sentence) == told
