"""The real Claude Code holds long conversations with tools, thinking and images, and changes models half way.

The simulator refuses what the providers refuse: altered or missing signatures, foreign reasoning, lost tool results.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from testing.claude_code import Session, session
from testing.files import png
from testing.server_process import ROOT, ServerProcess
from testing.simulator_process import SimulatorProcess
from tests.aliases import make_aliases

TURNS = 20
SHORT_TURNS = 4
TRANSLATED_CLAUDE = {"name": "translated-claude", "target": "anthropic/claude-haiku-4.5", "transport": "translate"}
#: What is asked for, and the format in which that model tells its reasoning (wire.md 2.3).
FORMATS = {
    "anthropic/claude-sonnet-5": "anthropic-claude-v1",
    "openai/gpt-5": "openai-responses-v1",
    "google/gemini-2.5-pro": "google-gemini-v1",
    "translated-claude": "anthropic-claude-v1",
    "x-ai/grok-4.5": "xai-responses-v1",
    "moonshotai/kimi-k2.6": "unknown",
    "deepseek/deepseek-v3.2": "plain",
}
NAMES = list(FORMATS)
PAIRS = list(zip(NAMES, [*NAMES[1:], NAMES[0]], strict=True))
WITHIN_CLAUDE = ("translated-claude", "anthropic/claude-sonnet-5")
SEE_NO_IMAGES = {"deepseek/deepseek-v3.2"}


@dataclass(frozen=True)
class Turn:
    """What is said, what the model thinks of it, and how its last words must begin."""

    prompt: str
    thought: str
    answer: str
    images: int = 0


TURN_KINDS = (
    Turn("[[reasoning_tool]]", "A command will tell.", "After thinking, the command printed: hello-from-bash"),
    Turn("[[look {image}]]", "The picture will tell.", "I saw {images} images.", images=1),
    Turn("[[reasoning_text]]", "First I think about it. Then I answer.", "Hello from the simulator."),
    Turn(
        "[[interleaved_reasoning]]",
        "First thought.Second thought.",
        "After two thoughts, the command printed: hello-from-bash",
    ),
    Turn("[[reasoning_two_tools]]", "Two commands will tell.", "After thinking, the last command printed: "),
)
LOOK = {
    "name": "look",
    "turns": [
        {
            "attempts": [
                [
                    {"reasoning": "The picture will tell.", "pieces": 3},
                    {"tool_call": {"name": "Read", "arguments": {"file_path": "{{args}}"}, "fragments": 3}},
                ]
            ]
        },
        {"attempts": [[{"text": "I saw {{images}} images.", "pieces": 3}]]},
    ],
}


@dataclass
class Talk:
    """A conversation as it goes on in a folder of its own."""

    home: Path
    turns: list[tuple[str, Turn]] = field(default_factory=list)  # each with the model that answered

    @property
    def image(self) -> Path:
        return self.home / "red.png"

    def go_on(self, claude: Session, model: str) -> None:
        kind = TURN_KINDS[len(self.turns) % len(TURN_KINDS)]
        self.turns.append((model, kind))
        images = 0 if model in SEE_NO_IMAGES else sum(turn.images for _, turn in self.turns)
        assert claude.say(kind.prompt.format(image=self.image)).startswith(kind.answer.format(images=images))

    def thoughts(self, format_: str) -> list[str]:
        return [turn.thought for model, turn in self.turns if FORMATS[model] == format_]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    """One that offers the models as the server knows them, images and all."""
    with SimulatorProcess(models=ROOT / "messages_api" / "catalog_snapshot.json") as running:
        yield running


@pytest.fixture
def talk(simulator: SimulatorProcess, tmp_path: Path) -> Talk:
    simulator.reset()  # it keeps the last few hundred requests only
    simulator.register(LOOK)
    talk = Talk(tmp_path)
    talk.image.write_bytes(png())
    return talk


@pytest.fixture(scope="module")
def server(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    with ServerProcess(simulator.base_url) as running:
        make_aliases(running, TRANSLATED_CLAUDE)
        yield running


@pytest.fixture(scope="module")
def other_server(simulator: SimulatorProcess) -> Iterator[ServerProcess]:
    """One that has nothing in common with the first but the key."""
    with ServerProcess(simulator.base_url) as running:
        yield running


def access(server: ServerProcess) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": server.base_url, "ANTHROPIC_API_KEY": server.api_key}


# --- what reached the upstream ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A request of the conversation's: the model's format, and the reasoning that was sent back to it."""

    format: str
    formats: set[str]
    thoughts: list[str]


def sent(simulator: SimulatorProcess, talk: Talk) -> Iterator[Sent]:
    """What the conversation itself sent, all of it taken; not what the client asks beside it."""
    for request in simulator.requests():
        body = request["body"]
        if request["method"] == "POST" and body.get("tools") and str(talk.home) in str(body["messages"]):
            assert (request["status"], request["refusal"]) == (200, None)
            family = body["model"].partition("/")[0]
            format_ = next(FORMATS[name] for name in NAMES if name.startswith(family))
            told = [reasoning for message in body["messages"] if (reasoning := reasoning_of(message))]
            yield Sent(format_, {name for name, _ in told}, [thought for _, thought in told])


def reasoning_of(message: dict[str, Any]) -> tuple[str, str] | None:
    """The format and the text of what an assistant message carries, in either of the upstream's languages."""
    if message.get("reasoning"):
        return "plain", message["reasoning"]
    if details := message.get("reasoning_details"):
        texts = (detail.get("text") or detail.get("summary") or "" for detail in details)
        return "+".join({detail.get("format") or "unknown" for detail in details}), "".join(texts)
    blocks = message["content"] if isinstance(message["content"], list) else []
    thinking = [block["thinking"] for block in blocks if block["type"] == "thinking"]
    return ("anthropic-claude-v1", "".join(thinking)) if thinking else None


def check_reasoning(talk: Talk, simulator: SimulatorProcess) -> None:
    """Every model had all of its own reasoning back, in order, each time, and never another's."""
    requests = list(sent(simulator, talk))
    assert len(requests) > len(talk.turns), "a tool's result was never sent"
    for request in requests:
        assert request.formats <= {request.format}, "foreign reasoning was sent"
    for format_ in {FORMATS[model] for model, _ in talk.turns}:
        counts = [len(request.thoughts) for request in requests if request.format == format_]
        assert counts == sorted(counts), f"reasoning was lost on the way: {counts}"
        last = [request for request in requests if request.format == format_][-1]
        assert last.thoughts == talk.thoughts(format_)[: len(last.thoughts)]
        assert len(last.thoughts) >= len(talk.thoughts(format_)) - 1, "only an answer to nothing more is not sent back"


# --- the conversations -----------------------------------------------------------------------------------------------


def hold(talk: Talk, server: ServerProcess, first: str, second: str, turns: int) -> None:
    """The first half with one model, then another, and at the end a turn with the first again."""
    with session(talk.home, "--model", first, **access(server)) as claude:
        for model in half_and_half(first, second, turns):
            if talk.turns and model != talk.turns[-1][0]:
                claude.use_model(model)
            talk.go_on(claude, model)


def half_and_half(first: str, second: str, turns: int) -> list[str]:
    return [first] * (turns // 2) + [second] * (turns - turns // 2 - 1) + [first]


def hold_while_the_alias_moves(talk: Talk, server: ServerProcess, first: str, second: str, turns: int) -> None:
    """The same, behind the client's back: it sends back all reasoning, and the server has to leave out what is foreign.

    When a person changes the model, Claude Code leaves out the other model's thinking by itself.
    """
    make_aliases(server, moved_to(first))
    with session(talk.home, "--model", "wanderer", **access(server)) as claude:
        for model in half_and_half(first, second, turns):
            if talk.turns and model != talk.turns[-1][0]:
                make_aliases(server, moved_to(model))
            talk.go_on(claude, model)


def moved_to(model: str) -> dict[str, str]:
    where = TRANSLATED_CLAUDE if model == TRANSLATED_CLAUDE["name"] else {"target": model, "transport": "auto"}
    return {**where, "name": "wanderer"}


def hold_over_a_restart(talk: Talk, server: ServerProcess, model: str, turns: int) -> None:
    with session(talk.home, "--model", model, **access(server)) as claude:
        for turn in range(turns):
            if turn == turns // 2:
                server.stop()
                server.start()
            talk.go_on(claude, model)


def hold_with_two_servers(talk: Talk, servers: tuple[ServerProcess, ServerProcess], model: str, turns: int) -> None:
    """Each turn is asked of the other server, by a process that resumes the conversation."""
    going_on: list[str] = []
    for turn in range(turns):
        with session(talk.home, "--model", model, *going_on, **access(servers[turn % 2])) as claude:
            talk.go_on(claude, model)
            going_on = ["--resume", claude.id]


def test_reasoning_comes_back_to_the_model_that_it_came_from(
    talk: Talk, server: ServerProcess, simulator: SimulatorProcess
) -> None:
    hold(talk, server, "google/gemini-2.5-pro", "translated-claude", SHORT_TURNS)
    check_reasoning(talk, simulator)


def test_foreign_reasoning_is_left_out(talk: Talk, server: ServerProcess, simulator: SimulatorProcess) -> None:
    hold_while_the_alias_moves(talk, server, "openai/gpt-5", "anthropic/claude-sonnet-5", SHORT_TURNS)
    check_reasoning(talk, simulator)


def test_reasoning_comes_back_after_a_restart(talk: Talk, server: ServerProcess, simulator: SimulatorProcess) -> None:
    hold_over_a_restart(talk, server, "google/gemini-2.5-pro", SHORT_TURNS)
    check_reasoning(talk, simulator)


def test_reasoning_comes_back_to_another_server(
    talk: Talk, server: ServerProcess, other_server: ServerProcess, simulator: SimulatorProcess
) -> None:
    hold_with_two_servers(talk, (server, other_server), "openai/gpt-5", SHORT_TURNS)
    check_reasoning(talk, simulator)


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_twenty_turns_with_a_change_of_models_half_way(
    talk: Talk, server: ServerProcess, simulator: SimulatorProcess, first: str, second: str
) -> None:
    hold(talk, server, first, second, TURNS)
    check_reasoning(talk, simulator)


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("first", "second"), [*PAIRS, WITHIN_CLAUDE, WITHIN_CLAUDE[::-1]])
def test_twenty_turns_while_the_alias_moves_half_way(
    talk: Talk, server: ServerProcess, simulator: SimulatorProcess, first: str, second: str
) -> None:
    hold_while_the_alias_moves(talk, server, first, second, TURNS)
    check_reasoning(talk, simulator)


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", NAMES)
def test_twenty_turns_over_a_restart(
    talk: Talk, server: ServerProcess, simulator: SimulatorProcess, model: str
) -> None:
    hold_over_a_restart(talk, server, model, TURNS)
    check_reasoning(talk, simulator)


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", NAMES)
def test_twenty_turns_with_two_servers(
    talk: Talk, server: ServerProcess, other_server: ServerProcess, simulator: SimulatorProcess, model: str
) -> None:
    make_aliases(other_server, TRANSLATED_CLAUDE)
    hold_with_two_servers(talk, (server, other_server), model, TURNS)
    check_reasoning(talk, simulator)
