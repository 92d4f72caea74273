"""Which reasoning was given out, answer by answer: what comes back is held against it."""

from collections import defaultdict
from dataclasses import dataclass, field

from testing.openrouter_simulator.exact_json import Json

Key = tuple[str, ...]

KEY_FIELDS = ("type", "format", "text", "summary", "data", "signature", "id")


def thought_key(detail: Json) -> Key:
    """What makes a detail itself: everything but its index, which only says how streamed pieces belong together."""
    return tuple(str(detail.get(name) or "") for name in KEY_FIELDS)


def call_key(call_id: str) -> Key:
    return ("call", call_id)


@dataclass(frozen=True)
class Given:
    """The reasoning of one answer: its thoughts, their order among the calls, text that had no details, all texts."""

    thoughts: tuple[Key, ...]
    order: tuple[Key, ...]
    plain: str
    texts: tuple[str, ...] = ()


@dataclass
class Giving:
    """An answer's reasoning while it is given. Pieces of one thought are put together as their receivers do."""

    details: list[Json] = field(default_factory=list)
    steps: list[Json | str] = field(default_factory=list)
    plain: str = ""
    texts: list[str] = field(default_factory=list)

    def take(self, delta: Json) -> None:
        details = delta.get("reasoning_details") or []
        if not details:
            self.plain += delta.get("reasoning") or ""
        for detail in details:
            self.take_detail(detail)
        self.steps += [call["id"] for call in delta.get("tool_calls") or [] if "name" in call["function"]]

    def take_detail(self, detail: Json) -> None:
        before = len(self.details)
        add_detail(self.details, detail)
        self.steps += self.details[before:]

    def given(self) -> Given:
        order = tuple(call_key(step) if isinstance(step, str) else thought_key(step) for step in self.steps)
        return Given(tuple(thought_key(detail) for detail in self.details), order, self.plain, tuple(self.texts))


def add_detail(details: list[Json], detail: Json) -> None:
    """wire.md 2.3: text is concatenated by index, its signature arrives later."""
    last = details[-1] if details else None
    same = last is not None and all(last.get(key) == detail.get(key) for key in ("type", "index", "format"))
    if last is None or not same or "data" in detail:
        details.append(dict(detail))
        return
    for key in ("text", "summary"):
        if key in detail:
            last[key] = last.get(key, "") + detail[key]
    if "signature" in detail:
        last["signature"] = detail["signature"]


@dataclass
class Issued:
    """All that was given, by family. A thought without a seal may have been given more than once."""

    answers: dict[tuple[str, Key], list[Given]] = field(default_factory=lambda: defaultdict(list))
    plain: set[tuple[str, str]] = field(default_factory=set)
    texts: set[tuple[str, str]] = field(default_factory=set)
    prefixes: dict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))

    def remember(self, family: str, given: Given, prefix: str) -> None:
        """`prefix` is a digest of the conversation before the answer."""
        for key in given.thoughts:
            self.prefixes[key].add(prefix)
        for key in given.order if given.thoughts or given.plain else ():
            known = self.answers[family, key]
            if given not in known:
                known.append(given)
        if given.plain:
            self.plain.add((family, given.plain))
        self.texts |= {(family, text) for text in given.texts}

    def of(self, family: str, key: Key) -> list[Given]:
        """The answers of a family that had this thought or call."""
        return self.answers.get((family, key), [])
