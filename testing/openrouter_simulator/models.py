"""The models on offer: limits, prices, abilities, and GET /models."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from testing.openrouter_simulator.exact_json import Json

ReasoningShape = Literal["anthropic", "openai", "gemini", "xai", "meta", "unknown", "plain"]

VARIANTS = frozenset({"free", "nitro", "floor", "online", "thinking", "exacto", "extended", "beta"})
CREATED = 1_750_000_000

COMMON = ("max_tokens", "temperature", "top_p", "stop", "response_format", "structured_outputs")
TOOLS = ("tools", "tool_choice")
REASONING = ("reasoning", "include_reasoning")
TUNING = ("seed", "frequency_penalty", "presence_penalty", "top_k", "min_p", "repetition_penalty")
PARALLEL = ("parallel_tool_calls",)

TEXT = ("text",)
TEXT_IMAGE = ("text", "image")
TEXT_IMAGE_FILE = ("text", "image", "file")

OPTIONAL: Json = {"mandatory": False, "default_enabled": False, "supports_max_tokens": True}
ADAPTIVE: Json = {
    "mandatory": False,
    "default_enabled": True,
    "default_effort": "high",
    "supported_efforts": ["max", "xhigh", "high", "medium", "low"],
    "supports_max_tokens": False,
}
EFFORT_MANDATORY: Json = {
    "mandatory": True,
    "default_enabled": True,
    "default_effort": "medium",
    "supported_efforts": ["high", "medium", "low", "minimal"],
    "supports_max_tokens": False,
}
GEMINI_MANDATORY: Json = {"mandatory": True, "default_enabled": True, "supports_max_tokens": True}

REASONING_SHAPE: dict[str, ReasoningShape] = {
    "anthropic": "anthropic",
    "openai": "openai",
    "google": "gemini",
    "x-ai": "xai",
    "meta-llama": "meta",
    "moonshotai": "unknown",
    "qwen": "unknown",
    "z-ai": "unknown",
    "minimax": "unknown",
}
PROVIDER: dict[str, str] = {
    "anthropic": "Anthropic",
    "openai": "OpenAI",
    "google": "Google",
    "meta-llama": "DeepInfra",
    "mistralai": "Mistral",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "moonshotai": "Moonshot AI",
    "x-ai": "xAI",
    "qwen": "Alibaba",
    "perplexity": "Perplexity",
    "z-ai": "Z.AI",
    "minimax": "Minimax",
}


@dataclass(frozen=True)
class Model:
    """One row of the list. Prices are USD per token, as strings of OpenRouter's own pricing object."""

    id: str
    name: str
    context_length: int
    max_completion_tokens: int
    inputs: tuple[str, ...]
    pricing: dict[str, str]
    parameters: tuple[str, ...]
    reasoning: Json | None = None
    adaptive: bool = False

    @property
    def family(self) -> str:
        return self.id.partition("/")[0]

    @property
    def provider(self) -> str:
        return PROVIDER[self.family]

    @property
    def reasoning_shape(self) -> ReasoningShape:
        return REASONING_SHAPE.get(self.family, "plain")

    def price(self, what: str) -> Decimal:
        return Decimal(self.pricing.get(what, "0"))


def prices(prompt: str, completion: str, read: str = "", write: str = "", **more: str) -> dict[str, str]:
    """Per million tokens in, per token out: easier to read against a price list. What has no price is absent."""
    per_million = {"prompt": prompt, "completion": completion, "input_cache_read": read, "input_cache_write": write}
    table = {name: format(Decimal(value).scaleb(-6).normalize(), "f") for name, value in per_million.items() if value}
    return {**table, "request": "0", "image": "0", "web_search": "0.01", "internal_reasoning": "0", **more}


WHOLE = (*COMMON, *TOOLS, *REASONING)
OPENAI_REASONER = ("max_tokens", "seed", "response_format", "structured_outputs", *TOOLS, *REASONING, *PARALLEL)
OPEN_WEIGHTS = (*COMMON, *TOOLS, *TUNING)

MODELS: tuple[Model, ...] = (
    Model(
        "anthropic/claude-opus-4.8",
        "Anthropic: Claude Opus 4.8",
        1_000_000,
        128_000,
        TEXT_IMAGE_FILE,
        prices("5", "25", "0.5", "6.25"),
        (*WHOLE, "verbosity"),
        ADAPTIVE,
        adaptive=True,
    ),
    Model(
        "anthropic/claude-sonnet-5",
        "Anthropic: Claude Sonnet 5",
        1_000_000,
        128_000,
        TEXT_IMAGE_FILE,
        prices("2", "10", "0.2", "2.5"),
        (*WHOLE, "verbosity"),
        ADAPTIVE,
        adaptive=True,
    ),
    Model(
        "anthropic/claude-haiku-4.5",
        "Anthropic: Claude Haiku 4.5",
        200_000,
        64_000,
        TEXT_IMAGE_FILE,
        prices("1", "5", "0.1", "1.25"),
        (*WHOLE, "top_k"),
        OPTIONAL,
    ),
    Model(
        "openai/gpt-5",
        "OpenAI: GPT-5",
        400_000,
        128_000,
        TEXT_IMAGE_FILE,
        prices("1.25", "10", "0.125"),
        (*OPENAI_REASONER, "verbosity"),
        EFFORT_MANDATORY,
    ),
    Model(
        "openai/gpt-5-mini",
        "OpenAI: GPT-5 Mini",
        400_000,
        128_000,
        TEXT_IMAGE_FILE,
        prices("0.25", "2", "0.025"),
        (*OPENAI_REASONER, "verbosity"),
        EFFORT_MANDATORY,
    ),
    Model(
        "openai/gpt-4o-mini",
        "OpenAI: GPT-4o-mini",
        128_000,
        16_384,
        TEXT_IMAGE_FILE,
        prices("0.15", "0.6", "0.075"),
        (*COMMON, *TOOLS, *PARALLEL, "seed"),
    ),
    Model(
        "google/gemini-2.5-pro",
        "Google: Gemini 2.5 Pro",
        1_048_576,
        65_536,
        TEXT_IMAGE_FILE,
        prices("1.25", "10", "0.125", "0.375"),
        (*WHOLE, "seed"),
        GEMINI_MANDATORY,
    ),
    Model(
        "google/gemini-2.5-flash",
        "Google: Gemini 2.5 Flash",
        1_048_576,
        65_535,
        TEXT_IMAGE_FILE,
        prices("0.3", "2.5", "0.03", "0.0833333333333333"),
        (*WHOLE, "seed"),
        OPTIONAL,
    ),
    Model(
        "google/gemini-3-pro-preview",
        "Google: Gemini 3 Pro Preview",
        1_048_576,
        65_536,
        TEXT_IMAGE_FILE,
        prices("2", "12", "0.2", "0.375"),
        (*WHOLE, "seed"),
        GEMINI_MANDATORY,
    ),
    Model(
        "meta-llama/llama-3.3-70b-instruct",
        "Meta: Llama 3.3 70B Instruct",
        131_072,
        16_384,
        TEXT,
        prices("0.1", "0.32"),
        OPEN_WEIGHTS,
    ),
    Model(
        "mistralai/mistral-large",
        "Mistral Large",
        128_000,
        32_768,
        TEXT,
        prices("2", "6", "0.2"),
        (*COMMON, *TOOLS, *PARALLEL, "seed"),
    ),
    Model(
        "cohere/command-a", "Cohere: Command A", 256_000, 8_192, TEXT, prices("2.5", "10"), (*COMMON, *TOOLS, *TUNING)
    ),
    Model(
        "deepseek/deepseek-chat",
        "DeepSeek: DeepSeek V3",
        163_840,
        65_536,
        TEXT,
        prices("0.32", "0.89", "0.032"),
        (*OPEN_WEIGHTS, *REASONING),
        OPTIONAL,
    ),
    Model(
        "moonshotai/kimi-k2",
        "MoonshotAI: Kimi K2",
        131_072,
        98_304,
        TEXT,
        prices("0.57", "2.3", "0.114"),
        (*OPEN_WEIGHTS, *REASONING),
        OPTIONAL,
    ),
    Model(
        "x-ai/grok-4",
        "xAI: Grok 4",
        256_000,
        128_000,
        TEXT_IMAGE,
        prices("3", "15", "0.75"),
        (*WHOLE, "seed"),
        {"mandatory": True, "default_enabled": True, "supports_max_tokens": False},
    ),
    Model(
        "qwen/qwen3-coder",
        "Qwen: Qwen3 Coder 480B A35B",
        262_144,
        65_536,
        TEXT,
        prices("0.22", "1", "0.022"),
        (*OPEN_WEIGHTS, *REASONING),
        OPTIONAL,
    ),
    Model(
        "z-ai/glm-4.6",
        "Z.AI: GLM 4.6",
        202_752,
        65_536,
        TEXT,
        prices("0.6", "2.2", "0.11"),
        (*OPEN_WEIGHTS, *REASONING),
        OPTIONAL,
    ),
    Model(
        "minimax/minimax-m2",
        "MiniMax: MiniMax M2",
        204_800,
        131_072,
        TEXT,
        prices("0.3", "1.2", "0.03"),
        (*OPEN_WEIGHTS, *REASONING),
        {"mandatory": True, "default_enabled": True, "supports_max_tokens": False},
    ),
    Model(
        "perplexity/sonar", "Perplexity: Sonar", 127_072, 8_000, TEXT_IMAGE, prices("1", "1", request="0.005"), COMMON
    ),
)

# Ids of this season beside the ones above: the same families, other limits.
CURRENT_IDS: dict[str, str] = {
    "anthropic/claude-opus-5": "anthropic/claude-opus-4.8",
    "google/gemini-3.1-pro-preview": "google/gemini-3-pro-preview",
    "google/gemini-3.5-flash": "google/gemini-2.5-pro",
    "deepseek/deepseek-v3.2": "deepseek/deepseek-chat",
    "moonshotai/kimi-k2.6": "moonshotai/kimi-k2",
    "mistralai/mistral-large-2512": "mistralai/mistral-large",
    "x-ai/grok-4.5": "x-ai/grok-4",
    "openai/gpt-5-nano": "openai/gpt-5-mini",
}

BY_ID: dict[str, Model] = {model.id: model for model in MODELS}
BY_ID |= {new: replace(BY_ID[like], id=new, name=new) for new, like in CURRENT_IDS.items()}
FREE_OF_CHARGE = dict.fromkeys(
    ("prompt", "completion", "input_cache_read", "input_cache_write", "request", "web_search"), "0"
)


def find_model(model_id: str) -> Model | None:
    """The model of an id, with or without a variant such as `:nitro`; `:free` costs nothing."""
    base, _, variant = model_id.partition(":")
    model = BY_ID.get(base)
    if model is None or (variant and variant not in VARIANTS):
        return None
    pricing = {**model.pricing, **FREE_OF_CHARGE} if variant == "free" else model.pricing
    return replace(model, id=model_id, pricing=pricing)


def model_listing(model: Model) -> Json:
    """One row of GET /models, wire.md 2.6."""
    return {
        "id": model.id,
        "canonical_slug": model.id,
        "hugging_face_id": None,
        "name": model.name,
        "created": CREATED,
        "description": f"{model.name}, as the simulator offers it.",
        "context_length": model.context_length,
        "architecture": architecture(model),
        "pricing": model.pricing,
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": model.max_completion_tokens,
            "is_moderated": model.family in ("anthropic", "openai"),
        },
        "per_request_limits": None,
        "supported_parameters": list(model.parameters),
        "default_parameters": {"temperature": None, "top_p": None, "frequency_penalty": None},
        "reasoning": model.reasoning,
        "alias_target": None,
        "expiration_date": None,
        "knowledge_cutoff": None,
    }


def architecture(model: Model) -> Json:
    return {
        "modality": f"{'+'.join(model.inputs)}->text",
        "input_modalities": list(model.inputs),
        "output_modalities": ["text"],
        "tokenizer": model.provider,
        "instruct_type": None,
    }


def listing() -> Json:
    return {"data": [model_listing(model) for model in BY_ID.values()]}


def offer_catalogue(rows: list[Json]) -> None:
    """Takes rows of a GET /models answer into the list, in place of its own rows of the same id."""
    for row in rows:
        if row["id"].partition("/")[0] in PROVIDER:
            BY_ID[row["id"]] = model_of(row)


def model_of(row: Json) -> Model:
    reasoning = row.get("reasoning")
    efforts = (reasoning or {}).get("supported_efforts")
    return Model(
        id=row["id"],
        name=row["name"],
        context_length=row["context_length"],
        max_completion_tokens=row["top_provider"].get("max_completion_tokens") or row["context_length"],
        inputs=tuple(row["architecture"]["input_modalities"]),
        pricing={name: price for name, price in row["pricing"].items() if isinstance(price, str)},
        parameters=tuple(row["supported_parameters"]),
        reasoning={"mandatory": False, **reasoning} if reasoning else None,
        adaptive=row["id"].startswith("anthropic/") and bool(efforts),
    )
