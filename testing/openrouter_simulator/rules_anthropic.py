"""What a provider that speaks Messages itself refuses, where OpenRouter would not look: wire.md 1.1 to 1.4."""

from collections.abc import Mapping

from testing.openrouter_simulator.exact_json import Json, JsonValue
from testing.openrouter_simulator.models import BY_ID, Model
from testing.openrouter_simulator.refusals import Refusal, bad_request

VERSION_HEADER = "anthropic-version"
BETA_HEADER = "anthropic-beta"
NO_SAMPLING_SINCE = "2026-10-21"
SAMPLING = ("temperature", "top_p", "top_k")

# wire.md 1.2
FIELDS = frozenset(
    {
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        *SAMPLING,
    }
)
# wire.md 1.3 and 1.10: fields that are there only under a beta whose name begins so
BETA_OF_FIELD: dict[str, str] = {
    "billing_policy": "",
    "compaction": "compact",
    "context_management": "context-management",
    "fallback_credit_token": "fallback-credit",
    "fallbacks": "server-side-fallback",
    "mcp_servers": "mcp-client",
    "thread": "message-threads",
}
# wire.md 1.4
BLOCK_FIELDS: dict[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "image": frozenset({"type", "source", "cache_control", "transformations"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller", "toolset_name"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"}),
}
#: The list of betas is open; a name that begins so stands for one that the upstream does not know.
REFUSED_BETA = "refused-"


def check_headers(headers: Mapping[str, str]) -> None:
    """wire.md 1.1; the words about betas are known provider behaviour."""
    if VERSION_HEADER not in headers:
        raise bad_request(f"{VERSION_HEADER}: header is required")
    check_betas(headers)


def check_betas(headers: Mapping[str, str]) -> None:
    """wire.md 1.10: an upstream may refuse a beta, in its own words."""
    for name in betas_in(headers):
        if name.startswith(REFUSED_BETA):
            raise bad_request(
                f"Unexpected value(s) `{name}` for the `{BETA_HEADER}` header. Please consult our documentation at "
                "docs.claude.com or try again without the header."
            )


def betas_in(headers: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in headers.get(BETA_HEADER, "").split(",") if name.strip()]


def check_fields(body: Json, headers: Mapping[str, str]) -> None:
    """wire.md 1.2 and 1.3: nothing else at the top level, so nothing of OpenRouter's."""
    betas = betas_in(headers)
    for name in body:
        prefix = BETA_OF_FIELD.get(name)
        is_beta = prefix is not None and any(beta.startswith(prefix) for beta in betas)
        if name not in FIELDS and not is_beta:
            raise bad_request(f"{name}: Extra inputs are not permitted")
    for name in SAMPLING:
        if name in body and headers[VERSION_HEADER] >= NO_SAMPLING_SINCE:
            raise bad_request(f"{name}: not supported in API version {NO_SAMPLING_SINCE} and later")


def check_blocks(body: Json) -> None:
    """wire.md 1.4: blocks have the fields that they have."""
    for place, message in enumerate(body["messages"]):
        check_content(message["content"], f"messages.{place}.content")
    check_content(body.get("system"), "system")


def check_content(content: JsonValue, path: str) -> None:
    """wire.md 1.4, also inside a tool's result."""
    for position, block in enumerate(content if isinstance(content, list) else ()):
        kind = block["type"]
        extra = sorted(set(block) - BLOCK_FIELDS.get(kind, frozenset(block)))
        if extra:
            raise bad_request(f"{path}.{position}.{kind}.{extra[0]}: Extra inputs are not permitted")
        if kind == "tool_result":
            check_content(block.get("content"), f"{path}.{position}.tool_result.content")


def check_model(body: Json) -> Model:
    """wire.md 1.9: 404 not_found_error for a name that is none; names have no family in front."""
    wanted = plain_name(str(body["model"]))
    found = next((model for model in BY_ID.values() if plain_name(model.id.partition("/")[2]) == wanted), None)
    if found is None:
        raise Refusal(404, f"model: {body['model']}", "not_found")
    return found


def plain_name(name: str) -> str:
    return name.replace(".", "-")
