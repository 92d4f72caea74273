"""What an upstream may legally, or just about, send: an answer where there is one, else an error; never a crash."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import aiohttp
import pytest
from aiohttp import web

from messages_api.errors import ApiError, InvalidRequest
from messages_api.schemas import parse_request
from messages_api.services.failures import OPENROUTER
from messages_api.services.model_facts import ModelFacts
from messages_api.services.routing import Target
from messages_api.services.translation.chat import AnswerError, ChatUsage, CostDetails, decode_chunk
from messages_api.services.translation.events import Text, ToolUse
from messages_api.services.translation.request import translate_request
from messages_api.services.translation.response import message_of
from messages_api.services.translation.stream import StreamTranslator
from messages_api.services.translation.usage import charged, tokens_of
from messages_api.services.upstream.base import ChatCall
from messages_api.services.upstream.http import Sessions
from messages_api.services.upstream.openrouter import ChunkReader, OpenRouterUpstream

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def translator() -> StreamTranslator:
    return StreamTranslator(message_id="msg_1", model="sonnet", family="openai")


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "-1", "1e30", "1e9999999"])
def test_a_charge_that_nobody_would_pay_is_no_charge(cost: str) -> None:
    assert charged(ChatUsage(cost=Decimal(cost))) is None
    details = CostDetails(upstream_inference_cost=Decimal(cost))
    assert charged(ChatUsage(cost=Decimal(1), is_byok=True, cost_details=details)) is None


def test_absurd_counts_stay_within_the_database() -> None:
    tokens = tokens_of(ChatUsage(prompt_tokens=1e300, completion_tokens=-5))
    assert 0 <= tokens.input < 2**63
    assert tokens.output == 0


def test_content_may_be_a_list_of_parts() -> None:
    chunk = decode_chunk(
        b'{"id":7,"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},'
        b'"finish_reason":"stop"}],"usage":{"prompt_tokens":1.0,"completion_tokens":2.5}}'
    )
    assert message_of(chunk, translator()).content == [Text("ab")]


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (b'{"object":"error","message":"No, says Tom","type":"BadRequestError","code":400}', 400),  # vLLM
        (b'{"message":"No, says Tom","choices":null}', 502),
    ],
)
def test_an_error_may_be_the_whole_of_a_chunk(payload: bytes, status: int) -> None:
    with pytest.raises(ApiError, match="No, says Tom") as raised:
        ChunkReader(OPENROUTER).read(payload)
    assert raised.value.status == status


@pytest.mark.parametrize(
    "payload", [b'{"message":"Hi","choices":[]}', b'{"message":{"role":"assistant"}}', b'{"message":null}', b"{}"]
)
def test_a_chunk_without_words_of_an_error_is_none(payload: bytes) -> None:
    assert not ChunkReader(OPENROUTER).read(payload).choices


def test_calls_with_different_names_are_different_calls() -> None:
    answer = translator()
    for name, arguments in (("A", ""), ("B", '{\\"x\\":1}')):
        answer.feed(
            decode_chunk(
                b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":"%s","arguments":"%s"}}]}}]}'
                % (name.encode(), arguments.encode())
            )
        )
    whole = decode_chunk(b'{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}')
    started = [*answer.feed(whole), *answer.finish()]
    blocks = [event.content_block for event in started if hasattr(event, "content_block")]
    assert [block.name for block in blocks if isinstance(block, ToolUse)] == ["B"], "A was placed when it came"


@pytest.mark.parametrize(
    "details",
    [
        b"[{}]",
        b'[{"type":7}]',
        b'[{"type":"reasoning.text","text":5}]',
        b'[{"type":"reasoning.encrypted","format":"anthropic-claude-v1"}]',
        b'[{"type":"reasoning.text","text":"a","id":[1]}]',
    ],
)
def test_malformed_reasoning_is_an_error_that_says_so(details: bytes) -> None:
    chunk = decode_chunk(b'{"choices":[{"delta":{"reasoning":"r","reasoning_details":%s}}]}' % details)
    with pytest.raises(AnswerError, match="reasoning"):
        translator().feed(chunk)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}],"tools":"\xff"}',
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}],"tools":[{"name":"\xff"}]}',
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}],"top_k":99999999999999999999}',
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":'
        b'{"type":"object","maxProperties":99999999999999999999}}]}',
        b'{"model":"%s","max_tokens":9,"messages":[{"role":"user","content":"a"}]}' % (b"claude-" + b"x" * 600),
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}],%s}'
        % b",".join(b'"field%d":1' % number for number in range(65)),
    ],
)
def test_a_request_that_cannot_be_sent_is_the_clients_error(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        translate_request(parse_request(body), model="openai/x", facts=ModelFacts("openai/x", family="openai")).encode()


# --- on the wire -----------------------------------------------------------------------------------------------------


async def asked(handler: Handler, *, stream: bool) -> list[object]:
    """What a streamed or whole call to a server with this handler gives."""
    app = web.Application()
    app.router.add_post("/chat/completions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    request = parse_request(b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}]}')
    facts = ModelFacts("openai/x", family="openai")
    call = ChatCall(Target("openai/x", facts), translate_request(request, model="openai/x", facts=facts), "sk-or-x")
    try:
        async with aiohttp.ClientSession() as session:
            upstream = OpenRouterUpstream(Sessions(session, session), f"http://127.0.0.1:{port}")
            if not stream:
                return [await upstream.complete(call)]
            arriving = await upstream.stream(call)
            chunks: list[object] = [chunk async for chunks in arriving for chunk in chunks]
            await arriving.close()
            return chunks
    finally:
        await runner.cleanup()


async def test_an_error_that_arrives_in_two_pieces_keeps_its_words() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        await response.write(b'{"error":{"message":"maximum context length is 1000 tokens, you ')
        await asyncio.sleep(0.1)
        await response.write(b'asked for 2000 tokens"}}')
        return response

    with pytest.raises(InvalidRequest, match="prompt is too long: 2000 tokens > 1000 maximum"):
        await asked(refuse, stream=False)


async def test_done_ends_a_stream_whose_connection_stays_open() -> None:
    async def linger(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(
            b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        )
        await asyncio.sleep(5)
        return response

    async with asyncio.timeout(3):
        assert len(await asked(linger, stream=True)) == 1
