"""What the attempts of a request used, each for itself: a record's tokens and cost are the sums of these. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from usage.pricing import Tokens

UPSTREAM, CATALOGUE = "upstream", "catalogue"
#: The column of a record for each kind of tokens.
COLUMNS = {name: name if name == "web_searches" else f"{name}_tokens" for name in Tokens.__slots__}


@dataclass(frozen=True, slots=True)
class Part:
    """One attempt: what the upstream calls its answer, and what it used. The cost is in picodollars."""

    generation_id: str
    cost: int
    cost_source: str
    tokens: Tokens

    @property
    def is_guessed(self) -> bool:
        """Whether OpenRouter answered, and did not say what it charged."""
        return self.cost_source != UPSTREAM and self.generation_id.startswith("gen-")


def part_of_attempt(attempt: Mapping[str, Any]) -> Part:
    """An attempt as the ledger keeps it. Raises KeyError for one from before the ledger kept its tokens."""
    tokens = Tokens(*attempt["tokens"])
    return Part(attempt["generation_id"], attempt["cost"], attempt["cost_source"], tokens)


def total(parts: Iterable[Part]) -> Part:
    """The sum, under the last one's name; an estimate, if any of it is one."""
    parts = list(parts)
    sources = {part.cost_source for part in parts}
    source = next(known for known in (CATALOGUE, UPSTREAM, "") if known in sources)
    tokens = sum((part.tokens for part in parts), Tokens())
    return Part(parts[-1].generation_id, sum(part.cost for part in parts), source, tokens)
