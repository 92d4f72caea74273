"""Owns the bare bound: the smallest honest ASGI app that does our translation, without accounts, ledger or Django."""

import argparse
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import uvicorn
from msgspec.json import Encoder
from yarl import URL

import messages_api
from benchmarks.upstream import KEY
from benchmarks.workloads import MODEL
from messages_api.schemas import MessagesRequest, parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.sse import encode
from messages_api.services.sse_reader import SseReader
from messages_api.services.translation.chat import decode_chunk
from messages_api.services.translation.request import Translation, translate_request
from messages_api.services.translation.response import message_of
from messages_api.services.translation.stream import StreamTranslator

DONE = b"[DONE]"
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
SESSION = b"x-claude-code-session-id"
_encode = Encoder().encode


def model_facts() -> ModelFacts:
    """The facts of the one model, from the catalogue that ships: what our server reads from its table."""
    snapshot = Path(messages_api.__file__).parent / "catalog_snapshot.json"
    row = next(model for model in orjson.loads(snapshot.read_bytes())["models"] if model["id"] == MODEL)
    reasoning = row.get("reasoning") or {}
    return ModelFacts(
        id=MODEL,
        family=MODEL.partition("/")[0],
        max_output=row["top_provider"]["max_completion_tokens"],
        modalities=frozenset(row["architecture"]["input_modalities"]),
        parameters=frozenset(row["supported_parameters"]) or None,
        efforts=tuple(reasoning.get("supported_efforts") or ()),
        reasoning_is_mandatory=bool(reasoning.get("mandatory")),
        reasoning_takes_budget=bool(reasoning.get("supports_max_tokens")),
    )


class Bound:
    """The app. One route, one model, one key."""

    _session: aiohttp.ClientSession

    def __init__(self, upstream: str) -> None:
        self._url = URL(f"{upstream}/chat/completions")
        self._facts = model_facts()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["method"] != "POST":
            await _start(send, b"text/plain")
            await send({"type": "http.response.body", "body": b"ready"})
            return
        request = parse_request(await _body(receive))
        session_id = next((value for name, value in scope["headers"] if name == SESSION), b"").decode()
        translation = translate_request(request, model=MODEL, facts=self._facts, session_id=session_id)
        async with self._session.post(self._url, data=translation.encode(), headers=HEADERS) as response:
            response.raise_for_status()
            answer = _stream if request.stream else _whole
            await answer(response, _translator(request, translation), send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})


def _translator(request: MessagesRequest, translation: Translation) -> StreamTranslator:
    return StreamTranslator(
        message_id=f"msg_{uuid4().hex}", model=request.model, family="openai", tools=translation.tools
    )


async def _whole(response: aiohttp.ClientResponse, translator: StreamTranslator, send: Any) -> None:
    body = _encode(message_of(decode_chunk(await response.read()), translator))
    await _start(send, b"application/json", (b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.body", "body": body})


async def _stream(response: aiohttp.ClientResponse, translator: StreamTranslator, send: Any) -> None:
    reader = SseReader()
    await _start(send, b"text/event-stream; charset=utf-8", (b"cache-control", b"no-cache"))
    while received := await response.content.readany():
        payloads = reader.feed(received)
        events = [event for p in payloads if p != DONE for event in translator.feed(decode_chunk(p))]
        if events:
            await send({"type": "http.response.body", "body": encode(events), "more_body": True})
    await send({"type": "http.response.body", "body": encode(translator.finish())})


async def _start(send: Any, content_type: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type), *headers]})


async def _body(receive: Any) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


def main() -> None:
    parser = argparse.ArgumentParser(description="The bare bound.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    options = parser.parse_args()
    config = uvicorn.Config(
        Bound(options.upstream),
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
