"""What nobody charged is estimated as on paper: fifteen models of nine families, worked out by hand.

Prices stand here as `GET /models` writes them (wire.md 2.6), in USD per token or per search; the cost is the sum that a
person gets with a pencil. A price finer than 10^-12 USD is rounded half to even before anything is multiplied.
"""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from messages_api.services.catalog import catalog_model
from messages_api.services.routing import model_facts
from usage.pricing import Tokens, estimate, usd


@dataclass(frozen=True)
class Example:
    model: str
    pricing: dict[str, str]
    tokens: Tokens
    worked: list[str] = field(default_factory=list)  # USD: input, output, cache read, cache write, searches

    def __str__(self) -> str:
        return self.model


def pricing(prompt: str, completion: str, read: str = "", write: str = "", search: str = "") -> dict[str, str]:
    named = {"prompt": prompt, "completion": completion, "input_cache_read": read, "input_cache_write": write}
    return {name: price for name, price in {**named, "web_search": search}.items() if price}


EXAMPLES = [
    Example(  # 1,200 x 2, 850 x 10 (300 of them thoughts), 48,000 x 0.2, 2,000 x 2.5 USD a million
        "anthropic/claude-sonnet-5",
        pricing("0.000002", "0.00001", "0.0000002", "0.0000025"),
        Tokens(1200, 850, 48_000, 2_000, reasoning=300),
        ["0.0024", "0.0085", "0.0096", "0.005"],
    ),
    Example(
        "anthropic/claude-haiku-4.5",
        pricing("0.000001", "0.000005", "0.0000001", "0.00000125"),
        Tokens(100, 20),
        ["0.0001", "0.0001"],
    ),
    Example(
        "anthropic/claude-opus-4.7",
        pricing("0.000005", "0.000025", "0.0000005", "0.00000625", "0.01"),
        Tokens(3_000, 1_000, 10_000, 4_000, web_searches=3),
        ["0.015", "0.025", "0.005", "0.025", "0.03"],
    ),
    Example(
        "openai/gpt-5",
        pricing("0.00000125", "0.00001", "0.000000125"),
        Tokens(1_000, 2_000, 64_000, reasoning=1_500),
        ["0.00125", "0.02", "0.008"],
    ),
    Example("openai/gpt-5-nano", pricing("0.00000005", "0.0000004"), Tokens(1, 1), ["0.00000005", "0.0000004"]),
    Example(
        "openai/gpt-4.1",
        pricing("0.000002", "0.000008", "0.0000005"),
        Tokens(0, 10, 100_000),
        ["0", "0.00008", "0.05"],
    ),
    Example(
        "google/gemini-2.5-pro",
        pricing("0.00000125", "0.00001", "0.000000125", "0.000000375"),
        Tokens(7, 3, 1_000, 1_000),
        ["0.00000875", "0.00003", "0.000125", "0.000375"],
    ),
    Example(  # what is written to the cache costs 41,666.67 picodollars a token: 41,667
        "google/gemini-3.6-flash",
        pricing("0.00000075", "0.00000375", "0.000000075", "0.0000000416666666666667"),
        Tokens(100, 100, 0, 3),
        ["0.000075", "0.000375", "0", "0.000000125001"],
    ),
    Example(
        "x-ai/grok-4.5",
        pricing("0.000002", "0.000006", "0.0000003"),
        Tokens(500, 500, 500),
        ["0.001", "0.003", "0.00015"],
    ),
    Example(
        "deepseek/deepseek-v3.2",
        pricing("0.000000259", "0.00000042", "0.000000135"),
        Tokens(1_000, 1_000, 10_000),
        ["0.000259", "0.00042", "0.00135"],
    ),
    Example(  # 23,939.5 picodollars to read from the cache: the even neighbour is 23,940
        "deepseek/deepseek-v4-pro",
        pricing("0.000000287274", "0.000000574548", "0.0000000239395"),
        Tokens(1, 1, 1),
        ["0.000000287274", "0.000000574548", "0.00000002394"],
    ),
    Example(
        "moonshotai/kimi-k2.6",
        pricing("0.0000004375", "0.00000245", "0.0000001211"),
        Tokens(2_000, 400, 8_000),
        ["0.000875", "0.00098", "0.0009688"],
    ),
    Example(
        "qwen/qwen3-coder-plus",
        pricing("0.00000065", "0.00000325", "0.00000013", "0.0000008125"),
        Tokens(100, 100, 100, 100),
        ["0.000065", "0.000325", "0.000013", "0.00008125"],
    ),
    Example(  # no price for a cache: what it read costs what input costs
        "mistralai/mistral-medium-3-5",
        pricing("0.0000015", "0.0000075"),
        Tokens(100, 40, 900),
        ["0.00015", "0.0003", "0.00135"],
    ),
    Example("z-ai/glm-4.7", pricing("0.0000006", "0.0000022"), Tokens(10, 5), ["0.000006", "0.000011"]),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_estimate_is_the_sum_on_paper(example: Example) -> None:
    described = {"id": example.model, "name": "", "context_length": 1000, "pricing": example.pricing}
    prices = model_facts(catalog_model(described)).prices
    assert prices is not None
    assert usd(estimate(example.tokens, prices)) == sum(Decimal(part) for part in example.worked)
