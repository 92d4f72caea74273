"""Which script a conversation plays, and which attempt of which turn is next."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from testing.openrouter_simulator.conversation import Conversation, sample
from testing.openrouter_simulator.exact_json import Json, JsonValue, encode
from testing.openrouter_simulator.scenarios import (
    DEFAULT_ANSWER,
    SCRIPTS,
    SEARCH_ANSWER,
    Attempt,
)

MARKER = re.compile(r"\[\[([A-Za-z][\w-]*)(?: ([^\[\]#]*))?(?:#([\w-]+))?\]\]")
PLACEHOLDER = re.compile(r"\{\{(\w+)(?:\|([^{}]*))?\}\}")
QUOTED_CHARACTERS = 60
QUOTED_RESULT_CHARACTERS = 400


@dataclass(frozen=True)
class Marker:
    name: str
    arguments: str
    instance: str

    @property
    def label(self) -> str:
        shown = f"{self.name} {self.arguments}" if self.arguments else self.name
        return f"{shown}#{self.instance}" if self.instance else shown


@dataclass(frozen=True)
class Cue:
    """What to play. `marker` is the label of the script's marker, or None for an unscripted answer."""

    attempt: Attempt
    marker: str | None = None
    step: int = 0


class UnknownScenario(ValueError):
    """A marker names no script: a mistake in a test, better told than answered with a default."""


class BadScript(ValueError):
    """A registered script does not have the form that `scenarios` describes."""


@dataclass
class Stage:
    scripts: dict[str, Json] = field(default_factory=lambda: {script["name"]: script for script in SCRIPTS})
    played: Counter[tuple[str, int]] = field(default_factory=Counter)
    failed: Counter[tuple[str, int]] = field(default_factory=Counter)

    def forget(self) -> None:
        self.played.clear()
        self.failed.clear()

    def register(self, script: Json) -> None:
        check_script(script)
        self.scripts[script["name"]] = script

    def cue(self, conversation: Conversation, model_id: str) -> Cue:
        if conversation.answer_schema is not None:
            return Cue([{"text": encode(sample(conversation.answer_schema)).decode(), "pieces": 3}])
        for marker, step in self.known(list(markers(conversation))):
            script = self.scripts[marker.name]
            if step < len(script["turns"]):
                return self.take(script, marker, step, conversation, model_id)
        unscripted = SEARCH_ANSWER if conversation.search else DEFAULT_ANSWER
        return Cue(fill(unscripted, placeholders(conversation, "")))

    def known(self, found: list[tuple[Marker, int]]) -> list[tuple[Marker, int]]:
        """The markers that name a script. A client's own prompt may hold `[[words]]`; only nonsense alone is told."""
        known = [(marker, step) for marker, step in found if marker.name in self.scripts]
        if found and not known:
            raise UnknownScenario(f"no scenario is named {found[0][0].name!r}")
        return known

    def take(self, script: Json, marker: Marker, step: int, conversation: Conversation, model_id: str) -> Cue:
        attempts = script["turns"][step]["attempts"]
        place = (marker.label, step)
        attempt = attempts[min(self.played[place], len(attempts) - 1)]
        self.played[place] += 1
        filled = fill(attempt, placeholders(conversation, marker.arguments))
        return Cue(self.chosen(filled, marker, step, model_id), marker.label, step)

    def chosen(self, attempt: Attempt, marker: Marker, step: int, model_id: str) -> Attempt:
        """An error that names a model or a number of times is for that model, so many times; then comes `then`."""
        if not isinstance(attempt, dict) or "then" not in attempt:
            return attempt
        place = (f"{marker.label} at {model_id}" if "model" in attempt else marker.label, step)
        is_meant = attempt.get("model", "") in model_id
        if not is_meant or self.failed[place] >= int(attempt.get("times", sys.maxsize)):
            then: Attempt = attempt["then"]
            return then
        self.failed[place] += 1
        return attempt


def markers(conversation: Conversation) -> Iterator[tuple[Marker, int]]:
    """Markers in order of preference, each with the number of assistant messages after it.

    User messages come first, then the system prompt. A marker whose script has run out leaves the
    conversation to the next one, so a second prompt can name a second script.
    """
    for role in ("user", "system"):
        for place, line in enumerate(conversation.lines):
            if line.role == role:
                step = sum(later.role == "assistant" for later in conversation.lines[place + 1 :])
                for found in MARKER.finditer(line.text):
                    yield Marker(found[1], (found[2] or "").strip(), found[3] or ""), step


def placeholders(conversation: Conversation, arguments: str) -> dict[str, str]:
    words = arguments.split()
    return {
        "args": arguments,
        "last_user": conversation.last_user_text.strip()[:QUOTED_CHARACTERS],
        "tool_result": conversation.last_tool_result.strip()[:QUOTED_RESULT_CHARACTERS],
        "images": str(conversation.images),
        "files": str(conversation.files),
        **{f"arg{place}": word for place, word in enumerate(words, 1)},
    }


def fill(value: JsonValue, values: dict[str, str]) -> JsonValue:
    """A copy of a script's data with its placeholders replaced in every string."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: values.get(found[1]) or found[2] or "", value)
    if isinstance(value, list):
        return [fill(item, values) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, values) for key, item in value.items()}
    return value


def check_script(script: JsonValue) -> None:
    if not isinstance(script, dict) or not isinstance(script.get("name"), str):
        raise BadScript("a script needs a name")
    turns = script.get("turns")
    if not isinstance(turns, list) or not turns:
        raise BadScript("a script needs a non-empty list of turns")
    for place, turn in enumerate(turns):
        attempts = turn.get("attempts") if isinstance(turn, dict) else None
        if not isinstance(attempts, list) or not attempts:
            raise BadScript(f"turns[{place}] needs a non-empty list of attempts")
        if not all(isinstance(attempt, dict | list) for attempt in attempts):
            raise BadScript(f"turns[{place}].attempts holds error answers (objects) or lists of emissions")
