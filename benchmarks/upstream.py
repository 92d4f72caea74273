"""Owns the light upstream: OpenRouter's shape in prebuilt bytes, by a raw protocol that costs little itself."""

import asyncio
import sys
from functools import cache
from typing import Any

import orjson

from benchmarks.workloads import MARK, MODEL, WORKLOADS, Workload, expected, piece

HOST = "127.0.0.1"
KEY = "sk-or-bench"
COMMENT = b": OPENROUTER PROCESSING\n\n"
END_OF_CHUNKS = b"0\r\n\r\n"
_HEAD = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nX-Generation-Id: gen-bench\r\n%s\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection: a request at a time, its answer chosen by the mark in its body."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()
        self._body_at = 0
        self._whole_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._whole_at and not self._read_head():
            return
        if len(self._received) >= self._whole_at:
            head, body = self._received[: self._body_at], bytes(self._received[self._body_at : self._whole_at])
            del self._received[: self._whole_at]
            self._whole_at = 0
            self._answer(bytes(head), body)

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._body_at = end + 4
        head = bytes(self._received[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        self._whole_at = self._body_at + length
        return True

    def _answer(self, head: bytes, body: bytes) -> None:
        at = body.find(MARK)
        if at < 0 or KEY.encode() not in head:
            self._transport.write(refusal(b"no mark, or not the key"))
            return
        _, name, rest = body[at : at + 20].split(b":")
        workload, variant = WORKLOADS[name.decode()], int(rest[:3])
        if workload.is_large != (b'"tools":[' in body) or workload.is_streamed != (b'"stream":true' in body):
            self._transport.write(refusal(b"not translated"))
        elif not workload.is_streamed:
            self._transport.write(whole_answer(workload, variant))
        elif not workload.pause:
            for data in streamed_answer(workload, variant):
                self._transport.write(data)
        else:
            loop = asyncio.get_running_loop()
            self._write_slowly(streamed_answer(workload, variant), 0, loop.time(), workload.pause, loop)

    def _write_slowly(
        self, answer: list[bytes], position: int, due: float, pause: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(answer[position])
        if position + 1 < len(answer):
            due += pause
            loop.call_at(due, self._write_slowly, answer, position + 1, due, pause, loop)


# --- prebuilt bytes --------------------------------------------------------------------------------------------------


def refusal(why: bytes) -> bytes:
    body = b'{"error":{"code":400,"message":"%s"}}' % why
    return _HEAD % (b"400 Bad Request", b"application/json", b"Content-Length: %d" % len(body)) + body


@cache
def whole_answer(workload: Workload, variant: int) -> bytes:
    message = {"role": "assistant", "content": expected(workload, variant).text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "native_finish_reason": "completed"}
    body = orjson.dumps(
        _envelope("chat.completion") | {"choices": [choice], "usage": _usage(workload, variant)},
    )
    return _HEAD % (b"200 OK", b"application/json", b"Content-Length: %d" % len(body)) + body


@cache
def streamed_answer(workload: Workload, variant: int) -> list[bytes]:
    """What is written, write by write: the head with a comment, each chunk, and the end."""
    head = _HEAD % (b"200 OK", b"text/event-stream", b"Transfer-Encoding: chunked") + _chunked(COMMENT)
    pieces = [_event(_delta(piece(workload, variant, position))) for position in range(workload.chunks)]
    last = _event(_delta("", "stop")) + _event({"choices": [], "usage": _usage(workload, variant)})
    return [head, *pieces, last + _chunked(b"data: [DONE]\n\n") + END_OF_CHUNKS]


def _delta(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    delta = {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "native_finish_reason": finish_reason}
    return {"choices": [choice | {"logprobs": None}]}


def _event(fields: dict[str, Any]) -> bytes:
    return _chunked(b"data: %s\n\n" % orjson.dumps(_envelope("chat.completion.chunk") | fields))


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _envelope(kind: str) -> dict[str, Any]:
    identity = {"id": "gen-1766000000-AbCdEfGhIjKlMnOpQrSt", "provider": "OpenAI", "model": MODEL}
    return {**identity, "object": kind, "created": 1766000000, "system_fingerprint": None}


def _usage(workload: Workload, variant: int) -> dict[str, Any]:
    answer = expected(workload, variant)
    return {
        "prompt_tokens": answer.input_tokens + answer.cached_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.cached_tokens + answer.output_tokens,
        "cost": 0.00123,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "cost_details": {"upstream_inference_cost": None},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, HOST, 0, backlog=2048)
    print(f"http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        sys.exit(0)
