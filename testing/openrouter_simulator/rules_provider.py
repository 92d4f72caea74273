"""What the providers behind OpenRouter refuse in a chat completion, family by family."""

import re
from collections.abc import Iterator

import orjson

from testing.openrouter_simulator.conversation import Conversation
from testing.openrouter_simulator.exact_json import Json, JsonValue
from testing.openrouter_simulator.metering import FILE_TOKENS, IMAGE_TOKENS, tokens_of
from testing.openrouter_simulator.models import Model
from testing.openrouter_simulator.refusals import Refusal, bad_request, provider_refusal
from testing.openrouter_simulator.rules_chat import EFFORTS, function_names, no_endpoint
from testing.openrouter_simulator.rules_schema import check_strict_schema, check_tool_schema

ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]+")
MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")
GEMINI_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
LONGEST_OPENAI_ID = 40
MOST_OPENAI_TOOLS = 128
LEAST_OPENAI_TOKENS = 16
MOST_BREAKPOINTS = 4
LEAST_BUDGET = 1024
MOST_BUDGET = 128_000

# wire.md 2.2: effort to budget
BUDGET_RATIO = {"max": 0.95, "xhigh": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2, "minimal": 0.1}

OPENAI_MISSING = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    "The following tool_call_ids did not have response messages: {ids}"
)
MISSING_RESULT: dict[str, str] = {
    "anthropic": (
        "messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    ),
    "google": (
        "Please ensure that the number of function response parts is equal to the number of function call parts "
        "of the function call turn."
    ),
    "mistralai": "Not the same number of function calls and responses",
}
OPENAI_UNMATCHED = (
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
)
UNMATCHED_RESULT: dict[str, str] = {
    "anthropic": (
        "messages.{place}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {ids}. "
        "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
    ),
    "google": "Please ensure that function response turn comes immediately after a function call turn.",
    "mistralai": "Unexpected tool call id {ids} in tool results",
}


def check_abilities(body: Json, model: Model) -> None:
    """wire.md 2.5: 404 when no endpoint of the model can do what is asked."""
    if body.get("tools") and "tools" not in model.parameters:
        raise no_endpoint(
            "No endpoints found that support tool use. To learn more about provider routing, visit: "
            "https://openrouter.ai/docs/guides/routing/provider-selection"
        )
    if "image" not in model.inputs and any(kind == "image_url" for _, _, kind in part_kinds(body)):
        raise no_endpoint("No endpoints found that support image input")


def part_kinds(body: Json) -> Iterator[tuple[int, str, str]]:
    """Place and role of the message, type of the part."""
    for place, message in enumerate(body["messages"]):
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            yield place, message["role"], part["type"]


def check_max_tokens(body: Json, model: Model) -> None:
    """wire.md 2.1 (some providers need >=16); limits: known provider behaviour."""
    wanted = body.get("max_completion_tokens") or body.get("max_tokens")
    if wanted is None:
        return
    if model.family == "openai" and wanted < LEAST_OPENAI_TOKENS:
        raise provider_refusal(
            model,
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {LEAST_OPENAI_TOKENS}, "
            f"but got {wanted} instead.",
        )
    if wanted > model.max_completion_tokens:
        raise provider_refusal(model, too_many_tokens(model, wanted), "max_tokens_exceeded")


def too_many_tokens(model: Model, wanted: int) -> str:
    limit = model.max_completion_tokens
    match model.family:
        case "anthropic":
            name = model.id.partition("/")[2]
            return f"max_tokens: {wanted} > {limit}, which is the maximum allowed number of output tokens for {name}"
        case "google":
            return (
                f"Unable to submit request because it has a maxOutputTokens value of {wanted} but the supported "
                f"range is from 1 (inclusive) to {limit + 1} (exclusive). Update the value and try again."
            )
        case _:
            return (
                f"max_tokens is too large: {wanted}. This model supports at most {limit} completion tokens, "
                f"whereas you provided {wanted}."
            )


def check_tool_list(body: Json, model: Model) -> None:
    """wire.md 2.1.

    Known provider behaviour: names are unique; OpenAI refuses an empty list and choices without tools.
    """
    names = function_names(body)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise provider_refusal(model, repeated_name(model, repeated))
    for name in names:
        if model.family == "google" and not GEMINI_NAME.fullmatch(name):
            raise provider_refusal(
                model,
                f"Invalid function name '{name}'. Must start with a letter or an underscore. Must be alphameric "
                "(a-z, A-Z, 0-9), underscores (_), dots (.) or dashes (-), with a maximum length of 64.",
            )
    if model.family == "openai":
        check_openai_tool_list(body, model)


def repeated_name(model: Model, name: str) -> str:
    sentences = {
        "anthropic": "tools: Tool names must be unique.",
        "google": f"Duplicate function declaration found: {name}",
    }
    return sentences.get(model.family, f"Invalid 'tools': duplicate function name '{name}'.")


def check_openai_tool_list(body: Json, model: Model) -> None:
    """wire.md 4: Known provider behaviour."""
    tools = body.get("tools")
    if tools == []:
        raise provider_refusal(
            model,
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        )
    if tools and len(tools) > MOST_OPENAI_TOOLS:
        raise provider_refusal(
            model,
            f"Invalid 'tools': array too long. Expected an array with maximum length {MOST_OPENAI_TOOLS}, but got an "
            f"array with length {len(tools)} instead.",
        )
    for field in ("tool_choice", "parallel_tool_calls"):
        if not tools and body.get(field) is not None:
            sentence = f"Invalid value for '{field}': '{field}' is only allowed when 'tools' are specified."
            raise provider_refusal(model, sentence)


def check_schemas(body: Json, model: Model) -> None:
    """wire.md 4."""
    functions = [tool["function"] for tool in body.get("tools") or [] if "function" in tool]
    for place, function in enumerate(functions):
        if "parameters" in function:
            strict = bool(function.get("strict"))
            check_tool_schema(model, function["name"], function["parameters"], place, strict)
    wanted = (body.get("response_format") or {}).get("json_schema")
    if wanted and wanted.get("strict") and model.family == "openai":
        check_strict_schema(model, f"Invalid schema for response_format '{wanted['name']}'", wanted["schema"])


def check_tool_order(body: Json, model: Model) -> None:
    """wire.md 2.1 and known provider behaviour: results stand right behind their calls, all of them."""
    waiting: list[str] = []
    asked_at = 0
    for place, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise unmatched_result(model, place, message["tool_call_id"])
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            raise missing_result(model, asked_at, waiting)
        waiting = [call["id"] for call in message.get("tool_calls") or []]
        asked_at = place
        if len(set(waiting)) < len(waiting):
            raise provider_refusal(model, f"messages.{place}: `tool_use` ids must be unique")
    if waiting:
        raise missing_result(model, asked_at, waiting)


def missing_result(model: Model, place: int, ids: list[str]) -> Refusal:
    sentence = MISSING_RESULT.get(model.family, OPENAI_MISSING)
    return provider_refusal(model, sentence.format(place=place, ids=", ".join(ids)))


def unmatched_result(model: Model, place: int, call_id: str) -> Refusal:
    sentence = UNMATCHED_RESULT.get(model.family, OPENAI_UNMATCHED)
    return provider_refusal(model, sentence.format(place=place, ids=call_id))


def check_call_ids(body: Json, model: Model) -> None:
    """wire.md 4 (Mistral); Anthropic's pattern and OpenAI's length are known provider behaviour."""
    for place, message in enumerate(body["messages"]):
        ids = [call["id"] for call in message.get("tool_calls") or []]
        if message["role"] == "tool":
            ids.append(message["tool_call_id"])
        for call_id in ids:
            sentence = bad_call_id(model, call_id, place)
            if sentence is not None:
                raise provider_refusal(model, sentence)


def bad_call_id(model: Model, call_id: str, place: int) -> str | None:
    if not call_id:
        return f"messages.{place}: tool call id must not be empty"
    if model.family == "anthropic" and not ANTHROPIC_ID.fullmatch(call_id):
        return f"messages.{place}.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    if model.family == "mistralai" and not MISTRAL_ID.fullmatch(call_id):
        return f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9."
    if model.family == "openai" and len(call_id) > LONGEST_OPENAI_ID:
        return (
            f"Invalid 'messages[{place}].tool_calls[0].id': string too long. Expected a string with maximum length "
            f"{LONGEST_OPENAI_ID}, but got a string with length {len(call_id)} instead."
        )
    return None


def check_call_arguments(body: Json, model: Model) -> None:
    """wire.md 2.1, Messages.

    Known provider behaviour: Anthropic and Google take the arguments as an object, so they must parse to one.
    """
    if model.family not in ("anthropic", "google"):
        return
    for place, message in enumerate(body["messages"]):
        for call in message.get("tool_calls") or []:
            arguments = call["function"]["arguments"]
            if arguments and not isinstance(parsed(arguments), dict):
                sentence = f"messages.{place}.content.0.tool_use.input: Input should be a valid dictionary"
                raise provider_refusal(model, sentence)


def parsed(text: str) -> JsonValue:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def check_tool_images(body: Json, model: Model) -> None:
    """Known provider behaviour; wire.md 5 leaves it open, so the stricter reading holds."""
    if model.family not in ("openai", "google"):
        return
    for place, role, kind in part_kinds(body):
        if role in ("tool", "assistant") and kind != "text":
            raise provider_refusal(
                model,
                f"Invalid 'messages[{place}]'. Image URLs are only allowed for messages with role 'user', but this "
                f"message with role '{role}' contains an image URL.",
            )


def check_anthropic_content(body: Json, model: Model) -> None:
    """wire.md 2.1: Known provider behaviour: no empty text, no empty message, no trailing blanks in a prefill."""
    if model.family != "anthropic":
        return
    messages = body["messages"]
    for place, message in enumerate(messages):
        texts = list(texts_of(message.get("content")))
        if any(not text for text in texts) and not (message["role"] == "tool" or message.get("tool_calls")):
            raise provider_refusal(model, f"messages.{place}: text content blocks must be non-empty")
        if any(not text.strip() for text in texts if text):
            sentence = f"messages.{place}: text content blocks must contain non-whitespace text"
            raise provider_refusal(model, sentence)
        if not message.get("content") and not message.get("tool_calls") and message["role"] != "tool":
            sentence = (
                f"messages.{place}: all messages must have non-empty content except for the optional final "
                "assistant message"
            )
            raise provider_refusal(model, sentence)
    if all(message["role"] in ("system", "developer") for message in messages):
        raise provider_refusal(model, "messages: at least one message is required")
    check_prefill(messages[-1], model)


def texts_of(content: JsonValue) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for part in content or []:
        if part["type"] == "text":
            yield part["text"]


def check_prefill(last: Json, model: Model) -> None:
    """wire.md 2.1, prefill; adaptive models refuse it: known provider behaviour."""
    if last["role"] != "assistant":
        return
    if model.adaptive:
        raise provider_refusal(
            model,
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    if any(text != text.rstrip() for text in texts_of(last.get("content"))):
        raise provider_refusal(model, "messages: final assistant content cannot end with trailing whitespace")


def check_openai_content(body: Json, model: Model) -> None:
    """wire.md 2.1: Known provider behaviour: an assistant message says or calls something."""
    if model.family != "openai":
        return
    for place, message in enumerate(body["messages"]):
        if message["role"] == "assistant" and message.get("content") is None and not message.get("tool_calls"):
            raise provider_refusal(
                model, f"Invalid value for 'messages[{place}].content': expected a string, got null."
            )
        if message.get("tool_calls") == []:
            raise provider_refusal(
                model,
                f"Invalid 'messages[{place}].tool_calls': empty array. Expected an array with minimum length 1, but "
                "got an empty array instead.",
            )


def check_breakpoints(conversation: Conversation, model: Model) -> None:
    """wire.md 2.1: max 4 explicit breakpoints for Anthropic (5 -> 400)."""
    if model.family == "anthropic" and conversation.breakpoints > MOST_BREAKPOINTS:
        raise provider_refusal(
            model,
            f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {conversation.breakpoints}.",
        )


def check_reasoning_setting(body: Json, model: Model) -> None:
    """wire.md 2.2, 2.6: mandatory reasoning, adaptive models, budgets below max_tokens."""
    reasoning = body.get("reasoning") or {}
    effort = reasoning.get("effort") or body.get("reasoning_effort")
    off = reasoning.get("enabled") is False or effort == "none"
    if off and model.reasoning and model.reasoning["mandatory"]:
        raise bad_request("Reasoning is mandatory for this endpoint and cannot be disabled.")
    if model.family != "anthropic":
        return
    if model.adaptive and reasoning.get("enabled") is False and effort in ("xhigh", "max"):
        raise provider_refusal(model, f"thinking cannot be disabled with output_config.effort '{effort}'")
    if off or not thinks(reasoning, effort):
        return
    if not model.adaptive:
        check_forced_choice(body, model)
        check_budget(body, model, reasoning, effort)


def thinks(reasoning: Json, effort: str | None) -> bool:
    return bool(reasoning.get("enabled") or reasoning.get("max_tokens") or effort in EFFORTS - {"none"})


def check_forced_choice(body: Json, model: Model) -> None:
    """wire.md 2.1, tool_choice: Known provider behaviour."""
    choice = body.get("tool_choice")
    if choice == "required" or isinstance(choice, dict):
        raise provider_refusal(model, "Thinking may not be enabled when tool_choice forces tool use.")


def check_budget(body: Json, model: Model, reasoning: Json, effort: str | None) -> None:
    """wire.md 2.2."""
    wanted = body.get("max_completion_tokens") or body.get("max_tokens")
    if wanted is None:
        return
    asked = reasoning.get("max_tokens") or wanted * BUDGET_RATIO.get(effort or "medium", 0.5)
    budget = max(min(int(asked), MOST_BUDGET), LEAST_BUDGET)
    if budget >= wanted:
        raise provider_refusal(model, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def check_lifetimes(conversation: Conversation, model: Model) -> None:
    """wire.md 1.2, cache_control; known provider behaviour: what lives longer stands before what lives shorter."""
    if model.family == "anthropic" and "1h" in conversation.ttls[conversation.ttls.count("1h") :]:
        raise provider_refusal(
            model,
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are "
            "processed in the following order: `tools`, `system`, `messages`.",
        )


def check_room(model: Model, conversation: Conversation, max_tokens: int | None) -> None:
    """wire.md 2.5, context_length_exceeded, in OpenRouter's words."""
    text = tokens_of(conversation.canonical)
    media = IMAGE_TOKENS * conversation.images + FILE_TOKENS * conversation.files
    total = text + media + (max_tokens or 0)
    if total > model.context_length:
        raise bad_request(
            f"This endpoint's maximum context length is {model.context_length} tokens. However, you requested about "
            f"{total} tokens ({text + media} of text input, {max_tokens or 0} in the output). Please reduce the length "
            "of either one, or use the context-compression plugin to compress your prompt automatically.",
            "context_length_exceeded",
        )


def check_prompt_length(model: Model, conversation: Conversation) -> None:
    """wire.md 2.1: Known provider behaviour, in Anthropic's words: only the prompt counts there."""
    media = IMAGE_TOKENS * conversation.images + FILE_TOKENS * conversation.files
    prompt = tokens_of(conversation.canonical) + media
    if prompt > model.context_length:
        sentence = f"prompt is too long: {prompt} tokens > {model.context_length} maximum"
        raise provider_refusal(model, sentence, "context_length_exceeded")
