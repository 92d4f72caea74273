"""A simulator and a server that the end-to-end tests share, and the real client in front of them."""

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from testing.claude_code import Answer, ask
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess

ANSWERING = ("/chat/completions", "/messages")


@pytest.fixture(scope="session")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as running:
        yield running


@pytest.fixture(scope="session")
def server(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    with ServerProcess(simulator.base_url) as running:
        running.manage("sync_models")
        yield running


@pytest.fixture
def claude(server: ServerProcess) -> Callable[..., Answer]:
    """Ask the real Claude Code; every prompt and option as on its command line."""

    def run(prompt: str, *arguments: str, **env: str) -> Answer:
        credential = {} if "ANTHROPIC_AUTH_TOKEN" in env else {"ANTHROPIC_API_KEY": server.api_key}
        return ask(prompt, *arguments, **{"ANTHROPIC_BASE_URL": server.base_url, **credential, **env})

    return run


@pytest.fixture
def client(server: ServerProcess) -> anthropic.Anthropic:
    """The official SDK, without retries of its own."""
    return anthropic.Anthropic(base_url=server.base_url, api_key=server.api_key, max_retries=0)


@pytest.fixture
def upstream_requests(simulator: SimulatorProcess) -> Callable[[str], list[dict[str, Any]]]:
    """The bodies of the requests for an answer, translated or relayed, that reached the simulator in a session."""

    def bodies(session_id: str) -> list[dict[str, Any]]:
        received = [request["body"] for request in simulator.requests() if request["path"].endswith(ANSWERING)]
        return [body for body in received if body.get("session_id") == session_id]

    return bodies
