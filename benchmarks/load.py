"""Owns the load: a process that asks, keeps the connections alive, times every answer and checks each one."""

import asyncio
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec
import orjson
import uvloop

from benchmarks.meter import cpu_seconds, resident_mb
from benchmarks.workloads import VARIANTS, WORKLOADS, Expected, Workload, ask, expected

ANSWER_SECONDS = 60
COMPLAINTS = 3
_ENDS = ("content_block_stop", "message_delta", "message_stop")


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is asked and metered."""

    url: str
    pid: int
    api_key: str


@dataclass(frozen=True, slots=True)
class Job:
    """What one run does: the same requests to each target, in short turns, so that each meets the same weather."""

    targets: list[Target]
    workload: str
    requests: int
    warm_up: int
    seed: int
    settle_seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """What one run found about one target. Times are in seconds."""

    requests: int
    cpu: float
    wall: float
    own_cpu: float
    resident_mb: float
    latencies: list[float]
    first_bytes: list[float]
    gaps: list[float]
    wrong: int
    complaints: list[str]


@dataclass(slots=True)
class Answer:
    """An answer as it arrives."""

    variant: int
    asked_at: float
    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    arrivals: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """A kept connection with one request at a time."""

    _transport: asyncio.Transport
    _parser: httptools.HttpResponseParser
    _answer: Answer
    _whole: "asyncio.Future[Answer] | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)

    async def ask(self, request: bytes, variant: int) -> Answer:
        self._whole = asyncio.get_running_loop().create_future()
        self._answer = Answer(variant, time.perf_counter())
        self._transport.write(request)
        return await asyncio.wait_for(self._whole, ANSWER_SECONDS)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._answer.arrivals.append(time.perf_counter())
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._answer.body += body

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        if self._whole is not None and not self._whole.done():
            self._whole.set_result(self._answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(ConnectionError("the server closed the connection"))


# --- a run -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Lane:
    """One target during a run: its connections, and what it has answered."""

    target: Target
    connections: list[Connection]
    answers: list[Answer] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    wall: float = 0.0
    own_cpu: float = 0.0
    cpu_before: float = 0.0


async def run(job: Job) -> list[Run]:
    workload = WORKLOADS[job.workload]
    lanes = [await _lane(target, workload) for target in job.targets]
    for lane in lanes:
        await _ask_all(job, workload, lane, range(job.warm_up))
        lane.complaints, lane.answers = _complaints(workload, lane.answers), []
    await asyncio.sleep(job.settle_seconds)
    for lane in lanes:
        lane.cpu_before = cpu_seconds(lane.target.pid)
    await _take_turns(job, workload, lanes)
    await asyncio.sleep(job.settle_seconds)  # what a server does behind its answers counts as well
    used = [cpu_seconds(lane.target.pid) - lane.cpu_before for lane in lanes]
    for lane in lanes:
        for connection in lane.connections:
            connection.close()
    return [_found(workload, lane, cpu) for lane, cpu in zip(lanes, used, strict=True)]


async def _take_turns(job: Job, workload: Workload, lanes: list[Lane]) -> None:
    """Each target in turn, the one to begin changing, until each has had all requests.

    Slow streams leave the servers idle most of the time: there all targets are asked at once.
    """
    for turn in range(workload.turns):
        numbers = range(job.warm_up + turn, job.warm_up + job.requests, workload.turns)
        if workload.pause:
            await asyncio.gather(*(_take_turn(job, workload, lane, numbers) for lane in lanes))
            continue
        for lane in lanes if turn % 2 == 0 else reversed(lanes):
            await _take_turn(job, workload, lane, numbers)


async def _take_turn(job: Job, workload: Workload, lane: Lane, numbers: Iterable[int]) -> None:
    own, began = time.process_time(), time.perf_counter()
    await _ask_all(job, workload, lane, numbers)
    lane.wall += time.perf_counter() - began
    lane.own_cpu += time.process_time() - own


def _found(workload: Workload, lane: Lane, cpu: float) -> Run:
    answers, complaints = lane.answers, lane.complaints + _complaints(workload, lane.answers)
    return Run(
        requests=len(answers),
        cpu=cpu,
        wall=lane.wall,
        own_cpu=lane.own_cpu,
        resident_mb=resident_mb(lane.target.pid),
        latencies=[answer.arrivals[-1] - answer.asked_at for answer in answers],
        first_bytes=[answer.arrivals[0] - answer.asked_at for answer in answers],
        gaps=[gap for answer in answers for gap in _gaps(answer)] if workload.pause else [],
        wrong=len(complaints),
        complaints=complaints[:COMPLAINTS],
    )


def _gaps(answer: Answer) -> list[float]:
    return [later - sooner for sooner, later in zip(answer.arrivals, answer.arrivals[1:], strict=False)]


async def _lane(target: Target, workload: Workload) -> Lane:
    return Lane(target, [await _connected(target.url) for _ in range(workload.connections)])


async def _connected(url: str) -> Connection:
    host, _, port = urlsplit(url).netloc.partition(":")
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, int(port))
    return connection


async def _ask_all(job: Job, workload: Workload, lane: Lane, numbers: Iterable[int]) -> None:
    """Each connection takes the next request when it has its answer; slow streams begin one after the other."""
    waiting = iter(numbers)
    spread = workload.pause * workload.chunks / 2 / len(lane.connections)

    async def work(connection: Connection, delay: float) -> None:
        if delay:
            await asyncio.sleep(delay)
        for number in waiting:
            request = request_bytes(job.seed, workload, lane.target, number)
            lane.answers.append(await connection.ask(request, number % VARIANTS))

    await asyncio.gather(*(work(connection, position * spread) for position, connection in enumerate(lane.connections)))


def request_bytes(seed: int, workload: Workload, target: Target, number: int) -> bytes:
    """The request as Claude Code sends it."""
    asked = ask(workload, seed, number)
    head = (
        "POST /v1/messages?beta=true HTTP/1.1\r\n"
        f"host: {urlsplit(target.url).netloc}\r\n"
        "accept: application/json\r\ncontent-type: application/json\r\n"
        "anthropic-version: 2023-06-01\r\nanthropic-beta: claude-code-20250219,context-management-2025-06-27\r\n"
        "x-app: cli\r\nuser-agent: claude-cli/2.1.197 (external, sdk-cli)\r\n"
        "x-stainless-lang: js\r\nx-stainless-retry-count: 0\r\nx-stainless-timeout: 600\r\n"
        f"x-claude-code-session-id: {asked.session_id}\r\n"
        f"x-api-key: {target.api_key}\r\n"
        f"content-length: {len(asked.body)}\r\n\r\n"
    )
    return head.encode() + asked.body


# --- is the answer right? --------------------------------------------------------------------------------------------


def _complaints(workload: Workload, answers: list[Answer]) -> list[str]:
    judged = (complaint(workload, answer.variant, answer.status, bytes(answer.body)) for answer in answers)
    return [found for found in judged if found]


def complaint(workload: Workload, variant: int, status: int, body: bytes) -> str:
    """What is wrong with an answer; nothing if it is right."""
    if status != 200:
        return f"status {status}: {body[:200]!r}"
    judge = _judge_stream if workload.is_streamed else _judge_message
    try:
        return judge(body, expected(workload, variant))
    except (orjson.JSONDecodeError, KeyError, ValueError, IndexError, TypeError) as error:
        return f"not a Messages answer: {error!r}: {body[:200]!r}"


def _judge_message(body: bytes, right: Expected) -> str:
    message = orjson.loads(body)
    if message["content"] != [{"type": "text", "text": right.text}]:
        return f"content is {message['content']!r:.200}"
    if message["stop_reason"] != "end_turn":
        return f"stop_reason is {message['stop_reason']!r}"
    return _judge_usage(message["usage"], right)


def _judge_stream(body: bytes, right: Expected) -> str:
    events = [event for event in map(_event, body.split(b"\n\n")[:-1]) if event["type"] != "ping"]
    kinds = tuple(event["type"] for event in events)
    deltas = events[2:-3]
    if kinds[:2] != ("message_start", "content_block_start") or kinds[-3:] != _ENDS:
        return f"the stream runs {kinds[:3]} ... {kinds[-3:]}"
    if any(event["type"] != "content_block_delta" or event["index"] != 0 for event in deltas):
        return f"the stream holds {set(kinds)}"
    if "".join(event["delta"]["text"] for event in deltas) != right.text:
        return "the text is not what the upstream sent"
    if events[-2]["delta"]["stop_reason"] != "end_turn":
        return f"stop_reason is {events[-2]['delta']['stop_reason']!r}"
    return _judge_usage(events[-2]["usage"], right)


def _event(text: bytes) -> dict[str, Any]:
    name, data = text.split(b"\n", 1)
    event: dict[str, Any] = orjson.loads(data.removeprefix(b"data: "))
    if name.removeprefix(b"event: ") != event["type"].encode():
        raise ValueError(f"{name!r} announces {event['type']!r}")
    return event


def _judge_usage(usage: dict[str, Any], right: Expected) -> str:
    told = (usage["input_tokens"], usage.get("cache_read_input_tokens", 0), usage["output_tokens"])
    wanted = (right.input_tokens, right.cached_tokens, right.output_tokens)
    return "" if told == wanted else f"usage is {told}, not {wanted}"


def main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(job))))


if __name__ == "__main__":
    main()
