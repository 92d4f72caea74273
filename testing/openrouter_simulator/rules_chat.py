"""What OpenRouter itself refuses in a chat completion request, whatever the provider."""

import base64
import re

from testing.openrouter_simulator.exact_json import Json
from testing.openrouter_simulator.models import Model, find_model
from testing.openrouter_simulator.refusals import Refusal, bad_request
from testing.openrouter_simulator.rules_schema import check_schema_form
from testing.openrouter_simulator.shapes import expect, expect_field, expect_length, expect_one_of

# wire.md 2.1: every known field and its type
FIELD_KINDS: dict[str, str] = {
    "messages": "array",
    "model": "string",
    "models": "array",
    "max_completion_tokens": "integer|null",
    "max_tokens": "integer|null",
    "temperature": "number|null",
    "top_p": "number|null",
    "top_k": "integer|null",
    "min_p": "number|null",
    "top_a": "number|null",
    "frequency_penalty": "number|null",
    "presence_penalty": "number|null",
    "repetition_penalty": "number|null",
    "seed": "integer|null",
    "stop": "string|array|null",
    "tools": "array|null",
    "tool_choice": "string|object|null",
    "parallel_tool_calls": "boolean|null",
    "response_format": "object|null",
    "reasoning": "object|null",
    "reasoning_effort": "string|null",
    "include_reasoning": "boolean|null",
    "verbosity": "string|null",
    "provider": "object|null",
    "plugins": "array|null",
    "route": "string|null",
    "service_tier": "string|null",
    "session_id": "string|null",
    "cache_control": "object|null",
    "prompt_cache_key": "string|null",
    "prompt_cache_options": "object|null",
    "prediction": "object|null",
    "metadata": "object|null",
    "user": "string|null",
    "trace": "object|null",
    "debug": "object|null",
    "stop_server_tools_when": "array|null",
    "usage": "object|null",
    "stream": "boolean|null",
    "stream_options": "object|null",
    "logprobs": "boolean|null",
    "top_logprobs": "integer|null",
    "logit_bias": "object|null",
    "structured_outputs": "boolean|null",
    "modalities": "array|null",
    "image_config": "object|null",
    "transforms": "array|null",
}

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
PART_FIELDS: dict[str, tuple[str, str]] = {
    "text": ("text", "string"),
    "image_url": ("image_url", "object"),
    "file": ("file", "object"),
    "input_audio": ("input_audio", "object"),
    "video_url": ("video_url", "object"),
}
DETAIL_FORMATS = frozenset(
    {
        "unknown",
        "openai-responses-v1",
        "azure-openai-responses-v1",
        "bedrock-openai-responses-v1",
        "bedrock-xai-responses-v1",
        "xai-responses-v1",
        "meta-responses-v1",
        "anthropic-claude-v1",
        "google-gemini-v1",
    }
)
DETAIL_FIELDS: dict[str, str] = {
    "reasoning.text": "text",
    "reasoning.summary": "summary",
    "reasoning.encrypted": "data",
    "reasoning.server_tool_call": "tool_name",
}
EFFORTS = frozenset({"max", "xhigh", "high", "medium", "low", "minimal", "none"})
REASONING_FIELDS = frozenset({"effort", "max_tokens", "exclude", "enabled", "summary", "context", "mode"})
VERBOSITIES = frozenset({"low", "medium", "high", "xhigh", "max"})
TOOL_CHOICES = frozenset({"none", "auto", "required"})
SERVICE_TIERS = frozenset({"auto", "default", "fast", "flex", "priority", "scale"})
# OpenRouterTeam/typescript-sdk, src/models/*servertool*.ts
SERVER_TOOLS = frozenset(
    f"openrouter:{name}"
    for name in ("web_search", "web_fetch", "datetime", "image_generation", "bash", "advisor", "search_models")
)
PDF_ENGINES = frozenset({"mistral-ocr", "native", "cloudflare-ai"})
PLUGIN_IDS = frozenset(
    {
        "web",
        "file-parser",
        "response-healing",
        "context-compression",
        "auto-router",
        "moderation",
        "pareto",
        "fusion",
        "web_fetch",
    }
)
PROVIDER_FIELDS: dict[str, str] = {
    "order": "array|null",
    "only": "array|null",
    "ignore": "array|null",
    "allow_fallbacks": "boolean|null",
    "require_parameters": "boolean|null",
    "data_collection": "string|null",
    "zdr": "boolean|null",
    "enforce_distillable_text": "boolean|null",
    "quantizations": "array|null",
    "sort": "string|object|null",
    "preferred_min_throughput": "number|object|null",
    "preferred_max_latency": "number|object|null",
    "max_price": "object|null",
}
QUANTIZATIONS = frozenset({"int4", "int8", "fp4", "fp6", "fp8", "fp16", "bf16", "fp32", "unknown"})
SORTS = frozenset({"price", "throughput", "latency", "exacto"})
PERCENTILES = frozenset({"p50", "p75", "p90", "p99"})
PROVIDER_NESTED: dict[str, frozenset[str]] = {
    "max_price": frozenset({"prompt", "completion", "request", "image", "audio"}),
    "preferred_min_throughput": PERCENTILES,
    "preferred_max_latency": PERCENTILES,
}
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "top_a": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0, 2),
}
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=-]+)*;base64,(.*)", re.DOTALL)

LONGEST_USER = 128
LONGEST_SESSION = 256
LONGEST_METADATA_VALUE = 512
MOST_METADATA_PAIRS = 16
MOST_STOPS = 4
MOST_MODELS = 3


def check_fields(body: Json) -> None:
    """wire.md 2.1: wrong types name the field."""
    for name, kinds in FIELD_KINDS.items():
        if name in body:
            expect(body[name], kinds, name)


def check_model(body: Json) -> Model:
    """wire.md 2.1: model, models[]; 2.5: 400 for an id that is none."""
    wanted = [body["model"]] if body.get("model") else []
    fallbacks = body.get("models") or []
    if len(fallbacks) > MOST_MODELS:
        raise bad_request(f"models: 'models' array must have {MOST_MODELS} items or fewer.")
    wanted += fallbacks
    if not wanted:
        raise bad_request("No models provided")
    found = []
    for model_id in wanted:
        expect(model_id, "string", "model")
        model = find_model(model_id)
        if model is None:
            raise bad_request(f"{model_id} is not a valid model ID")
        found.append(model)
    return found[0]


def check_messages_present(body: Json) -> None:
    """wire.md 2.1."""
    if "messages" not in body:
        raise bad_request('Input required: specify "prompt" or "messages"')
    if not body["messages"]:
        raise bad_request("messages: Too small: expected array to have >=1 items")


def check_message_shapes(body: Json) -> None:
    """wire.md 2.1, Messages."""
    for place, message in enumerate(body["messages"]):
        check_message(message, f"messages.{place}")


def check_message(message: object, path: str) -> None:
    """wire.md 2.1, Messages."""
    expect(message, "object", path)
    assert isinstance(message, dict)
    role = expect_field(message, "role", "string", path)
    expect_one_of(role, ROLES, f"{path}.role")
    match role:
        case "assistant":
            expect(message.get("content"), "string|array|null", f"{path}.content")
            check_assistant(message, path)
        case "tool":
            expect_field(message, "tool_call_id", "string", path)
            expect_field(message, "content", "string|array", path)
        case _:
            expect_field(message, "content", "string|array", path)
    if isinstance(message.get("content"), list):
        check_parts(message["content"], role, f"{path}.content")


def check_parts(parts: list[object], role: str, path: str) -> None:
    """wire.md 2.1, Parts; system, developer and assistant hold text only."""
    if not parts and role != "assistant":
        raise bad_request(f"{path}: Too small: expected array to have >=1 items")
    for place, part in enumerate(parts):
        here = f"{path}.{place}"
        expect(part, "object", here)
        assert isinstance(part, dict)
        kind = expect_field(part, "type", "string", here)
        if kind not in PART_FIELDS:
            expect_one_of(kind, PART_FIELDS.keys(), f"{here}.type")
        if role in ("system", "developer") and kind != "text":
            raise bad_request(f'{here}.type: Invalid input: expected "text", received "{kind}"')
        field, kinds = PART_FIELDS[kind]
        expect_field(part, field, kinds, here)
        check_part(part, kind, here)


def check_part(part: Json, kind: str, path: str) -> None:
    """wire.md 2.1, Parts."""
    if "cache_control" in part:
        check_cache_control(part["cache_control"], f"{path}.cache_control")
    if kind == "image_url":
        check_image(part["image_url"], f"{path}.image_url")
    if kind == "file":
        check_file(part["file"], f"{path}.file")


def check_cache_control(value: object, path: str) -> None:
    """wire.md 1.2, 2.1."""
    expect(value, "object|null", path)
    if isinstance(value, dict):
        expect_one_of(value.get("type"), {"ephemeral"}, f"{path}.type")
        if value.get("ttl") is not None:
            expect_one_of(value["ttl"], {"5m", "1h"}, f"{path}.ttl")


def check_image(image: Json, path: str) -> None:
    """wire.md 2.1, image_url; known provider behaviour: four media types, real base64."""
    url = expect_field(image, "url", "string", path)
    if image.get("detail") is not None:
        expect_one_of(image["detail"], {"auto", "low", "high", "original"}, f"{path}.detail")
    if url.startswith(("http://", "https://")):
        return
    media_type = check_data_url(url, f"{path}.url")
    if media_type not in IMAGE_TYPES:
        raise bad_request(f"{path}.url: Unsupported image media type: {media_type}")


def check_file(file: Json, path: str) -> None:
    """wire.md 2.1, file; any model may get one: OpenRouter parses it."""
    if "file_id" in file:
        return
    expect_field(file, "filename", "string", path)
    data = expect_field(file, "file_data", "string", path)
    if not data.startswith(("http://", "https://")):
        check_data_url(data, f"{path}.file_data")


def check_data_url(url: str, path: str) -> str:
    """wire.md 2.1, Parts."""
    found = DATA_URL.fullmatch(url)
    if found is None:
        raise bad_request(f"{path}: Invalid URL: expected an http(s) URL or a base64 data URL")
    try:
        base64.b64decode(found[2], validate=True)
    except ValueError:
        raise bad_request(f"{path}: Invalid base64 data") from None
    return found[1]


def check_assistant(message: Json, path: str) -> None:
    """wire.md 2.1, assistant; 2.3, reasoning_details."""
    expect(message.get("tool_calls"), "array|null", f"{path}.tool_calls")
    for place, call in enumerate(message.get("tool_calls") or []):
        here = f"{path}.tool_calls.{place}"
        expect(call, "object", here)
        expect_field(call, "id", "string", here)
        expect_one_of(call.get("type"), {"function"}, f"{here}.type")
        function = expect_field(call, "function", "object", here)
        name = expect_field(function, "name", "string", f"{here}.function")
        expect_field(function, "arguments", "string", f"{here}.function")
        if not TOOL_NAME.fullmatch(name):
            raise bad_request(
                f"Invalid '{here}.function.name': string does not match pattern. Expected a string that matches the "
                "pattern '^[a-zA-Z0-9_-]{1,64}$'."
            )
    expect(message.get("reasoning"), "string|null", f"{path}.reasoning")
    details = message.get("reasoning_details")
    expect(details, "array|null", f"{path}.reasoning_details")
    for place, detail in enumerate(details or []):
        check_detail(detail, f"{path}.reasoning_details.{place}")


def check_detail(detail: object, path: str) -> None:
    """wire.md 2.3."""
    expect(detail, "object", path)
    assert isinstance(detail, dict)
    kind = expect_field(detail, "type", "string", path)
    expect_one_of(kind, DETAIL_FIELDS.keys(), f"{path}.type")
    if kind != "reasoning.text":
        expect_field(detail, DETAIL_FIELDS[kind], "string", path)
    expect(detail.get("text"), "string|null", f"{path}.text")
    expect(detail.get("signature"), "string|null", f"{path}.signature")
    if detail.get("format") is not None:
        expect_one_of(detail["format"], DETAIL_FORMATS, f"{path}.format")


def check_tools(body: Json) -> None:
    """wire.md 2.1: function name <=64 of [a-zA-Z0-9_-]."""
    for place, tool in enumerate(body.get("tools") or []):
        path = f"tools.{place}"
        expect(tool, "object", path)
        kind = expect_field(tool, "type", "string", path)
        if kind.startswith("openrouter:"):
            expect_one_of(kind, SERVER_TOOLS, f"{path}.type")
            continue
        expect_one_of(kind, {"function"}, f"{path}.type")
        function = expect_field(tool, "function", "object", path)
        name = expect_field(function, "name", "string", f"{path}.function")
        if not TOOL_NAME.fullmatch(name):
            raise bad_request(
                f"Invalid '{path}.function.name': string does not match pattern. Expected a string that matches "
                "the pattern '^[a-zA-Z0-9_-]{1,64}$'."
            )
        expect(function.get("description"), "string|null", f"{path}.function.description")
        expect(function.get("parameters", {}), "object", f"{path}.function.parameters")
        check_schema_form(function.get("parameters", {}), f"{path}.function.parameters")


def check_tool_choice(body: Json) -> None:
    """wire.md 2.1, tool_choice."""
    choice = body.get("tool_choice")
    if isinstance(choice, str):
        expect_one_of(choice, TOOL_CHOICES, "tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        function = expect_field(choice, "function", "object", "tool_choice")
        name = expect_field(function, "name", "string", "tool_choice.function")
        if name not in function_names(body):
            raise bad_request(f"Tool choice '{name}' not found in 'tools' parameter.")
    elif isinstance(choice, dict):
        kinds = [tool["type"] for tool in body.get("tools") or []]
        expect_one_of(choice.get("type"), {"function", *SERVER_TOOLS}, "tool_choice.type")
        if choice["type"] not in kinds:
            raise bad_request(f"Tool choice '{choice['type']}' not found in 'tools' parameter.")


def function_names(body: Json) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools") or [] if "function" in tool]


def check_reasoning(body: Json) -> None:
    """wire.md 2.1, reasoning."""
    reasoning = body.get("reasoning") or {}
    for name in reasoning:
        expect_one_of(name, REASONING_FIELDS, "reasoning")
    effort = body.get("reasoning_effort") if reasoning.get("effort") is None else reasoning["effort"]
    if effort is not None and reasoning.get("max_tokens") is not None:
        raise bad_request('Only one of "reasoning.effort" and "reasoning.max_tokens" can be specified')
    for path, effort in (
        ("reasoning.effort", reasoning.get("effort")),
        ("reasoning_effort", body.get("reasoning_effort")),
    ):
        if effort is not None:
            expect_one_of(effort, EFFORTS, path)
    expect(reasoning.get("max_tokens"), "integer|null", "reasoning.max_tokens")
    expect(reasoning.get("enabled"), "boolean|null", "reasoning.enabled")
    expect(reasoning.get("exclude"), "boolean|null", "reasoning.exclude")
    if body.get("verbosity") is not None:
        expect_one_of(body["verbosity"], VERBOSITIES, "verbosity")


def check_stop(body: Json) -> None:
    """wire.md 2.1: stop (<=4)."""
    stop = body.get("stop")
    if isinstance(stop, list):
        if len(stop) > MOST_STOPS:
            raise bad_request(
                f"Invalid 'stop': array too long. Expected an array with maximum length {MOST_STOPS}, "
                f"but got an array with length {len(stop)} instead."
            )
        for place, word in enumerate(stop):
            expect(word, "string", f"stop.{place}")


def check_numbers(body: Json) -> None:
    """wire.md 2.1; ranges are known provider behaviour."""
    for name, (least, most) in RANGES.items():
        value = body.get(name)
        if value is not None and not least <= value <= most:
            raise bad_request(f"{name}: Invalid input: expected number between {least} and {most}, received {value}")
    for name in ("max_tokens", "max_completion_tokens"):
        if body.get(name) is not None and body[name] < 1:
            raise bad_request(f"{name}: Too small: expected number to be >=1")


def check_identity(body: Json, header_session: str | None) -> None:
    """wire.md 2.1: session_id <=256; user and metadata are short."""
    expect_length(body.get("user") or "", LONGEST_USER, "user")
    expect_length(body.get("session_id") or "", LONGEST_SESSION, "session_id")
    expect_length(header_session or "", LONGEST_SESSION, "x-session-id")
    metadata = body.get("metadata") or {}
    if len(metadata) > MOST_METADATA_PAIRS:
        raise bad_request(f"metadata: Too big: expected object to have <={MOST_METADATA_PAIRS} entries")
    for name, value in metadata.items():
        expect(value, "string", f"metadata.{name}")
        expect_length(value, LONGEST_USER if name == "user_id" else LONGEST_METADATA_VALUE, f"metadata.{name}")


def check_provider(body: Json, model: Model) -> None:
    """wire.md 2.1, provider."""
    provider = body.get("provider") or {}
    for name, value in provider.items():
        if name not in PROVIDER_FIELDS:
            raise bad_request(f'provider: Unrecognized key: "{name}"')
        expect(value, PROVIDER_FIELDS[name], f"provider.{name}")
    if provider.get("data_collection") is not None:
        expect_one_of(provider["data_collection"], {"allow", "deny"}, "provider.data_collection")
    for place, value in enumerate(provider.get("quantizations") or []):
        expect_one_of(value, QUANTIZATIONS, f"provider.quantizations.{place}")
    check_sort(provider.get("sort"))
    for name, known in PROVIDER_NESTED.items():
        for key, value in provider[name].items() if isinstance(provider.get(name), dict) else ():
            expect_one_of(key, known, f"provider.{name}")
            expect(value, "number|string" if name == "max_price" else "number", f"provider.{name}.{key}")
    for name in ("order", "only", "ignore"):
        for place, slug in enumerate(provider.get(name) or []):
            expect(slug, "string", f"provider.{name}.{place}")
    check_routing(body, provider, model)


def check_sort(sort: object) -> None:
    """wire.md 2.1: a name, or {by, partition}."""
    if isinstance(sort, dict):
        for name in sort:
            expect_one_of(name, {"by", "partition"}, "provider.sort")
        expect_one_of(sort.get("partition") or "model", {"model", "none"}, "provider.sort.partition")
    by = sort.get("by") if isinstance(sort, dict) else sort
    if by is not None:
        expect_one_of(by, SORTS, "provider.sort")


def check_routing(body: Json, provider: Json, model: Model) -> None:
    """wire.md 2.5: 404 when no endpoint is left."""
    only = [serves(str(name), model) for name in provider.get("only") or []]
    ignored = [serves(str(name), model) for name in provider.get("ignore") or []]
    if (only and not any(only)) or any(ignored):
        raise no_endpoint("No allowed providers are available for the selected model.")
    if provider.get("require_parameters"):
        asked = {name for name in body if name in KNOWN_PARAMETERS and body[name] is not None}
        if asked - set(model.parameters):
            raise no_endpoint("No endpoints found that can handle the requested parameters.")


KNOWN_PARAMETERS = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "stop",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning",
        "verbosity",
        "max_tokens",
    }
)


def serves(slug: str, model: Model) -> bool:
    """Whether a provider's name or slug is one that serves the model: google-vertex serves google/*."""
    plain = slug.lower().replace(" ", "")
    return plain.startswith((model.family, model.provider.lower().replace(" ", "")))


def no_endpoint(message: str) -> Refusal:
    return Refusal(404, message, "not_found")


def check_plugins(body: Json) -> None:
    """wire.md 2.1, plugins."""
    for place, plugin in enumerate(body.get("plugins") or []):
        expect(plugin, "object", f"plugins.{place}")
        expect_one_of(plugin.get("id"), PLUGIN_IDS, f"plugins.{place}.id")
        if plugin["id"] == "file-parser":
            check_file_parser(plugin, f"plugins.{place}")


def check_file_parser(plugin: Json, path: str) -> None:
    """wire.md 2.1: file-parser{pdf{engine}}."""
    for name in sorted(set(plugin) - {"id", "enabled", "max_files", "pdf"}):
        raise bad_request(f'{path}: Unrecognized key: "{name}"')
    pdf = plugin.get("pdf", {})
    expect(pdf, "object", f"{path}.pdf")
    for name in sorted(set(pdf) - {"engine"}):
        raise bad_request(f'{path}.pdf: Unrecognized key: "{name}"')
    if "engine" in pdf:
        expect_one_of(pdf["engine"], PDF_ENGINES, f"{path}.pdf.engine")


def check_service_tier(body: Json) -> None:
    """wire.md 2.1, service_tier."""
    if body.get("service_tier") is not None:
        expect_one_of(body["service_tier"], SERVICE_TIERS, "service_tier")


def check_response_format(body: Json) -> None:
    """wire.md 2.1, response_format."""
    wanted = body.get("response_format")
    if not wanted:
        return
    expect_one_of(
        wanted.get("type"), {"text", "json_object", "json_schema", "grammar", "python"}, "response_format.type"
    )
    if wanted["type"] == "json_schema":
        described = expect_field(wanted, "json_schema", "object", "response_format")
        name = expect_field(described, "name", "string", "response_format.json_schema")
        schema = expect_field(described, "schema", "object", "response_format.json_schema")
        check_schema_form(schema, "response_format.json_schema.schema")
        if not TOOL_NAME.fullmatch(name):
            raise bad_request("response_format.json_schema.name: must match ^[a-zA-Z0-9_-]{1,64}$")


def check_cache_controls(body: Json) -> None:
    """wire.md 2.1: top level and per tool; parts are checked where they stand."""
    if "cache_control" in body:
        check_cache_control(body["cache_control"], "cache_control")
    for place, tool in enumerate(body.get("tools") or []):
        if "cache_control" in tool:
            check_cache_control(tool["cache_control"], f"tools.{place}.cache_control")


def check_debug(body: Json) -> None:
    """wire.md 2.1: debug{echo_upstream_body} (stream only)."""
    if (body.get("debug") or {}).get("echo_upstream_body") and not body.get("stream"):
        raise bad_request("debug.echo_upstream_body is only supported for streaming requests")
