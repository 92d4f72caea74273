"""Tokens and money: counted the same way every time, exact to the last digit."""

from dataclasses import dataclass, field
from decimal import Decimal

from testing.openrouter_simulator.conversation import Conversation
from testing.openrouter_simulator.exact_json import Json, amount
from testing.openrouter_simulator.models import Model

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 1000
FILE_TOKENS = 1500
# Claude reports a handful of tokens after the last breakpoint as plain input.
TOKENS_AFTER_BREAKPOINT = 3
BYOK_FEE = Decimal("0.05")


def tokens_of(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def common_prefix_length(left: str, right: str) -> int:
    """Halves the range instead of walking it: prompts are long and mostly equal."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass
class PromptCache:
    """What each session last sent, to tell how much of the next prompt is the same."""

    prompts: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def cached_tokens(self, key: str, model: Model, session_id: str | None, canonical: str) -> int:
        if session_id is None:
            return 0
        place = (key, model.id, session_id)
        previous = self.prompts.get(place, "")
        self.prompts[place] = canonical
        return common_prefix_length(previous, canonical) // CHARACTERS_PER_TOKEN


@dataclass
class Usage:
    prompt: int
    cached: int = 0
    cache_write: int = 0
    completion: int = 0
    reasoning: int = 0
    web_searches: int = 0

    @property
    def fresh(self) -> int:
        return self.prompt - self.cached - self.cache_write


def prompt_usage(conversation: Conversation, model: Model, cached: int) -> Usage:
    """Claude caches only where a breakpoint asks for it; the others by themselves."""
    extras = IMAGE_TOKENS * conversation.images + FILE_TOKENS * conversation.files
    usage = Usage(tokens_of(conversation.canonical) + extras)
    explicit = model.family == "anthropic"
    if "input_cache_read" in model.pricing and (not explicit or conversation.breakpoints):
        usage.cached = min(cached, usage.prompt)
    if explicit and conversation.breakpoints:
        usage.cache_write = max(0, usage.prompt - usage.cached - TOKENS_AFTER_BREAKPOINT)
    return usage


@dataclass(frozen=True)
class Bill:
    prompt: Decimal
    completion: Decimal
    other: Decimal
    is_byok: bool

    @property
    def upstream(self) -> Decimal:
        return self.prompt + self.completion + self.other

    @property
    def cost(self) -> Decimal:
        """With the customer's own provider key, OpenRouter takes its fee and the provider bills the rest."""
        return self.upstream * BYOK_FEE if self.is_byok else self.upstream


def bill(usage: Usage, model: Model, is_byok: bool) -> Bill:
    prompt = (
        usage.fresh * model.price("prompt")
        + usage.cached * model.price("input_cache_read")
        + usage.cache_write * model.price("input_cache_write")
    )
    completion = usage.completion * model.price("completion")
    other = model.price("request") + usage.web_searches * model.price("web_search")
    return Bill(prompt, completion, other, is_byok)


def chat_usage(usage: Usage, owed: Bill) -> Json:
    """wire.md 2.4: prompt_tokens includes the cached ones."""
    report: Json = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "cost": amount(owed.cost),
        "is_byok": owed.is_byok,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
            "video_tokens": 0,
        },
        "cost_details": cost_details(owed),
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "image_tokens": 0},
    }
    if usage.web_searches:
        report["server_tool_use_details"] = {"web_search_requests": usage.web_searches}
    return report


def cost_details(owed: Bill) -> Json:
    return {
        "upstream_inference_cost": amount(owed.upstream),
        "upstream_inference_prompt_cost": amount(owed.prompt),
        "upstream_inference_completions_cost": amount(owed.completion),
    }


def messages_usage(usage: Usage, owed: Bill | None) -> Json:
    """wire.md 1.6: input_tokens excludes what was read from or written to the cache."""
    report: Json = {
        "input_tokens": usage.fresh,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.completion,
        "service_tier": "standard",
    }
    if usage.web_searches:
        report["server_tool_use"] = {"web_search_requests": usage.web_searches}
    if owed is not None:
        report |= {"cost": amount(owed.cost), "is_byok": owed.is_byok, "cost_details": cost_details(owed)}
    return report
