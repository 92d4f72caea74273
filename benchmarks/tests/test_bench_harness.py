"""The benchmark itself: it notices a wrong answer, its upstream is understood by our reader, and its figures add up."""

import asyncio
import os
import time
from collections.abc import Iterator
from threading import Thread

import orjson
import pytest
from msgspec.json import Encoder

from benchmarks import meter
from benchmarks.__main__ import _options, _plan
from benchmarks.load import Job, Run, Target, complaint, run
from benchmarks.report import Comparison, harness_is_sound, regressions, table, us_per_chunk
from benchmarks.upstream import END_OF_CHUNKS, streamed_answer, whole_answer
from benchmarks.workloads import WORKLOADS, ask, expected
from messages_api.services.sse import encode
from messages_api.services.sse_reader import SseReader
from messages_api.services.translation.chat import decode_chunk
from messages_api.services.translation.response import message_of
from messages_api.services.translation.stream import StreamTranslator

W1, W2, W3 = WORKLOADS["W1"], WORKLOADS["W2"], WORKLOADS["W3"]
VARIANT = 5


def translator() -> StreamTranslator:
    return StreamTranslator(message_id="msg_1", model="claude-sonnet-5", family="openai")


def message() -> bytes:
    """The right answer to W1, as a server makes it from what the upstream sends."""
    chat = whole_answer(W1, VARIANT).partition(b"\r\n\r\n")[2]
    return Encoder().encode(message_of(decode_chunk(chat), translator()))


def encode_message(whole: object) -> bytes:
    import msgspec

    return msgspec.json.encode(whole)


def stream() -> bytes:
    """The right answer to W3."""
    reader, chat = SseReader(), translator()
    lines = b"".join(streamed_answer(W3, VARIANT)).partition(b"\r\n\r\n")[2].removesuffix(END_OF_CHUNKS)
    payloads = [p for p in reader.feed(b"\n".join(lines.split(b"\r\n"))) if p.startswith(b"{")]
    events = [event for payload in payloads for event in chat.feed(decode_chunk(payload))]
    return encode([*events, *chat.finish()])


# --- the judge -------------------------------------------------------------------------------------------------------


def test_right_answers_are_right() -> None:
    assert complaint(W1, VARIANT, 200, message()) == ""
    assert complaint(W3, VARIANT, 200, stream()) == ""


def test_an_answer_to_another_request_is_noticed() -> None:
    assert "content" in complaint(W1, VARIANT + 1, 200, message())
    assert "text" in complaint(W3, VARIANT + 1, 200, stream())


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"end_turn"', b'"max_tokens"', "stop_reason"),
        (b'"output_tokens":105', b'"output_tokens":106', "usage"),
        (b"message_stop", b"ping", "the stream runs"),
        (b"event: content_block_stop", b"event: ping", "announces"),
        (b"[W3/5]", b"[W3/6]", "text"),
        (b'"index":0,"delta"', b'"index":1,"delta"', "holds"),
        (b'"type":"message_start"', b'"type":"message_star', "not a Messages answer"),
    ],
)
def test_a_spoiled_stream_is_noticed(old: bytes, new: bytes, why: str) -> None:
    spoiled = stream().replace(old, new)
    assert spoiled != stream()
    assert why in complaint(W3, VARIANT, 200, spoiled)


def test_a_stream_that_is_cut_is_noticed() -> None:
    whole = stream()
    assert all(complaint(W3, VARIANT, 200, whole[: len(whole) * part // 10]) for part in range(10))


def test_an_error_is_noticed() -> None:
    assert "529" in complaint(W1, VARIANT, 529, b"{}")


# --- the generator ---------------------------------------------------------------------------------------------------


class WrongServer(asyncio.Protocol):
    """Answers every request with the answer to the first."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        body = message()
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture
def wrong_server() -> Iterator[str]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(WrongServer, "127.0.0.1", 0))
    thread = Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def test_the_generator_asks_for_all_and_notices_the_wrong_ones(wrong_server: str) -> None:
    job = Job([Target(wrong_server, 1, "key")], "W1", requests=64, warm_up=0, seed=1, settle_seconds=0)
    (found,) = await run(job)
    assert (found.requests, found.wrong) == (64, 63)
    assert found.complaints
    assert len(found.latencies) == 64


def test_every_request_differs() -> None:
    bodies = {ask(W2, seed, number).body for seed in range(3) for number in range(50)}
    sessions = {ask(W2, seed, number).session_id for seed in range(3) for number in range(50)}
    assert len(bodies) == len(sessions) == 150
    assert 75_000 < len(ask(W2, 1, 1).body) < 80_000
    assert len(orjson.loads(ask(W2, 1, 1).body)["tools"]) == 24


# --- the figures -----------------------------------------------------------------------------------------------------


def measured(cpu: float, requests: int = 100) -> Run:
    return Run(requests, cpu, 1.0, 0.1, 50.0, [0.001, 0.002], [0.001], [], 0, [])


def comparison(*cpus: tuple[float, float], workload: str = "W1") -> Comparison:
    return Comparison(WORKLOADS[workload], "ours", [(measured(ours), measured(bound)) for ours, bound in cpus])


def test_ratios_are_of_pairs() -> None:
    compared = comparison((2.0, 1.0), (9.0, 3.0), (8.0, 2.0), (1.0, 1.0), (6.0, 2.0))
    assert compared.ratios == [2, 3, 4, 1, 3]
    assert (compared.ratio, compared.upper_quartile) == (3, 3)
    assert comparison((2.0, 1.0)).upper_quartile == 2


def test_a_run_with_fewer_requests_counts_per_request() -> None:
    compared = Comparison(W1, "ours", [(measured(1.0, 50), measured(1.0, 100))])
    assert compared.ratio == 2


def test_a_chunk_costs_what_the_stream_adds() -> None:
    assert us_per_chunk(W3, [measured(0.5)], [measured(0.2)]) == pytest.approx(10.0)
    assert us_per_chunk(W2, [measured(0.5)], [measured(0.2)]) is None


def test_the_harness_is_judged_on_every_workload() -> None:
    sound, unsound = comparison((1.02, 1.0)), comparison((1.04, 1.0))
    assert harness_is_sound([sound], (0.97, 1.03))
    assert not harness_is_sound([sound, unsound], (0.97, 1.03))


def test_a_ratio_that_has_grown_by_a_third_is_a_regression() -> None:
    baseline = {"comparisons": [{"workload": "W1", "ratio": 2.0}]}
    assert not regressions(baseline, [comparison((2.5, 1.0)), comparison((9.0, 1.0), workload="W2")])
    assert regressions(baseline, [comparison((2.7, 1.0))]) == ["W1: 2.700 times the bound, and it was 2.000"]


def test_the_table_has_a_line_for_each_server() -> None:
    lines = table([comparison((0.3, 0.1), workload="W2"), comparison((0.9, 0.3), workload="W3")]).splitlines()
    assert len(lines) == 5
    assert lines[3].split() == ["W3", "ours", "9.000", "20.0", "3.000", "3.000", "2.0", "2.0", "50"]
    assert lines[4].split() == ["W3", "bound", "3.000", "6.7", "2.0", "2.0", "50"]


def test_a_quick_run_checks_the_harness_with_ten_pairs() -> None:
    plan = _plan(_options(["--quick"]))
    assert (plan.pairs, plan.check_pairs) == (3, 10)
    assert [workload.requests for workload in plan.workloads] == [400, 200, 60, 200]
    assert [w.name for w in _plan(_options(["--quick", "--workload", "W3"])).checked] == ["W3"]


def test_the_meter_counts_this_process() -> None:
    before, began = meter.cpu_seconds(os.getpid()), time.process_time()
    sum(range(2_000_000))
    assert meter.cpu_seconds(os.getpid()) - before == pytest.approx(time.process_time() - began, abs=0.02)
    assert meter.resident_mb(os.getpid()) > 5


def test_answers_are_long_enough_to_mean_something() -> None:
    assert len(expected(W3, 0).text) > 1_000
