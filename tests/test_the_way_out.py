"""How calls leave the machine: through a proxy where one is set, and without LiteLLM where nobody asked for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import Request, urlopen

import pytest

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import post_messages


@contextmanager
def http_proxy() -> Iterator[tuple[str, list[str]]]:
    """A forward proxy on loopback: its address, and the URLs that it was asked for."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"]))
            with urlopen(Request(self.path, body, dict(self.headers.items()))) as answer:
                content = answer.read()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}", asked
    finally:
        proxy.shutdown()
        proxy.server_close()


def test_calls_go_through_the_proxy_that_is_set(simulator: SimulatorProcess) -> None:
    with http_proxy() as (address, asked), ServerProcess(simulator.base_url, HTTPS_PROXY=address) as server:
        assert post_messages(server.base_url, server.api_key).status == 200
        assert asked == [f"{simulator.base_url}/chat/completions"]


def test_calls_to_an_exempt_host_do_not(simulator: SimulatorProcess) -> None:
    with (
        http_proxy() as (address, asked),
        ServerProcess(simulator.base_url, HTTPS_PROXY=address, NO_PROXY="127.0.0.1") as server,
    ):
        assert post_messages(server.base_url, server.api_key).status == 200
        assert asked == []


@pytest.mark.skipif(
    os.environ.get("TEST_OPENROUTER_CLIENT") == "litellm", reason="every call was asked to pass through LiteLLM"
)
def test_a_server_that_has_answered_has_not_loaded_litellm(simulator: SimulatorProcess) -> None:
    with ServerProcess(simulator.base_url) as server:
        assert post_messages(server.base_url, server.api_key).status == 200
        loaded = server.memory_map()
    assert "msgspec" in loaded
    for library in ("pydantic_core", "tokenizers"):
        assert library not in loaded, "LiteLLM brings it along"


def test_one_provider_whose_key_is_lost_does_not_take_the_others_down(server: ServerProcess) -> None:
    code = (
        "from messages_api.models import *; "
        "Provider.objects.get_or_create(name='lost', litellm_provider='openai', ciphertext='gone', hint='gone'); "
        "ModelAlias.objects.get_or_create(team=None, name='lost-one', target='litellm:lost/some-model')"
    )
    server.manage("shell", "-v", "0", "-c", code)
    new_key = server.new_key()
    assert post_messages(server.base_url, new_key).status == 200
    refused = post_messages(server.base_url, new_key, model="lost-one")
    while refused.status == 404:  # until this process has seen the change
        refused = post_messages(server.base_url, new_key, model="lost-one")
    assert (refused.status, refused.json["error"]["type"]) == (402, "billing_error")
    assert "cannot be decrypted" in refused.json["error"]["message"]
