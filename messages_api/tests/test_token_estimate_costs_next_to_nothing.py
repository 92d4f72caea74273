"""message_start needs a number of input tokens at once: sizes give it, near enough, for a few microseconds."""

import time
import timeit
from typing import Any

import orjson
import pytest

from benchmarks.workloads import WORKLOADS, ask
from messages_api.schemas import Envelope, parse_envelope
from messages_api.services import token_count
from messages_api.services.token_estimate import REQUEST_TOKENS, estimate_tokens
from messages_api.services.translation.chat import decode_chunk
from messages_api.services.translation.events import MessageDelta, MessageStart
from messages_api.services.translation.stream import StreamTranslator
from messages_api.tests.token_requests import CODE, PROSE, TOOL, asked, base64_source, image, pdf, said, tool_result

LARGE = parse_envelope(ask(WORKLOADS["W2"], 1, 1).body)


def counted(request: Envelope) -> int:
    return token_count._count(request, "openai/gpt-5.1", 1.0, "")


def added(*content: Any, **fields: Any) -> int:
    return estimate_tokens(asked(*content, **fields)) - estimate_tokens(asked())


# --- pitfall 4: the stream begins with a number that means something, and ends with the true one ---------------------


def test_message_start_tells_the_estimate_and_message_delta_the_truth() -> None:
    translator = StreamTranslator(message_id="msg_1", model="sonnet", family="openai", input_tokens=17_000)
    chunk = {
        "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 16_000, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 15_000}},
    }
    events = translator.feed(decode_chunk(orjson.dumps(chunk))) + translator.finish()
    (start,) = [event for event in events if isinstance(event, MessageStart)]
    (delta,) = [event for event in events if isinstance(event, MessageDelta)]
    assert start.message.usage.input_tokens == 17_000
    assert (delta.usage.input_tokens, delta.usage.cache_read_input_tokens) == (1_000, 15_000)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(LARGE, id="a turn of Claude Code"),
        pytest.param(asked(said(PROSE * 5)), id="prose"),
        pytest.param(asked(*[tool_result(said(CODE * 20))] * 5), id="code"),
        pytest.param(asked(said("ゲートウェイについて話しています。" * 50)), id="Japanese"),
        pytest.param(asked(said("Мы обсуждаем здесь шлюз, который переводит запросы. " * 50)), id="Russian"),
        pytest.param(asked(tools=[TOOL] * 10, system=PROSE), id="tools"),
        pytest.param(asked(image(1000, 1000), image(300, 200), said(PROSE)), id="images"),
    ],
)
def test_an_estimate_is_near_the_count_and_high_rather_than_low(request_: Envelope) -> None:
    assert 0.9 < estimate_tokens(request_) / counted(request_) < 2.1


def test_the_least_request_is_not_estimated_at_nothing() -> None:
    assert estimate_tokens(parse_envelope(b'{"model":"m","messages":[]}')) > REQUEST_TOKENS


@pytest.mark.parametrize("field", ["system", "tools", "output_config", "tool_choice"])
def test_every_field_that_a_model_reads_weighs(field: str) -> None:
    assert added(**{field: [PROSE]}) == pytest.approx(len(PROSE) / 4.2, rel=0.1)


def test_what_the_alias_adds_to_the_system_prompt_weighs() -> None:
    assert estimate_tokens(asked(), PROSE) - estimate_tokens(asked()) == pytest.approx(len(PROSE) / 4.4, abs=1)


# --- media do not weigh as text --------------------------------------------------------------------------------------


def test_an_image_weighs_by_its_pixels_and_not_by_its_bytes() -> None:
    noise = image(1000, 750)
    noise["source"]["data"] += "A" * 2_000_000
    assert 1_000 < added(noise) < 1_050
    assert 2_000 < added(noise, tool_result(noise)) < 2_100


def test_a_pdf_weighs_by_its_size_within_what_is_allowed() -> None:
    assert 2_000 < added(pdf(3, padding=40_000)) < 2_500
    assert added(pdf(3, padding=20_000_000)) < 310_000


def test_media_are_found_however_the_json_is_written() -> None:
    large = image(1000, 750)
    large["source"]["data"] += "A" * 100_000
    body = {"model": "m", "messages": [{"role": "user", "content": [large]}]}
    wide = orjson.dumps(body, option=orjson.OPT_INDENT_2).replace(b'"data": ', b'"data" :\n')
    escaped = orjson.dumps(asked_jpeg()).replace(b"/", b"\\/")
    assert 1_000 < estimate_tokens(parse_envelope(wide)) < 1_200
    assert estimate_tokens(parse_envelope(escaped)) < 1_700


def asked_jpeg() -> dict[str, Any]:
    jpeg = {"type": "image", "source": base64_source(b"\xff\xd8\xff\xe0" + b"\xff" * 100_000, "image/jpeg")}
    return {"model": "m", "messages": [{"role": "user", "content": [jpeg]}]}


def test_a_text_that_speaks_of_media_weighs_as_text() -> None:
    speech = '{"type": "base64", "data": "iVBORw0KGgo' + "A" * 3_900 + '"}'
    assert added(said(speech)) > 1_000


# --- cost ------------------------------------------------------------------------------------------------------------


def test_a_turn_of_claude_code_is_estimated_in_less_than_30_microseconds() -> None:
    timer = timeit.Timer(lambda: estimate_tokens(LARGE), timer=time.thread_time)
    assert min(timer.repeat(repeat=5, number=500)) / 500 < 30e-6
