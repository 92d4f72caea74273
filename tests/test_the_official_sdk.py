"""The official anthropic SDK talks to the server: JSON, streams, tools, counting, models, errors."""

import anthropic
import pytest
from anthropic.types import TextBlock, ToolUseBlock

from testing.server_process import ServerProcess

TOOLS: list[anthropic.types.ToolParam] = [
    {
        "name": "Bash",
        "description": "Run a command",
        "input_schema": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "description": {"type": "string"}},
            "required": ["command"],
        },
    }
]


def test_an_answer_as_json(client: anthropic.Anthropic, server: ServerProcess) -> None:
    message = client.messages.create(
        model="sonnet", max_tokens=100, messages=[{"role": "user", "content": "[[say hello there]]"}]
    )
    assert message.content == [TextBlock(type="text", text="hello there")]
    assert (message.model, message.stop_reason, message.role) == ("sonnet", "end_turn", "assistant")
    assert message.usage.output_tokens > 0
    (row,) = server.records(request_id=message._request_id)
    assert (row["input_tokens"], row["output_tokens"]) == (message.usage.input_tokens, message.usage.output_tokens)


def test_an_answer_as_a_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model="claude-haiku-4-5-20251001", max_tokens=2000, messages=[{"role": "user", "content": "[[stream 40 0]]"}]
    ) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert isinstance(message.content[0], TextBlock)
    assert len(pieces) == 40
    assert "".join(pieces) == message.content[0].text


def test_tools_make_a_round_trip(client: anthropic.Anthropic) -> None:
    asked: list[anthropic.types.MessageParam] = [{"role": "user", "content": "[[bash_echo]]"}]
    call = client.messages.create(model="opus", max_tokens=500, tools=TOOLS, messages=asked)
    assert call.stop_reason == "tool_use"
    (block,) = call.content
    assert isinstance(block, ToolUseBlock)
    assert block.input == {"command": "echo hello-from-bash", "description": "Say hello"}
    result: anthropic.types.ToolResultBlockParam = {
        "type": "tool_result",
        "tool_use_id": block.id,
        "content": "hello-from-bash",
    }
    answer = client.messages.create(
        model="opus",
        max_tokens=500,
        tools=TOOLS,
        messages=[*asked, {"role": "assistant", "content": call.content}, {"role": "user", "content": [result]}],
    )
    assert isinstance(answer.content[0], TextBlock)
    assert "hello-from-bash" in answer.content[0].text


def test_tokens_are_counted_and_never_zero(client: anthropic.Anthropic) -> None:
    few = client.messages.count_tokens(model="sonnet", messages=[{"role": "user", "content": "hi"}])
    many = client.messages.count_tokens(
        model="sonnet", system="word " * 1000, tools=TOOLS, messages=[{"role": "user", "content": "hi"}]
    )
    assert 0 < few.input_tokens < 20
    assert 1000 < many.input_tokens < 1200


def test_models_are_listed_in_pages(client: anthropic.Anthropic) -> None:
    assert client.models.list(lifecycle=["active", "retired"], limit=1).data
    assert client.models.list(lifecycle=["retired"]).data == []
    first = client.models.list(limit=5)
    assert len(first.data) == 5
    assert first.has_more
    names = [model.id for model in client.models.list(limit=1000)]
    assert {"haiku", "sonnet", "opus", "openai/gpt-5"} <= set(names)
    assert "claude-bridge/openai/gpt-5" in names
    everything = [model.id for model in first]
    assert everything == names


def test_one_model_is_described(client: anthropic.Anthropic) -> None:
    model = client.models.retrieve("openai/gpt-5")
    assert (model.id, model.type) == ("openai/gpt-5", "model")
    assert model.max_tokens == 128_000


def test_a_model_from_the_picker_is_routed(client: anthropic.Anthropic, server: ServerProcess) -> None:
    message = client.messages.create(
        model="claude-bridge/openai/gpt-4o-mini", max_tokens=50, messages=[{"role": "user", "content": "[[text]]"}]
    )
    assert server.records(request_id=message._request_id)[0]["model"] == "openai/gpt-4o-mini"


@pytest.mark.parametrize(
    ("marker", "kind", "status"),
    [
        ("[[error 400]]", anthropic.BadRequestError, 400),
        ("[[error 402]]", anthropic.APIStatusError, 402),
        ("[[error 403]]", anthropic.PermissionDeniedError, 403),
        ("[[error 429]]", anthropic.RateLimitError, 429),
        ("[[error 500]]", anthropic.InternalServerError, 500),
        ("[[error 502]]", anthropic.InternalServerError, 502),
        ("[[error 503]]", anthropic.APIStatusError, 529),
        ("[[error 529]]", anthropic.APIStatusError, 529),
        ("[[error_in_200]]", anthropic.APIStatusError, None),
        ("[[empty]]", anthropic.InternalServerError, 502),
        ("[[malformed_function_call]]", anthropic.InternalServerError, 502),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_their_status_and_type(
    client: anthropic.Anthropic,
    server: ServerProcess,
    marker: str,
    kind: type[anthropic.APIStatusError],
    status: int | None,
    stream: bool,
) -> None:
    with pytest.raises(kind) as raised:
        client.messages.create(
            model="sonnet", max_tokens=50, stream=stream, messages=[{"role": "user", "content": marker}]
        )
    if status is not None:
        assert raised.value.status_code == status
    assert isinstance(raised.value.body, dict)
    (row,) = server.records(request_id=raised.value.body["request_id"])
    assert (row["state"], row["error_type"]) == ("error", raised.value.body["error"]["type"])


def test_an_error_in_mid_stream_is_an_exception(client: anthropic.Anthropic) -> None:
    with (
        pytest.raises(anthropic.APIStatusError, match="Provider disconnected"),
        client.messages.stream(
            model="sonnet", max_tokens=50, messages=[{"role": "user", "content": "[[mid_stream_error]]"}]
        ) as stream,
    ):
        stream.until_done()


def test_a_stream_that_is_cut_is_an_exception(client: anthropic.Anthropic) -> None:
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(
            model="sonnet", max_tokens=50, messages=[{"role": "user", "content": "[[cut]]"}]
        ) as stream,
    ):
        stream.until_done()


def test_a_wrong_key_is_refused_before_the_model_is_judged(server: ServerProcess) -> None:
    stranger = anthropic.Anthropic(base_url=server.base_url, api_key="sk-brg-wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        stranger.messages.create(model="no-such-model", max_tokens=1, messages=[])
