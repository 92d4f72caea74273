"""Owns money: exact integers of 10^-12 USD (picodollars), and the estimate of a cost from prices. Pure.

Decimals appear at the edges only. A price or charge finer than a picodollar is rounded half to even, once.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

PICO = Decimal(10) ** 12


def picodollars(usd: Decimal | str) -> int:
    """`usd` as an integer of 10^-12 USD."""
    return int((Decimal(usd) * PICO).to_integral_value(ROUND_HALF_EVEN))


def usd(pico: int) -> Decimal:
    """An integer of 10^-12 USD as USD, exactly."""
    return Decimal(pico) / PICO


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one request, in Anthropic's sense: `input` excludes what was read from or written to a cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0  # part of `output`
    web_searches: int = 0

    @property
    def prompt(self) -> int:
        """All of the prompt, cached or not."""
        return self.input + self.cache_read + self.cache_write

    @property
    def as_list(self) -> list[int]:
        """As a record keeps them of an attempt: `Tokens(*as_list)` are the same again."""
        return [getattr(self, name) for name in Tokens.__slots__]

    @property
    def uncached(self) -> int:
        """What counts towards a limit of tokens: all but what was read from a cache."""
        return self.input + self.cache_write + self.output

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(*(getattr(self, name) + getattr(other, name) for name in Tokens.__slots__))


@dataclass(frozen=True, slots=True)
class Prices:
    """Picodollars per token, and per request or search. A cache price of None means the price of input."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    request: int = 0
    web_search: int = 0


def estimate(tokens: Tokens, prices: Prices) -> int:
    """Picodollars of `tokens` at `prices`. Reasoning is part of the output and is charged as such."""
    cache_read = prices.input if prices.cache_read is None else prices.cache_read
    cache_write = prices.input if prices.cache_write is None else prices.cache_write
    return (
        tokens.input * prices.input
        + tokens.output * prices.output
        + tokens.cache_read * cache_read
        + tokens.cache_write * cache_write
        + tokens.web_searches * prices.web_search
        + prices.request
    )
