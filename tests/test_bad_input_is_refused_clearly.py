"""Bad input gets an Anthropic error that names the field, never a 500, and leaves exactly one log line."""

from typing import Any

import pytest

from testing.server_process import ServerProcess
from testing.wire import Reply, message_body, send

DEEP = b'{"model":"sonnet","max_tokens":5,"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
DEEP_TOOL = message_body(tools=[]).replace(b'"tools":[]', b'"tools":' + b"[" * 5_000 + b"]" * 5_000)
TOOL: dict[str, Any] = {"name": "f", "input_schema": {"type": "object"}}


def user(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[1]", "body"),
        (b'"text"', "body"),
        (b"\xff\xfe", "JSON"),
        (DEEP, "nested too deeply"),
        (DEEP_TOOL, "nested too deeply"),
        (b"{}", "model: Field required"),
        (message_body(messages=[]), "messages: at least one"),
        (message_body(messages="hello"), "messages"),
        (message_body(messages=[{"content": "hi"}]), "messages[0]"),
        (message_body(messages=[{"role": "robot", "content": "hi"}]), "messages[0].role"),
        (message_body(messages=[{"role": "user"}]), "messages[0]"),
        (message_body(messages=user({"type": "hologram"})), "messages[0].content[0].type"),
        (message_body(messages=user({"type": "text"})), "messages[0].content[0]"),
        (message_body(messages=user({"type": "image", "source": {"type": "base64"}})), "messages[0].content[0].source"),
        (message_body(max_tokens="many"), "max_tokens"),
        (message_body(max_tokens=0), "max_tokens"),
        (message_body(max_tokens=-5), "max_tokens"),
        (message_body(model=7), "model"),
        (message_body(system=[{"type": "image"}]), "system[0]"),
        (message_body(tools="none"), "tools"),
        (message_body(tools=[{"input_schema": {}}]), "tools[0]"),
        (message_body(tools=[{"name": "", "input_schema": {}}]), "tools[0].name"),
        (message_body(tools=[{"name": "f"}]), "tools[0].input_schema"),
        (message_body(tools=[TOOL, {"name": "code_execution", "type": "code_execution_20250825"}]), "tools[1].type"),
        (message_body(tool_choice={"type": "whatever"}), "tool_choice"),
        (message_body(thinking={"type": "enabled", "budget_tokens": 5}, model="sonnet"), "thinking.budget_tokens"),
        (message_body(stop_sequences="END"), "stop_sequences"),
        (message_body(temperature="hot"), "temperature"),
        (message_body(stream="yes"), "stream"),
        (message_body(metadata=[]), "metadata"),
        (message_body(output_config={"effort": "enormous"}), "output_config.effort"),
        (message_body(models=["openai/gpt-5"]), "models"),
        (message_body(provider={"only": ["x"]}), "provider"),
        (message_body(mcp_servers=[]), "mcp_servers"),
    ],
)
def test_a_bad_body_is_refused_by_the_name_of_its_field(server: ServerProcess, body: bytes, words: str) -> None:
    reply = send(server.base_url, "POST", "/v1/messages", body, {"x-api-key": server.api_key})
    assert_refused(server, reply, 400, "invalid_request_error")
    assert words in reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("DELETE", "/v1/models", 405, "invalid_request_error"),
        ("OPTIONS", "/v1/models", 405, "invalid_request_error"),
        ("OPTIONS", "/v1/messages", 405, "invalid_request_error"),
        ("GET", "/v1", 404, "not_found_error"),
        ("GET", "/v1/", 404, "not_found_error"),
        ("POST", "/v1/messages/", 404, "not_found_error"),
        ("POST", "/v1/complete", 404, "not_found_error"),
        ("GET", "/v1/models/no/such/model", 404, "not_found_error"),
        ("GET", "/v1/models?limit=5000", 400, "invalid_request_error"),
        ("GET", "/v1/models?limit=five", 400, "invalid_request_error"),
        ("GET", f"/v1/models?limit={'9' * 5000}", 400, "invalid_request_error"),
        ("GET", "/v1/models?after_id=sonnet&before_id=sonnet", 400, "invalid_request_error"),
        ("GET", "/v1/models?lifecycle=young", 400, "invalid_request_error"),
        ("GET", "/v1/models?lifecycle[]=active&lifecycle[]=", 400, "invalid_request_error"),
        ("GET", "/v1/models?after_id=nobody", 400, "invalid_request_error"),
    ],
)
def test_unknown_paths_and_methods_get_the_envelope_and_no_redirect(
    server: ServerProcess, method: str, path: str, status: int, kind: str
) -> None:
    assert_refused(server, send(server.base_url, method, path, headers={"x-api-key": server.api_key}), status, kind)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "sk-brg-short"},
        {"x-api-key": "sk-ant-api03-somebody-elses-key"},
        {"authorization": "Bearer nonsense"},
        {"authorization": "Basic YTpi"},
        {"x-api-key": "sk-brg-AAAAAAAA-" + "A" * 49},
        {"x-api-key": "ключ".encode().decode("latin-1")},
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/v1/nowhere"])
def test_who_asks_is_judged_before_anything_else(server: ServerProcess, headers: dict[str, str], path: str) -> None:
    reply = send(server.base_url, "POST", path, b"not json", headers)
    assert_refused(server, reply, 401, "authentication_error")


def test_a_body_over_the_limit_is_refused_by_its_announced_length(server: ServerProcess) -> None:
    headers = {"x-api-key": server.api_key, "content-length": str(33 * 1024 * 1024)}
    assert_refused(server, send(server.base_url, "POST", "/v1/messages", b"{}", headers), 413, "request_too_large")


def test_a_body_over_the_limit_is_refused_while_it_is_read(server: ServerProcess) -> None:
    megabyte = b"x" * 1024 * 1024
    reply = send_chunked(server, (megabyte for _ in range(34)))
    assert_refused(server, reply, 413, "request_too_large")


def test_a_body_that_no_page_sends_is_refused_before_it_is_written_anywhere(server: ServerProcess) -> None:
    headers = {"content-length": str(200 * 1024 * 1024)}
    assert send(server.base_url, "POST", "/api/event_logging/batch", b"{}", headers).status == 413
    pieces = b"3\r\na=b\r\n0\r\n\r\n"
    assert send(server.base_url, "POST", "/admin/login/", pieces, {"transfer-encoding": "chunked"}).status == 411


def test_a_line_break_in_a_path_makes_no_line_of_its_own(server: ServerProcess) -> None:
    reply = send(server.base_url, "GET", "/v1/x%0a12:00:00%20INFO%20forged", headers={"x-api-key": server.api_key})
    assert reply.status == 404
    assert not any(line.startswith("12:00:00 INFO forged") for line in server.log().splitlines())


def test_a_million_spaces_are_counted(server: ServerProcess) -> None:
    body = message_body(" " * 1_000_000)
    reply = send(server.base_url, "POST", "/v1/messages/count_tokens", body, {"x-api-key": server.api_key})
    assert reply.status == 200
    assert reply.json["input_tokens"] > 100


def test_a_compressed_body_is_refused(server: ServerProcess) -> None:
    headers = {"x-api-key": server.api_key, "content-encoding": "gzip"}
    assert_refused(server, send(server.base_url, "POST", "/v1/messages", b"??", headers), 415, "invalid_request_error")


def send_chunked(server: ServerProcess, pieces: Any) -> Reply:
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=20)
    try:
        connection.request(
            "POST", "/v1/messages", body=pieces, headers={"x-api-key": server.api_key}, encode_chunked=True
        )
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def assert_refused(server: ServerProcess, reply: Reply, status: int, kind: str) -> None:
    assert (reply.status, reply.json["type"], reply.json["error"]["type"]) == (status, "error", kind)
    request_id = reply.json["request_id"]
    assert reply.headers["request-id"] == request_id
    assert reply.json["error"]["message"]
    assert server.log().count(request_id) == 1
