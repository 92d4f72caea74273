"""A budget that is spent, as people meet it: Claude Code says so and stops; raised, it goes on within seconds."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from testing.claude_code import ask
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import Reply, message_body, post_messages, send

SECONDS_TO_TAKE_EFFECT = 5.0
MAKE = """
from accounts.models import ApiKey
from usage.models import Budget
key = ApiKey.objects.get()
Budget.objects.create(team=key.membership.team, {subject} amount=10**9, period="{period}")
"""
RAISE = "from usage.models import Budget; Budget.objects.update(amount=10**14)"


@pytest.fixture
def server(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    """One of its own: a budget would be in others' way."""
    with ServerProcess(simulator.base_url) as running:
        yield running


def make_budget(server: ServerProcess, subject: str = "", period: str = "month") -> None:
    server.manage("shell", "-c", MAKE.format(subject=subject, period=period))


def until_refused(server: ServerProcess) -> float:
    """Because it is spent; a budget whose rest is only reserved refuses too, for a moment, and in other words."""
    return until(server, lambda reply: reply.status == 429 and reply.json["error"]["type"] == "billing_error")


def until_status(server: ServerProcess, status: int) -> float:
    return until(server, lambda reply: reply.status == status)


def until(server: ServerProcess, is_so: Callable[[Reply], bool]) -> float:
    """How long it takes until a request is answered so."""
    began = time.monotonic()
    while not is_so(post_messages(server.base_url, server.api_key)):
        assert time.monotonic() - began < SECONDS_TO_TAKE_EFFECT, f"not so within {SECONDS_TO_TAKE_EFFECT} s"
        time.sleep(0.1)
    return time.monotonic() - began


def test_claude_code_says_what_is_spent_stops_at_once_and_goes_on_when_it_is_raised(
    server: ServerProcess, simulator: SimulatorProcess
) -> None:
    environment = {"ANTHROPIC_BASE_URL": server.base_url, "ANTHROPIC_API_KEY": server.api_key}
    make_budget(server, "membership=key.membership,")
    until_refused(server)
    upstream, refused_before = len(simulator.requests()), server.log().count(" 429 ")
    began = time.monotonic()
    refused = ask("[[say good morning]]", **environment)
    assert time.monotonic() - began < 10, "it would wait between its tries"
    assert refused.is_error
    assert refused.exit_code == 1
    assert refused.result["num_turns"] == 1
    assert "The monthly budget of alice@acme.example in Acme has not enough left: $0 of $0.0010" in refused.text
    assert "An administrator of the team can raise it." in refused.text
    assert len(simulator.requests()) == upstream, "nothing was asked of the upstream"
    assert server.log().count(" 429 ") - refused_before <= 2, "one try, and one for the title beside it"

    server.manage("shell", "-c", RAISE)
    assert until_status(server, 200) < SECONDS_TO_TAKE_EFFECT
    answer = ask("[[say good morning]]", **environment)
    assert (answer.is_error, answer.text) == (False, "good morning")


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_the_refusal_says_when_to_come_back(server: ServerProcess, period: str) -> None:
    server.manage("shell", "-c", "from accounts.models import Team; Team.objects.update(time_zone='Asia/Kathmandu')")
    make_budget(server, "api_key=key,", period)
    until_refused(server)
    reply = send(server.base_url, "POST", "/v1/messages", message_body(), {"x-api-key": server.api_key})
    assert reply.status == 429
    assert reply.json["error"]["type"] == "billing_error"
    assert reply.headers["x-should-retry"] == "false"
    end = datetime.fromtimestamp(time.time() + int(reply.headers["retry-after"]), UTC)
    local = end.timestamp() + (5 * 60 + 45) * 60
    assert local % 86400 < 3, "the end is midnight in Kathmandu"
    assert "(Asia/Kathmandu)" in reply.json["error"]["message"]
    assert not [name for name in reply.headers if name.startswith("anthropic-ratelimit-unified")]


def test_what_one_server_spends_another_refuses(server: ServerProcess, simulator: SimulatorProcess) -> None:
    """Two servers on one database: what one spends, the other refuses."""
    server.manage("shell", "-c", MAKE.format(subject="", period="day").replace("10**9", "3 * 10**10"))
    with ServerProcess(simulator.base_url, DATABASE_URL=server.database_url) as other:
        time.sleep(2)
        for _ in range(200):
            if post_messages(server.base_url, server.api_key, max_tokens=1000).status == 429:
                break
        else:
            pytest.fail("the budget was never spent")
        refused = post_messages(other.base_url, server.api_key, max_tokens=3000)
        assert refused.status == 429
        assert "Whoever keeps this server can raise it." in refused.json["error"]["message"]
    rows = server.records()
    began = time.monotonic()
    while server.query("SELECT * FROM usage_budgetcounter WHERE reserved > 0"):
        assert time.monotonic() - began < SECONDS_TO_TAKE_EFFECT, "what was reserved is not given back"
        time.sleep(0.1)
    (counter,) = server.query("SELECT * FROM usage_budgetcounter")
    assert counter["spent"] == sum(row["cost"] for row in rows)
