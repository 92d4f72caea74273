"""Requests that a machine makes up, from the SDK's own types and then damaged, meet a server that answers them all.

schemathesis makes them from a description of the two endpoints that is drawn from the SDK's types. Whatever comes,
there is no 500 and no hang, every answer has the envelope and a request id, and every stream is grammatical.
"""

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
import schemathesis
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_create_params
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from messages_api.tests.stream_grammar import CUTTING, STOP_REASONS, check_grammar, events_of
from testing.server_process import ServerProcess

ANSWER_SECONDS = 20
BODIES = {
    "/v1/messages": message_create_params.MessageCreateParamsNonStreaming,
    "/v1/messages/count_tokens": message_count_tokens_params.MessageCountTokensParams,
}
BETA_BODIES = {
    "/v1/messages": beta_create_params.MessageCreateParamsNonStreaming,
    "/v1/messages/count_tokens": beta_count_tokens_params.MessageCountTokensParams,
}
MODELS = ["sonnet", "openai/gpt-5", "google/gemini-2.5-pro", "anthropic/claude-haiku-4.5", "x-ai/grok-4", "no/such"]
#: Their answers pass as they come: that a call's arguments are an object is for who made them to see to.
RELAYED = (b'"sonnet"', b'"anthropic/claude-haiku-4.5"')
PROMPTS = [
    *["[[text]]", "[[reasoning_two_tools]]", "[[interleaved_reasoning]]", "[[reasoning_redacted]]", "[[two_tools]]"],
    *["[[odd_chunks]]", "[[unicode]]", "[[length_tool]]", "[[bad_arguments]]", "[[empty_arguments]]", "[[refuse]]"],
    *[
        "[[cut]]",
        "[[cut_tool]]",
        "[[mid_stream_error]]",
        "[[error_in_200]]",
        "[[empty]]",
        "[[error 400]]",
        "[[html_error]]",
    ],
]
REQUIRED = {"model", "messages", "max_tokens", "stream"}
PLAIN_MESSAGE = {
    "type": "object",
    "properties": {"role": {"const": "user"}, "content": {"enum": PROMPTS}},
    "required": ["role", "content"],
    "additionalProperties": False,
}
ODD_KEYS = ["provider", "cache_control", "type", "surprise", "max_tokens"]
ODD_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**70,
    1e300,
    "",
    "\u0000",
    "\ud7ff\ue000",
    [],
    {},
    [[]],
    {"type": 7},
    "x" * 300,
]


# --- requests --------------------------------------------------------------------------------------------------------


def bodies(path: str, body: type) -> st.SearchStrategy[Any]:
    """What the SDK's types allow to be sent to `path`."""
    operation = schemathesis.openapi.from_dict(description(path, body))[path]["POST"]
    return operation.as_strategy().map(lambda case: case.body)


def description(path: str, body: type) -> dict[str, Any]:
    """The endpoint in OpenAPI, without keys that the types do not name: `damaged` puts in others."""
    text = orjson.dumps(TypeAdapter(body).json_schema()).replace(b"#/$defs/", b"#/components/schemas/")
    schema = orjson.loads(text)
    definitions = schema.pop("$defs")
    for part in objects_in([schema, definitions]):
        part["additionalProperties"] = False
    properties = schema["properties"]
    plain = {"type": "array", "items": PLAIN_MESSAGE, "minItems": 1, "maxItems": 1}
    properties["messages"] = {"anyOf": [plain, {**properties["messages"], "minItems": 1}]}
    properties |= {"model": {"enum": MODELS}, "stream": {"type": "boolean"}}
    if "max_tokens" in properties:
        properties["max_tokens"] = {"enum": [0, 100, 4000, 9000]}
        schema["required"].append("stream")
    content = {"application/json": {"schema": schema}}
    post = {"requestBody": {"required": True, "content": content}, "responses": {"200": {"description": "An answer"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Messages", "version": "1"},
        "paths": {path: {"post": post}},
        "components": {"schemas": definitions},
    }


def objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from objects_in(part)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[Any]) -> bytes:
    """A body, as it is or with something wrong: a value, a key, or the JSON itself."""
    body = draw(whole)
    for name in [
        name for name in body if name not in REQUIRED
    ]:  # with all of them at once, something would always be refused
        if draw(st.sampled_from([True, True, True, False])):
            del body[name]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        harm(draw, body)
    data = json.dumps(body).encode()  # orjson refuses integers that JSON has
    cut = draw(st.sampled_from([None] * 9 + [draw(st.integers(0, len(data)))]))
    return data if cut is None else data[:cut]


def harm(draw: st.DrawFn, value: Any) -> None:
    """Replace, remove or add one value somewhere inside."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if not isinstance(value[key], dict | list) or not value[key] or draw(st.booleans()):
            break
        value = value[key]
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            value[key] = deepcopy(draw(st.sampled_from(ODD_VALUES)))
        case "remove":
            del value[key]
        case "add" if isinstance(value, dict):
            value[draw(st.sampled_from(ODD_KEYS))] = deepcopy(value[key])


# --- answers ---------------------------------------------------------------------------------------------------------


@dataclass
class Judge:
    """Sends bodies over one connection and looks at each answer."""

    server: ServerProcess
    path: str
    statuses: Counter[int] = field(default_factory=Counter)
    streams: int = 0

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(self.server.base_url).netloc, timeout=ANSWER_SECONDS)

    def judge(self, body: bytes) -> None:
        self.connection.request("POST", self.path, body, {"x-api-key": self.server.api_key})
        response = self.connection.getresponse()
        self.statuses[response.status] += 1
        request_id, data = response.headers["request-id"], response.read()
        assert request_id, f"no request id: {body!r}"
        if response.headers["content-type"].startswith("text/event-stream"):
            self.streams += 1
            assert response.status == 200
            is_relayed = any(name in body for name in RELAYED)
            self.check(body, data, STOP_REASONS if is_relayed else CUTTING)
        elif response.status == 200:
            answer = orjson.loads(data)
            assert answer.get("type") == "message" or answer["input_tokens"] > 0
        else:
            assert response.status != 500, f"{body!r} broke the server: {self.server.log()[-5000:]}"
            self.judge_error(orjson.loads(data), request_id)

    def check(self, body: bytes, data: bytes, cutting: set[str]) -> None:
        try:
            check_grammar(events_of(data), cutting)
        except AssertionError as error:
            raise AssertionError(f"{error}: {body!r} was answered with {data!r}") from error

    def judge_error(self, answer: Any, request_id: str) -> None:
        assert answer["type"] == "error"
        assert answer["error"]["type"]
        assert answer["error"]["message"]
        assert answer["request_id"] == request_id


def fuzz(server: ServerProcess, path: str, body: type, cases: int, *, same_each_time: bool) -> Judge:
    judge = Judge(server, path)
    checks = [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.large_base_example,
    ]

    @settings(
        max_examples=cases,
        deadline=None,
        suppress_health_check=checks,
        database=None,
        derandomize=same_each_time,
        phases=[Phase.generate],
    )
    @given(damaged(bodies(path, body)))
    def one(data: bytes) -> None:
        judge.judge(data)

    with closing(judge.connection):
        one()
    print(f"\n{path}: {judge.statuses.total()} requests {dict(judge.statuses)}, {judge.streams} streams")
    return judge


@pytest.mark.parametrize(("path", "cases"), [("/v1/messages", 100), ("/v1/messages/count_tokens", 100)])
def test_hundreds_of_requests_are_answered(server: ServerProcess, path: str, cases: int) -> None:
    judge = fuzz(server, path, BODIES[path], cases, same_each_time=True)
    assert judge.statuses[200] > cases / 20, "hardly any request was good"
    assert judge.statuses[400] > cases / 50, "hardly any request was bad"
    assert judge.streams > 0 or path != "/v1/messages", "hardly anything was streamed"
    assert "Traceback" not in server.log()


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("types", [BODIES, BETA_BODIES], ids=["stable", "beta"])
@pytest.mark.parametrize(("path", "cases"), [("/v1/messages", 5000), ("/v1/messages/count_tokens", 2000)])
def test_thousands_of_requests_are_answered(
    server: ServerProcess, path: str, cases: int, types: dict[str, type]
) -> None:
    fuzz(server, path, types[path], cases, same_each_time=False)
    assert "Traceback" not in server.log()
