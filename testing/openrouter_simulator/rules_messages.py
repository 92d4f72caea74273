"""What is refused on /messages: Anthropic's own request rules, wire.md 1.2-1.5 and 2.6."""

import base64
import re
from itertools import pairwise

from testing.openrouter_simulator.exact_json import Json, JsonValue
from testing.openrouter_simulator.models import Model
from testing.openrouter_simulator.refusals import bad_request, provider_refusal
from testing.openrouter_simulator.rules_chat import IMAGE_TYPES, check_cache_control, no_endpoint
from testing.openrouter_simulator.rules_provider import (
    ANTHROPIC_ID,
    MISSING_RESULT,
    UNMATCHED_RESULT,
    check_prefill,
    too_many_tokens,
)
from testing.openrouter_simulator.rules_schema import check_schema_form, check_tool_schema, schemas_in
from testing.openrouter_simulator.rules_search import check_anthropic_tool, is_anthropic_search
from testing.openrouter_simulator.shapes import expect, expect_field, expect_length, expect_one_of
from testing.openrouter_simulator.signatures import page_content_holds, page_index_holds

# wire.md 1.2, 1.3, 2.6
FIELD_KINDS: dict[str, str] = {
    "model": "string",
    "models": "array",
    "max_tokens": "integer",
    "messages": "array",
    "system": "string|array|null",
    "cache_control": "object|null",
    "container": "string|object|null",
    "context_management": "object|null",
    "diagnostics": "object|null",
    "fallbacks": "array|string|null",
    "stop_server_tools_when": "array|null",
    "inference_geo": "string|null",
    "mcp_servers": "array|null",
    "metadata": "object|null",
    "output_config": "object|null",
    "plugins": "array|null",
    "provider": "object|null",
    "route": "string|null",
    "service_tier": "string|null",
    "session_id": "string|null",
    "speed": "string|null",
    "stop_sequences": "array|null",
    "stream": "boolean|null",
    "temperature": "number|null",
    "thinking": "object|null",
    "tool_choice": "object|null",
    "tools": "array|null",
    "top_k": "integer|null",
    "top_p": "number|null",
    "trace": "object|null",
    "user": "string|null",
}
BLOCKS_BY_ROLE: dict[str, frozenset[str]] = {
    "user": frozenset(
        {
            "text",
            "image",
            "document",
            "search_result",
            "tool_result",
            "container_upload",
            "web_search_tool_result",
            "web_fetch_tool_result",
            "code_execution_tool_result",
        }
    ),
    "assistant": frozenset(
        {
            "text",
            "thinking",
            "redacted_thinking",
            "tool_use",
            "server_tool_use",
            "web_search_tool_result",
            "web_fetch_tool_result",
            "code_execution_tool_result",
            "compaction",
            "mcp_tool_use",
            "mcp_tool_result",
            "tool_search_tool_result",
        }
    ),
    "system": frozenset({"text", "tool_addition", "tool_removal"}),
}
REQUIRED_OF_BLOCK: dict[str, tuple[tuple[str, str], ...]] = {
    "text": (("text", "string"),),
    "image": (("source", "object"),),
    "document": (("source", "object"),),
    "tool_use": (("id", "string"), ("name", "string"), ("input", "object")),
    "tool_result": (("tool_use_id", "string"),),
    "thinking": (("thinking", "string"), ("signature", "string")),
    "redacted_thinking": (("data", "string"),),
    "server_tool_use": (("id", "string"), ("name", "string"), ("input", "object")),
    "web_search_tool_result": (("tool_use_id", "string"), ("content", "array|object")),
}
OPENROUTER_THINKING_TYPES = frozenset({"enabled", "disabled", "adaptive"})
THINKING_TYPES = OPENROUTER_THINKING_TYPES | {"between_tools"}
TOOL_CHOICES = frozenset({"auto", "any", "tool", "none"})
EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
CLEAR_THINKING = "clear_thinking_20251015"
LEAST_BUDGET = 1024
LEAST_TASK_BUDGET = 20_000
MOST_FALLBACKS = 3
LONGEST_USER_ID = 256
LONGEST_SESSION = 256


def check_fields(body: Json) -> None:
    """wire.md 1.2: max_tokens, messages and model are required."""
    for name in ("model", "max_tokens", "messages"):
        if name not in body and not (name == "model" and body.get("models")):
            raise bad_request(f"{name}: Field required")
    for name, kinds in FIELD_KINDS.items():
        if name in body:
            expect(body[name], kinds, name)
    if body["max_tokens"] < 0:
        raise bad_request("max_tokens: Input should be greater than or equal to 0")
    if not body["messages"]:
        raise bad_request("messages: at least one message is required")


def check_fallbacks(body: Json) -> None:
    """wire.md 2.6: fallbacks (<=3 of {model})."""
    fallbacks = body.get("fallbacks") or []
    expect(fallbacks, "array", "fallbacks")
    if len(fallbacks) > MOST_FALLBACKS:
        raise bad_request(f"fallbacks: Too big: expected array to have <={MOST_FALLBACKS} items")
    if fallbacks and body.get("models"):
        raise bad_request("fallbacks: cannot be combined with models")
    for place, fallback in enumerate(fallbacks):
        expect_field(fallback, "model", "string", f"fallbacks.{place}")
        for name in sorted(set(fallback) - {"model"}):
            raise bad_request(f'fallbacks.{place}: Unrecognized key: "{name}"')


def check_identity(body: Json, header_session: str | None) -> None:
    """wire.md 2.6 and known provider behaviour: user_id up to 256."""
    user_id = (body.get("metadata") or {}).get("user_id")
    expect(user_id, "string|null", "metadata.user_id")
    expect_length(user_id or "", LONGEST_USER_ID, "metadata.user_id")
    expect_length(body.get("user") or "", 128, "user")
    expect_length(body.get("session_id") or "", LONGEST_SESSION, "session_id")
    expect_length(header_session or "", LONGEST_SESSION, "x-session-id")


def check_message_shapes(body: Json) -> None:
    """wire.md 2.6: roles user, assistant, system; 1.4: blocks."""
    for place, message in enumerate(body["messages"]):
        path = f"messages.{place}"
        expect(message, "object", path)
        role = expect_field(message, "role", "string", path)
        if role not in BLOCKS_BY_ROLE:
            raise bad_request(f"{path}.role: Input should be 'user', 'assistant' or 'system'")
        content = expect_field(message, "content", "string|array", path)
        if isinstance(content, list):
            for position, block in enumerate(content):
                check_block(block, BLOCKS_BY_ROLE[role], f"{path}.content.{position}")
    system = body.get("system")
    for position, block in enumerate(system if isinstance(system, list) else ()):
        check_block(block, frozenset({"text"}), f"system.{position}")


def check_block(block: JsonValue, allowed: frozenset[str], path: str) -> None:
    """wire.md 1.4."""
    expect(block, "object", path)
    kind = expect_field(block, "type", "string", path)
    if kind not in allowed:
        tags = ", ".join(f"'{tag}'" for tag in sorted(allowed))
        sentence = f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
        raise bad_request(sentence)
    for name, kinds in REQUIRED_OF_BLOCK.get(kind, ()):
        if name not in block:
            raise bad_request(f"{path}.{kind}.{name}: Field required")
        expect(block[name], kinds, f"{path}.{kind}.{name}")
    if "cache_control" in block:
        check_cache_control(block["cache_control"], f"{path}.cache_control")
    if kind in ("image", "document"):
        check_source(block["source"], kind, f"{path}.{kind}.source")
    if kind == "tool_result":
        expect(block.get("content"), "string|array|null", f"{path}.tool_result.content")
    if kind == "tool_result" and isinstance(block.get("content"), list):
        for position, inner in enumerate(block["content"]):
            allowed_inside = frozenset({"text", "image", "search_result", "document", "tool_reference"})
            check_block(inner, allowed_inside, f"{path}.tool_result.content.{position}")


def check_source(source: Json, kind: str, path: str) -> None:
    """wire.md 1.4, image and document sources."""
    if source.get("type") != "base64":
        return
    media_type = expect_field(source, "media_type", "string", path)
    data = expect_field(source, "data", "string", path)
    allowed = IMAGE_TYPES if kind == "image" else frozenset({"application/pdf"})
    if media_type not in allowed:
        options = ", ".join(f"'{option}'" for option in sorted(allowed))
        raise bad_request(f"{path}.media_type: Input should be {options}")
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        raise bad_request(f"{path}.data: Invalid base64 data") from None


def check_texts(body: Json, model: Model) -> None:
    """wire.md 1.4: Known provider behaviour: no empty text, no empty message but the last."""
    last = len(body["messages"]) - 1
    for place, message in enumerate(body["messages"]):
        content = message["content"]
        if not content and not (place == last and message["role"] == "assistant"):
            raise provider_refusal(
                model,
                f"messages.{place}: all messages must have non-empty content except for the optional final "
                "assistant message",
            )
        check_text_blocks(content, model, f"messages.{place}")
    check_text_blocks(body.get("system"), model, "system")
    check_prefill({"role": body["messages"][last]["role"], "content": texts_only(body["messages"][last])}, model)


def texts_only(message: Json) -> JsonValue:
    content = message["content"]
    return content if isinstance(content, str) else [block for block in content if block["type"] == "text"]


def check_text_blocks(content: JsonValue, model: Model, path: str) -> None:
    """wire.md 1.4."""
    for block in content if isinstance(content, list) else ():
        if block["type"] == "text" and not block["text"]:
            raise provider_refusal(model, f"{path}: text content blocks must be non-empty")
        if block["type"] == "text" and not block["text"].strip():
            raise provider_refusal(model, f"{path}: text content blocks must contain non-whitespace text")


def check_tools(body: Json, model: Model) -> None:
    """wire.md 1.5 and 4."""
    names: list[str] = []
    for place, tool in enumerate(body.get("tools") or []):
        path = f"tools.{place}"
        expect(tool, "object", path)
        if "cache_control" in tool:
            check_cache_control(tool["cache_control"], f"{path}.cache_control")
        expect(tool.get("type"), "string|null", f"{path}.type")
        if is_anthropic_search(tool):
            check_anthropic_tool(tool, path)
        if tool.get("type") not in (None, "custom"):
            continue
        if "name" not in tool:
            raise bad_request(f"{path}.custom.name: Field required")
        if "input_schema" not in tool:
            raise bad_request(f"{path}.custom.input_schema: Field required")
        expect(tool["name"], "string", f"{path}.custom.name")
        expect(tool["input_schema"], "object", f"{path}.custom.input_schema")
        check_schema_form(tool["input_schema"], f"{path}.custom.input_schema")
        if not TOOL_NAME.fullmatch(tool["name"]):
            raise provider_refusal(model, f"{path}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        check_tool_schema(model, tool["name"], tool["input_schema"], place, False)
        names.append(tool["name"])
    if len(set(names)) < len(names):
        raise provider_refusal(model, "tools: Tool names must be unique.")
    check_tool_choice(body, model, names)


def check_tool_choice(body: Json, model: Model, names: list[str]) -> None:
    """wire.md 1.2, tool_choice."""
    choice = body.get("tool_choice")
    if not choice:
        return
    expect_one_of(choice.get("type"), TOOL_CHOICES, "tool_choice.type")
    if not body.get("tools"):
        raise provider_refusal(model, "tool_choice may only be specified while providing tools.")
    named = [*names, *(tool.get("name") for tool in body["tools"] if tool.get("type") not in (None, "custom"))]
    if choice["type"] == "tool" and choice.get("name") not in named:
        raise provider_refusal(model, f"Tool '{choice.get('name')}' not found in provided tools")


def check_openrouter_thinking(body: Json, _model: Model) -> None:
    """wire.md 2.6: enabled, disabled or adaptive (no between_tools)."""
    check_thinking_type(body, OPENROUTER_THINKING_TYPES)


def check_thinking_type(body: Json, allowed: frozenset[str]) -> None:
    """wire.md 1.2."""
    kind = (body.get("thinking") or {}).get("type")
    if body.get("thinking") and (not isinstance(kind, str) or kind not in allowed):
        tags = ", ".join(f"'{tag}'" for tag in sorted(allowed))
        sentence = f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
        raise bad_request(sentence)


def check_thinking(body: Json, model: Model) -> None:
    """wire.md 1.2: the budget lies between 1024 and max_tokens."""
    thinking = body.get("thinking")
    if not thinking:
        return
    check_thinking_type(body, THINKING_TYPES)
    kind = thinking["type"]
    if kind == "enabled":
        check_budget(body, model, thinking)
    if kind == "adaptive" and model.family == "anthropic" and not model.adaptive:
        raise provider_refusal(model, "adaptive thinking is not supported on this model")
    if kind != "disabled":
        check_thinking_neighbours(body, model)


def check_clearing(body: Json, model: Model) -> None:
    """wire.md 1.3, clear_thinking; its words are known provider behaviour."""
    edits = (body.get("context_management") or {}).get("edits") or []
    is_clearing = any(edit["type"] == CLEAR_THINKING for edit in edits)
    if is_clearing and (body.get("thinking") or {}).get("type") not in ("enabled", "adaptive"):
        raise provider_refusal(model, f"`{CLEAR_THINKING}` strategy requires `thinking` to be enabled or adaptive")


def check_budget(body: Json, model: Model, thinking: Json) -> None:
    """wire.md 1.2: budget_tokens >=1024 and <max_tokens."""
    if "budget_tokens" not in thinking:
        raise bad_request("thinking.enabled.budget_tokens: Field required")
    budget = thinking["budget_tokens"]
    expect(budget, "integer", "thinking.enabled.budget_tokens")
    if budget < LEAST_BUDGET:
        raise provider_refusal(
            model, f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}"
        )
    if budget >= body["max_tokens"]:
        raise provider_refusal(
            model,
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
        )


def check_thinking_neighbours(body: Json, model: Model) -> None:
    """wire.md 1.2.

    Known provider behaviour: budgeted thinking excludes a forced tool, any thinking a temperature other than 1.
    """
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    if forced and body["thinking"]["type"] == "enabled":
        raise provider_refusal(model, "Thinking may not be enabled when tool_choice forces tool use.")
    if body.get("temperature") not in (None, 1):
        raise provider_refusal(
            model, "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode."
        )


def check_output_config(body: Json, model: Model) -> None:
    """wire.md 1.2, output_config; 2.6, task_budget."""
    config = body.get("output_config") or {}
    if config.get("effort") is not None:
        expect_one_of(config["effort"], EFFORTS, "output_config.effort")
        if model.family == "anthropic" and not model.adaptive:
            raise provider_refusal(model, "This model does not support the effort parameter.")
    wanted, budget = config.get("format"), config.get("task_budget")
    expect(wanted, "object|null", "output_config.format")
    expect(budget, "object|null", "output_config.task_budget")
    if wanted:
        expect_one_of(wanted.get("type"), {"json_schema"}, "output_config.format.type")
        schema = expect_field(wanted, "schema", "object", "output_config.format")
        check_schema_form(schema, "output_config.format.schema")
        check_answer_schema(schema, model)
    if budget and expect_field(budget, "total", "integer", "output_config.task_budget") < LEAST_TASK_BUDGET:
        sentence = f"output_config.task_budget.total: Input should be greater than or equal to {LEAST_TASK_BUDGET}"
        raise provider_refusal(model, sentence)


def check_answer_schema(schema: Json, model: Model) -> None:
    """wire.md 1.2, output_config: Known provider behaviour: Claude's structured outputs take closed objects only."""
    for path, inner in schemas_in(schema, "output_config.format.schema"):
        is_open = inner.get("additionalProperties") is not False
        if model.family == "anthropic" and inner.get("type") == "object" and is_open:
            sentence = f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            raise provider_refusal(model, sentence)


def check_limits(body: Json, model: Model) -> None:
    """wire.md 1.2: Known provider behaviour."""
    if body["max_tokens"] > model.max_completion_tokens:
        raise provider_refusal(model, too_many_tokens(model, body["max_tokens"]), "max_tokens_exceeded")
    if "tools" not in model.parameters and body.get("tools"):
        raise no_endpoint("No endpoints found that support tool use.")
    kinds = [block["type"] for message in body["messages"] for block in blocks_of(message)]
    if "image" in kinds and "image" not in model.inputs:
        raise no_endpoint("No endpoints found that support image input")


def blocks_of(message: Json) -> list[Json]:
    return message["content"] if isinstance(message["content"], list) else []


def check_adjacency(body: Json, model: Model) -> None:
    """wire.md 1.4, 2.1: Known provider behaviour: the next message answers every call, before anything else."""
    waiting: list[str] = []
    for place, message in enumerate(body["messages"]):
        blocks = blocks_of(message)
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if message["role"] == "system" and not waiting:
            continue
        for call_id in results:
            if call_id not in waiting:
                raise provider_refusal(model, UNMATCHED_RESULT["anthropic"].format(place=place, ids=call_id))
        missing = [call_id for call_id in waiting if call_id not in results]
        if missing:
            sentence = MISSING_RESULT["anthropic"].format(place=place - 1, ids=", ".join(missing))
            raise provider_refusal(model, sentence)
        check_results_first(blocks, model, place)
        waiting = call_ids(blocks, model, place)
    if waiting:
        sentence = MISSING_RESULT["anthropic"].format(place=len(body["messages"]) - 1, ids=", ".join(waiting))
        raise provider_refusal(model, sentence)


def check_searches(body: Json, model: Model) -> None:
    """wire.md 1.4: Known provider behaviour: Claude opens what its search found again, so it must have found it."""
    for place, message in enumerate(body["messages"] if model.family == "anthropic" else ()):
        blocks = blocks_of(message)
        uses = [block["id"] for block in blocks if block["type"] == "server_tool_use"]
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "web_search_tool_result"]
        for use in [use for use in uses if use not in answered][:1]:
            sentence = "was found without a corresponding `web_search_tool_result` block"
            raise provider_refusal(model, f"messages.{place}: `web_search` tool use with id `{use}` {sentence}")
        for use in [use for use in answered if use not in uses][:1]:
            sentence = f"messages.{place}: unexpected `tool_use_id` found in `web_search_tool_result` blocks: {use}"
            raise provider_refusal(model, sentence)
        for position, block in enumerate(blocks):
            check_pages(block, model, f"messages.{place}.content.{position}")


def check_pages(block: Json, model: Model, path: str) -> None:
    """wire.md 1.4: Known provider behaviour; the error of a search is an object in place of the list."""
    found = block["content"] if block["type"] == "web_search_tool_result" else None
    for page in found if isinstance(found, list) else ():
        if not page_content_holds(page["url"], page["encrypted_content"]):
            raise provider_refusal(model, f"{path}: Invalid `encrypted_content` in `search_result` block")
    for citation in block.get("citations") or () if block["type"] == "text" else ():
        is_found = citation["type"] == "web_search_result_location"
        if is_found and not page_index_holds(citation["url"], citation["encrypted_index"]):
            raise provider_refusal(model, f"{path}: Invalid `encrypted_index` in `text` block")


def check_results_first(blocks: list[Json], model: Model, place: int) -> None:
    """wire.md 1.4: Known provider behaviour: within the user message, results come before text."""
    kinds = [block["type"] == "tool_result" for block in blocks]
    if any(later and not earlier for earlier, later in pairwise(kinds)):
        raise provider_refusal(
            model,
            f"messages.{place - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{next(block['tool_use_id'] for block in blocks if block['type'] == 'tool_result')}. "
            "`tool_result` blocks must come first in the content of the next message.",
        )


def call_ids(blocks: list[Json], model: Model, place: int) -> list[str]:
    ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
    for position, block in enumerate(blocks):
        is_odd = model.family == "anthropic" and block["type"] == "tool_use"
        if is_odd and not ANTHROPIC_ID.fullmatch(block["id"]):
            sentence = (
                f"messages.{place}.content.{position}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
            )
            raise provider_refusal(model, sentence)
    if len(set(ids)) < len(ids):
        raise provider_refusal(model, f"messages.{place}: `tool_use` ids must be unique")
    return ids
