"""What an alias imposes holds whichever way a request goes out, and nothing in the request widens it."""

from typing import Any
from uuid import uuid4

import orjson
import pytest

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import Reply, message_body, send

ADDENDUM = "Speak plainly."
MAX_OUTPUT = 2_000
MAKE_ALIASES = f"""
from messages_api.models import ModelAlias
for transport in ("native", "translate", "litellm"):
    ModelAlias.objects.update_or_create(team=None, name=f"held-{{transport}}", defaults=dict(
        target="anthropic/claude-sonnet-5", transport=transport, provider_preferences={{"zdr": True}},
        max_output={MAX_OUTPUT}, max_effort="low", system_addendum="{ADDENDUM}", pdf_engine="native"))
"""
#: Where each transport goes, and where it puts the effort.
PATHS = {
    "native": ("/messages", ("output_config", "effort")),
    "translate": ("/chat/completions", ("reasoning", "effort")),
    "litellm": ("/chat/completions", ("reasoning", "effort")),
}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}}


@pytest.fixture(scope="module")
def held(server: ServerProcess) -> ServerProcess:
    server.manage("shell", "-v", "0", "-c", MAKE_ALIASES)
    return server


def ask(server: ServerProcess, session: str, **fields: Any) -> Reply:
    headers = {"x-api-key": server.api_key, "x-claude-code-session-id": session}
    reply = send(server.base_url, "POST", "/v1/messages", message_body(**fields), headers)
    while reply.status == 404:  # until this process has seen the aliases
        reply = send(server.base_url, "POST", "/v1/messages", message_body(**fields), headers)
    return reply


@pytest.mark.parametrize("transport", PATHS)
def test_what_an_alias_imposes_reaches_the_upstream(
    held: ServerProcess, simulator: SimulatorProcess, transport: str
) -> None:
    session = str(uuid4())
    question = [{"role": "user", "content": [PDF, {"type": "text", "text": "[[text]]"}]}]
    asked = {"max_tokens": 30_000, "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}
    reply = ask(held, session, model=f"held-{transport}", messages=question, system="Be kind.", **asked)
    assert reply.status == 200, reply.body
    (received,) = [request for request in simulator.requests() if (request["body"] or {}).get("session_id") == session]
    body = received["body"]
    path, (outer, inner) = PATHS[transport]
    assert received["path"].endswith(path)
    assert body["max_tokens"] == MAX_OUTPUT
    assert body["provider"] == {"zdr": True}
    assert body[outer][inner] == "low"
    assert body["plugins"] == [{"id": "file-parser", "pdf": {"engine": "native"}}]
    sent = orjson.dumps(body).decode()
    assert sent.index("Be kind.") < sent.index(ADDENDUM)


@pytest.mark.parametrize("transport", PATHS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("models", ["openai/gpt-5"]),
        ("fallbacks", [{"model": "openai/gpt-5"}]),
        ("provider", {"order": ["elsewhere"]}),
        ("plugins", [{"id": "web"}]),
        ("route", "fallback"),
    ],
)
def test_a_request_cannot_choose_another_route(held: ServerProcess, transport: str, name: str, value: Any) -> None:
    reply = ask(held, str(uuid4()), model=f"held-{transport}", **{name: value})
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert reply.json["error"]["message"].startswith(f"{name}: ")


@pytest.mark.parametrize("transport", PATHS)
def test_a_field_that_nobody_knows_goes_nowhere(
    held: ServerProcess, simulator: SimulatorProcess, transport: str
) -> None:
    session = str(uuid4())
    assert ask(held, session, model=f"held-{transport}", preset="cheap", transforms=["middle-out"]).status == 200
    (received,) = [request for request in simulator.requests() if (request["body"] or {}).get("session_id") == session]
    assert not received["body"].keys() & {"preset", "transforms"}
