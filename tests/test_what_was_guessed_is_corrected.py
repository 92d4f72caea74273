"""Streams that are left, or die with their server: in the end their records say what OpenRouter really charged."""

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import message_body, open_request, read_until

SECONDS_TO_CHARGE = 10.0
MODELS = ["openai/gpt-5", "anthropic/claude-sonnet-5"]  # translated, and relayed


@pytest.fixture
def server(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    with ServerProcess(simulator.base_url) as running:
        running.manage("sync_models")
        yield running


def begin_a_stream(server: ServerProcess, model: str, *, kill: bool) -> None:
    """And break it off in its middle: the client leaves, or the server is killed."""
    body = message_body("[[stream 400 20]]", model=model, stream=True, max_tokens=4000)
    with open_request(server.base_url, server.api_key, body) as connection:
        read_until(connection, b"text_delta")
        if kill:
            time.sleep(1.5)  # its records reach the database at different times: some before, some after
            server.kill()


def charged(simulator: SimulatorProcess, generation_id: str) -> int:
    """What the simulator's own account says, in picodollars, once it has noticed that nobody reads."""
    deadline = time.monotonic() + SECONDS_TO_CHARGE
    while time.monotonic() < deadline:
        for row in simulator.account()["rows"]:
            if row["generation_id"] == generation_id:
                return int(Decimal(row["cost"]) * 10**12)
        time.sleep(0.1)
    raise AssertionError(f"{generation_id} was never charged")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kill", [False, True], ids=["left", "killed"])
def test_a_stream_that_breaks_off(server: ServerProcess, simulator: SimulatorProcess, model: str, kill: bool) -> None:
    begin_a_stream(server, model, kill=kill)
    if kill:
        server.start()
    (row,) = server.records()
    assert row["state"] == ("lost" if kill else "aborted")
    cost = charged(simulator, row["generation_id"])
    assert cost > 0
    assert (row["cost"], row["cost_source"]) != (cost, "upstream")
    assert server.manage("reconcile") == "1 corrected, 0 not known to OpenRouter yet.\n"
    (row,) = server.records()
    assert (row["cost"], row["cost_source"]) == (cost, "upstream")
    assert row["state"] == ("lost" if kill else "aborted")


def test_the_server_asks_by_itself(server: ServerProcess, simulator: SimulatorProcess) -> None:
    begin_a_stream(server, "openai/gpt-5", kill=False)
    (row,) = server.records()
    server.query("UPDATE usage_usagerecord SET settled_at = started_at")
    cost = charged(simulator, row["generation_id"])
    deadline = time.monotonic() + 45
    while row["corrected_at"] is None and time.monotonic() < deadline:
        time.sleep(0.5)
        (row,) = server.records()
    assert row["cost"] == cost
