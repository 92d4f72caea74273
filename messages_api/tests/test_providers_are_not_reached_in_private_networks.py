"""What a provider's base URL stands for is judged when it is connected to, whichever client connects."""

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from pytest_django import Settings

from accounts import way_out
from messages_api.errors import ApiError, Forbidden
from messages_api.services import gateway
from messages_api.services.routing import Target
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.litellm import LiteLlmUpstream
from messages_api.services.upstream.messages import MessagesCall, MessagesUpstream
from messages_api.services.upstream.openrouter import OpenRouterUpstream
from messages_api.tests.asked_upstream import call_to
from messages_api.tests.loopback_provider import Provider, provider_on_loopback
from messages_api.tests.provider_formats import FORMATS, Format, Scripted

#: A name that stood for a public address when it was written, and does not now.
REBOUND = "models.rebound.example"
NOWHERE = "http://127.0.0.1:9"
EVERY_FORMAT = pytest.mark.parametrize("wire", FORMATS, ids=str)


@pytest_asyncio.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    found = socket.getaddrinfo

    def getaddrinfo(host: Any, *where: Any, **how: Any) -> Any:
        return found("127.0.0.1" if host == REBOUND else host, *where, **how)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with provider_on_loopback() as served:
        served.base_url = f"http://{REBOUND}:{urlsplit(served.base_url).port}"
        yield served


@pytest_asyncio.fixture
async def sessions() -> AsyncIterator[Sessions]:
    """The gateway's own."""
    opened = gateway._sessions()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def through_litellm(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiteLlmUpstream]:
    monkeypatch.setenv("AWS_REGION_NAME", "eu-central-1")
    client = LiteLlmUpstream(sessions, NOWHERE)
    yield client
    await client.close()


def relayed(provider: Provider) -> MessagesCall:
    target = provider.target("anthropic", "claude-any")
    return MessagesCall(target, b"{}", {}, "key-of-provider")


def at(target: Target, base_url: str) -> Target:
    assert target.provider is not None
    return replace(target, provider=replace(target.provider, base_url=base_url))


def play(provider: Provider, wire: Format) -> Target:
    provider.answer, provider.content_type = wire.whole(Scripted(text="Hello")), wire.content_type
    provider.frames = wire.frames(Scripted(text="Hello"))
    return provider.target(wire.kind, wire.model, family=wire.family)


async def test_nothing_is_relayed_to_one(provider: Provider, sessions: Sessions, settings: Settings) -> None:
    upstream, call = MessagesUpstream(sessions, NOWHERE), relayed(provider)
    provider.answer = {}
    settings.ALLOW_PRIVATE_ADDRESSES = False
    with pytest.raises(Forbidden, match="ALLOW_PRIVATE_ADDRESSES"):
        await upstream.complete(call)
    with pytest.raises(Forbidden):
        await upstream.stream(call)
    assert provider.requests == []
    settings.ALLOW_PRIVATE_ADDRESSES = True
    await upstream.complete(call)
    assert len(provider.requests) == 1


@EVERY_FORMAT
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_nothing_is_sent_to_one_through_litellm(
    wire: Format, streamed: bool, provider: Provider, through_litellm: LiteLlmUpstream, settings: Settings
) -> None:
    call = call_to(play(provider, wire), "Hi", streamed=streamed)
    ask = through_litellm.stream if streamed else through_litellm.complete
    settings.ALLOW_PRIVATE_ADDRESSES = False
    with pytest.raises(Forbidden, match="ALLOW_PRIVATE_ADDRESSES"):
        await ask(call)
    assert provider.requests == []
    settings.ALLOW_PRIVATE_ADDRESSES = True
    answer: Any = await ask(call)
    assert len(provider.requests) == 1
    if streamed:
        await answer.close()


@EVERY_FORMAT
async def test_an_address_that_shows_it_is_not_handed_to_litellm(
    wire: Format, provider: Provider, through_litellm: LiteLlmUpstream, settings: Settings
) -> None:
    target = at(play(provider, wire), f"http://127.0.0.1:{urlsplit(provider.base_url).port}")
    settings.ALLOW_PRIVATE_ADDRESSES = False
    with pytest.raises(Forbidden, match=r"127\.0\.0\.1 is in a private network"):
        await through_litellm.complete(call_to(target, "Hi", streamed=False))
    assert provider.requests == []


@EVERY_FORMAT
async def test_no_redirect_is_followed_through_litellm(
    wire: Format, provider: Provider, through_litellm: LiteLlmUpstream, settings: Settings
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True
    target = play(provider, wire)
    provider.refusal, provider.elsewhere = (307, {}), f"{provider.base_url}/elsewhere"
    with pytest.raises(ApiError):
        await through_litellm.complete(call_to(target, "Hi", streamed=False))
    assert len(provider.requests) == 1


async def test_no_redirect_is_followed_when_relayed(provider: Provider, sessions: Sessions) -> None:
    provider.refusal, provider.elsewhere = (307, {}), f"{provider.base_url}/elsewhere"
    with pytest.raises(ApiError):
        await MessagesUpstream(sessions, NOWHERE).complete(relayed(provider))
    assert len(provider.requests) == 1


async def test_openrouter_is_where_the_settings_say(
    provider: Provider, sessions: Sessions, through_litellm: LiteLlmUpstream, settings: Settings
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    provider.answer = {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}
    call = call_to(replace(provider.target("openai", "gpt"), provider=None), "Hi", streamed=False)
    await OpenRouterUpstream(sessions, provider.base_url).complete(call)
    await LiteLlmUpstream(sessions, provider.base_url).complete(call)
    assert len(provider.requests) == 2


async def test_a_proxy_is_where_the_settings_say_but_an_address_is_still_read(
    provider: Provider, sessions: Sessions, settings: Settings
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    provider.answer = {}
    upstream = MessagesUpstream(sessions, NOWHERE, proxy=f"http://127.0.0.1:{urlsplit(provider.base_url).port}")
    await upstream.complete(relayed(provider))
    assert len(provider.requests) == 1
    call = relayed(provider)
    with pytest.raises(Forbidden, match="private network"):
        await upstream.complete(replace(call, target=at(call.target, "http://10.0.0.1")))


async def test_a_connection_is_judged_once(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    judged: list[Any] = []

    def judge(address: Any) -> socket.socket:
        judged.append(address)
        return way_out.judged_socket(address)

    settings.ALLOW_PRIVATE_ADDRESSES = True
    monkeypatch.setattr(gateway, "judged_socket", judge)
    provider.answer = {}
    sessions = gateway._sessions()
    upstream = MessagesUpstream(sessions, NOWHERE)
    for _ in range(3):
        await upstream.complete(relayed(provider))
    await sessions.close()
    assert (len(judged), len(provider.requests)) == (1, 3)
