"""An attempt that fails before it said anything is made again, or at the next target, and the record tells of each."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import orjson
import pytest

from messages_api.tests.stream_grammar import check_grammar, events_of, message_added_up
from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import Reply, post_messages
from tests.aliases import make_aliases

FIRST, SECOND, THIRD = "openai/gpt-5", "google/gemini-2.5-pro", "anthropic/claude-sonnet-5"
ALONE = {"name": "alone", "target": FIRST}
RELAYED = {"name": "relayed", "target": THIRD, "transport": "native"}
CHAIN = {"name": "chain", "target": FIRST, "fallbacks": f"{SECOND}\n{THIRD}"}
ANSWER = "Hello from the simulator."
HEALED = [
    "[[rate_limited_once#{id}]]",
    "[[overloaded_once#{id}]]",
    "[[error_once#{id}]]",
    "[[error_once 408#{id}]]",
    "[[drop_once#{id}]]",
    "[[cut_early_once#{id}]]",
    "[[empty_once#{id}]]",
    "[[mid_stream_error_early_once#{id}]]",
    "[[malformed_function_call_once#{id}]]",
]
NOT_HEALED = {"[[error 400#{id}]]": 400, "[[error 403#{id}]]": 403, "[[context_overflow#{id}]]": 400}


@pytest.fixture(scope="module")
def server(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    with ServerProcess(simulator.base_url) as running:
        make_aliases(running, ALONE, RELAYED, CHAIN)
        yield running


class Asked:
    """One request through the server: its answer, its record, and what reached the upstream for it."""

    def __init__(self, server: ServerProcess, simulator: SimulatorProcess, prompt: str, **fields: Any) -> None:
        mark = uuid4().hex[:8]
        self.reply: Reply = post_messages(
            server.base_url,
            server.api_key,
            messages=[{"role": "user", "content": prompt.replace("{id}", mark)}],
            **fields,
        )
        (self.record,) = server.records(request_id=self.reply.headers["request-id"])
        attempts = self.record["attempts"]
        self.attempts: list[dict[str, Any]] = orjson.loads(attempts) if isinstance(attempts, str) else attempts
        sent = [request for request in simulator.requests() if mark in str(request["body"])]
        self.asked_for = [request["body"]["model"] for request in sent]
        self.generations = {request["generation_id"] for request in sent}

    @property
    def events(self) -> list[dict[str, Any]]:
        events = events_of(self.reply.body)
        check_grammar(events)
        return events

    @property
    def text(self) -> str:
        """The whole answer's text, streamed or not."""
        assert self.reply.status == 200, self.reply.body
        is_stream = self.reply.headers["content-type"].startswith("text/event-stream")
        message = message_added_up(self.events) if is_stream else self.reply.json
        return "".join(block["text"] for block in message["content"])

    def charged(self, simulator: SimulatorProcess) -> int:
        """What the simulator's own account says that all of it cost, in 10^-12 USD."""
        rows = [row for row in simulator.account()["rows"] if row["generation_id"] in self.generations]
        return int(sum(Decimal(row["cost"]) for row in rows) * 10**12)


@pytest.mark.parametrize(
    ("model", "stream"), [("alone", False), ("alone", True), ("relayed", False), ("relayed", True)]
)
@pytest.mark.parametrize("prompt", HEALED)
def test_what_may_pass_is_asked_again(
    server: ServerProcess, simulator: SimulatorProcess, prompt: str, model: str, stream: bool
) -> None:
    asked = Asked(server, simulator, prompt, model=model, stream=stream)
    target = FIRST if model == "alone" else THIRD
    assert asked.text == ANSWER
    assert asked.asked_for == [target, target]
    failed, answered = asked.attempts
    assert (failed["target"], answered["target"], answered["status"]) == (target, target, 200)
    assert failed["status"] >= 400
    assert failed["error"]
    assert (asked.record["state"], asked.record["status"], asked.record["model"]) == ("completed", 200, target)


def test_a_single_attempt_has_no_list(server: ServerProcess, simulator: SimulatorProcess) -> None:
    assert Asked(server, simulator, "[[text#{id}]]", model="alone").attempts == []


@pytest.mark.parametrize("model", ["alone", "chain"])
@pytest.mark.parametrize(("prompt", "status"), NOT_HEALED.items())
def test_what_would_be_the_same_again_is_asked_once(
    server: ServerProcess, simulator: SimulatorProcess, prompt: str, status: int, model: str
) -> None:
    asked = Asked(server, simulator, prompt, model=model)
    assert asked.reply.status == status
    assert asked.asked_for == [FIRST]
    assert (asked.attempts, asked.record["status"]) == ([], status)


@pytest.mark.parametrize("prompt", ["[[cut_once#{id}]]", "[[mid_stream_error#{id}]]"])
def test_after_content_an_error_is_told(server: ServerProcess, simulator: SimulatorProcess, prompt: str) -> None:
    asked = Asked(server, simulator, prompt, model="chain", stream=True)
    assert asked.events[-1]["type"] == "error"
    assert asked.asked_for == [FIRST]
    assert (asked.record["state"], asked.attempts) == ("error", [])


def test_an_answer_that_is_not_streamed_is_asked_again_even_when_it_was_cut(
    server: ServerProcess, simulator: SimulatorProcess
) -> None:
    asked = Asked(server, simulator, "[[cut_once#{id}]]", model="alone")
    assert (asked.text, len(asked.attempts)) == (ANSWER, 2)


@pytest.mark.parametrize("stream", [False, True])
def test_the_next_target_answers_for_one_that_does_not(
    server: ServerProcess, simulator: SimulatorProcess, stream: bool
) -> None:
    asked = Asked(server, simulator, f"[[fail_model {FIRST}#{{id}}]]", model="chain", stream=stream)
    assert asked.text == ANSWER
    assert asked.asked_for[0] == FIRST
    assert asked.asked_for[-1] == SECOND
    assert [attempt["target"] for attempt in asked.attempts] == asked.asked_for
    assert [attempt["status"] for attempt in asked.attempts][-1] == 200
    assert asked.record["model"] == SECOND


def test_the_client_reads_the_name_that_it_asked_for(server: ServerProcess, simulator: SimulatorProcess) -> None:
    asked = Asked(server, simulator, f"[[fail_model {FIRST}#{{id}}]]", model="chain")
    assert asked.reply.json["model"] == "chain"


def test_the_last_error_is_told_when_nobody_answers(server: ServerProcess, simulator: SimulatorProcess) -> None:
    asked = Asked(server, simulator, "[[error 529#{id}]]", model="chain")
    assert (asked.reply.status, asked.reply.json["error"]["type"]) == (529, "overloaded_error")
    assert list(dict.fromkeys(asked.asked_for)) == [FIRST, SECOND, THIRD]
    assert len(asked.attempts) == len(asked.asked_for)
    assert (asked.record["state"], asked.record["status"]) == ("error", 529)


def test_the_costs_of_all_attempts_are_added(server: ServerProcess, simulator: SimulatorProcess) -> None:
    asked = Asked(server, simulator, "[[malformed_function_call_charged#{id}]]", model="alone")
    assert len(asked.attempts) > 1
    assert asked.record["cost"] == sum(attempt["cost"] for attempt in asked.attempts)
    assert asked.record["cost"] == asked.charged(simulator) > 0


def test_an_attempt_may_fail_after_the_answer_has_begun_to_wait(
    server: ServerProcess, simulator: SimulatorProcess
) -> None:
    asked = Asked(server, simulator, "[[late_error_once 11#{id}]]", model="alone", stream=True)
    kinds = [event["type"] for event in asked.events]
    assert (kinds.count("message_start"), kinds[-1]) == (1, "message_stop")
    assert asked.text == ANSWER
    assert [attempt["target"] for attempt in asked.attempts] == [FIRST, FIRST]


@pytest.mark.proof
@pytest.mark.parametrize("prompt", ["[[late_error_once 22#{id}]]", "[[silence_error_once 22#{id}]]"])
@pytest.mark.parametrize("model", ["alone", "relayed", "chain"])
def test_an_attempt_may_fail_after_pings(
    server: ServerProcess, simulator: SimulatorProcess, model: str, prompt: str
) -> None:
    asked = Asked(server, simulator, prompt, model=model, stream=True)
    kinds = [event["type"] for event in asked.events]
    assert kinds[:2] == ["message_start", "ping"]
    assert (kinds.count("message_start"), kinds[-1]) == (1, "message_stop")
    assert asked.text == ANSWER
    assert len(asked.attempts) == 2
