"""Owns the way there: a Messages request becomes the body of a chat completion (wire.md 1.2 to 1.5, 2.1)."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from messages_api import schemas
from messages_api.errors import InvalidRequest
from messages_api.schemas import MessagesRequest
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import NO_TERMS, Terms
from messages_api.services.translation import stop_sequences
from messages_api.services.translation.cache_marks import MARK, MOST_MARKS, keep_the_best, mark_for
from messages_api.services.translation.conversation import Chat, Draft, conversation
from messages_api.services.translation.effort import NO_REASONING, check_budget, has_budget, reasoning_parameter
from messages_api.services.translation.names import acceptable_name
from messages_api.services.translation.reasoning import CLAUDE_FAMILY
from messages_api.services.translation.strict_schema import passes_strict
from messages_api.services.translation.tables import (
    FAST_TIER,
    OPENAI_LEAST_OUTPUT,
    SERVICE_TIERS,
    USER_LENGTH,
)
from messages_api.services.translation.tool_changes import tools_in_force
from messages_api.services.translation.tool_loop import (
    NO_THINKING,
    forbids_thinking,
    translated_loop,
    translated_step,
)
from messages_api.services.translation.tool_schema import SchemaTooLarge, acceptable_schema
from messages_api.services.translation.tools import NO_TOOLS, OPENROUTER_SEARCH, WEB_SEARCH, Tools, translate_tools


@dataclass(slots=True)
class Translation:
    """The body that goes upstream, what the way back needs to know, and what an administrator may want to hear."""

    body: Chat
    tools: Tools
    warnings: list[str] = field(default_factory=list)

    def encode(self) -> bytes:
        """The bytes of the body. Raises InvalidRequest for a number that no JSON of the upstream's holds."""
        try:
            return orjson.dumps(self.body)
        except TypeError as error:
            raise InvalidRequest(f"body: {error}") from None


def translate_request(
    request: MessagesRequest,
    *,
    model: str,
    facts: ModelFacts,
    terms: Terms = NO_TERMS,
    session_id: str = "",
) -> Translation:
    """`request` for `model`, as `facts` say it likes it and on `terms`. Raises InvalidRequest for what cannot be
    expressed."""
    raw_tools = tools_in_force(request)
    tools = translate_tools(raw_tools, facts.family) if raw_tools else NO_TOOLS
    format_, in_words = _response_format(request, facts)
    draft = Draft(facts)
    body: Chat = {"model": model, "messages": conversation(request, (terms.system_addendum, in_words), draft)}
    body["max_tokens"] = _max_tokens(request, facts, terms, draft.warnings)
    body |= _tools(request.tool_choice, tools)
    body |= _sampling(request, facts)
    body |= _reasoning(request, facts, terms, body["max_tokens"])
    if facts.family == CLAUDE_FAMILY and "reasoning" in body:
        _keep_tool_loop(request, body, facts, draft.warnings)
    body |= format_
    body |= _routing(request, terms, has_pdf=draft.has_pdf)
    body |= _identity(request, session_id)
    body |= _top_mark(request, facts)
    if draft.marks + tools.marks >= MOST_MARKS:
        keep_the_best(body)
    if request.stream:
        body["stream"] = True
    return Translation(body, tools, draft.warnings)


# --- what steers the answer ------------------------------------------------------------------------------------------


def _max_tokens(request: MessagesRequest, facts: ModelFacts, terms: Terms, warnings: list[str]) -> int:
    """The limit asked for, within the model's own and the alias's; OpenAI's models refuse fewer than sixteen."""
    asked = request.max_tokens or 1
    limit = min(limit for limit in (asked, facts.max_output, terms.max_output) if limit is not None)
    if limit < asked:
        warnings.append(f"max_tokens {asked} is more than {facts.id} can give: {limit}")
    return max(limit, OPENAI_LEAST_OUTPUT) if facts.family == "openai" else limit


def _sampling(request: MessagesRequest, facts: ModelFacts) -> Chat:
    body: Chat = {}
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(request, name)
        if value is not None and facts.supports(name):
            body[name] = value
    if stops := stop_sequences.sent(request.stop_sequences, facts):
        body["stop"] = stops
    return body


def _tools(choice: schemas.ToolChoice | None, tools: Tools) -> Chat:
    if not tools.functions:
        if isinstance(choice, schemas.ToolChoiceTool):
            raise _no_such_tool(choice.name)
        return {}
    body: Chat = {"tools": orjson.Fragment(tools.functions)}
    match choice:
        case None:
            return body
        case schemas.ToolChoiceNone():
            return {**body, "tool_choice": "none"}
        case schemas.ToolChoiceAuto():
            body["tool_choice"] = "auto"
        case schemas.ToolChoiceAny():
            body["tool_choice"] = "required"
        case schemas.ToolChoiceTool(name=name) if acceptable_name(name) in tools.names:
            body["tool_choice"] = {"type": "function", "function": {"name": acceptable_name(name)}}
        case schemas.ToolChoiceTool(name=name) if name == WEB_SEARCH and tools.web_search is not None:
            body["tool_choice"] = {"type": OPENROUTER_SEARCH}
        case schemas.ToolChoiceTool(name=name):
            raise _no_such_tool(name)
    if choice.disable_parallel_tool_use:
        body["parallel_tool_calls"] = False
    return body


def _no_such_tool(name: str) -> InvalidRequest:
    return InvalidRequest(f"tool_choice.name: no tool is called {name[:100]!r}")


def _reasoning(request: MessagesRequest, facts: ModelFacts, terms: Terms, max_tokens: int) -> Chat:
    check_budget(request.thinking, request.max_tokens or 1)
    parameter = reasoning_parameter(request.thinking, _effort(request), max_tokens, facts, terms.max_effort)
    return {} if parameter is None else {"reasoning": parameter}


def _keep_tool_loop(request: MessagesRequest, body: Chat, facts: ModelFacts, warnings: list[str]) -> None:
    """Claude is not asked to think, and given back no thought, where it would refuse that: see `tool_loop`."""
    loop = translated_loop(request.messages, body["messages"])
    if has_budget(body["reasoning"], facts) and forbids_thinking([translated_step(answer) for answer in loop]):
        body["reasoning"] = {**NO_REASONING}
        warnings.append(f"{NO_THINKING}, {facts.id}")
    if body["reasoning"] == NO_REASONING:
        for _, message in loop:
            message.pop("reasoning_details", None)


def _effort(request: MessagesRequest) -> str | None:
    """The effort of this turn: a system message since the user last spoke may have changed it."""
    for message in reversed(request.messages):
        match message:
            case schemas.SystemMessage(output_config=schemas.TurnConfig(effort=str(effort))):
                return effort
            case schemas.UserMessage(content=content):
                if isinstance(content, str) or not any(isinstance(each, schemas.ToolResultBlock) for each in content):
                    break
    return request.output_config.effort if request.output_config else None


def _response_format(request: MessagesRequest, facts: ModelFacts) -> tuple[Chat, str]:
    """A JSON schema for the answer: as a parameter, or in words where the model takes none."""
    if request.output_config is None or request.output_config.format is None:
        return {}, ""
    raw = bytes(request.output_config.format.schema)
    if not raw.startswith(b"{"):
        raise InvalidRequest("output_config.format.schema: Expected `object`")
    if not (facts.supports("structured_outputs") or facts.supports("response_format")):
        return {}, f"Answer with one JSON object and nothing else. Its JSON schema: {raw.decode(errors='replace')}"
    described: Chat = {"name": "answer", **_answer_schema(raw, facts.family)}
    return {"response_format": {"type": "json_schema", "json_schema": described}}, ""


def _answer_schema(raw: bytes, family: str) -> Chat:
    """The schema of the answer as the family takes it, and strictly where it can be held to it."""
    try:
        schema: dict[str, Any] = orjson.loads(raw)
        if schema.get("type") == "object":
            schema = acceptable_schema(schema, family)
    except (SchemaTooLarge, orjson.JSONDecodeError) as error:
        raise InvalidRequest(f"output_config.format.schema: {error}") from None
    return {"schema": schema, "strict": True} if passes_strict(schema) else {"schema": schema}


def _top_mark(request: MessagesRequest, facts: ModelFacts) -> Chat:
    """A breakpoint at whatever is last: only Claude's providers know it."""
    if request.cache_control is None or facts.family != "anthropic":
        return {}
    return {MARK: mark_for(request.cache_control, facts.family)}


# --- which way it goes, and who asks ---------------------------------------------------------------------------------


def _routing(request: MessagesRequest, terms: Terms, *, has_pdf: bool) -> Chat:
    body: Chat = {}
    if request.speed == "fast":
        body["service_tier"] = FAST_TIER
    elif request.service_tier is not None:
        body["service_tier"] = SERVICE_TIERS[request.service_tier]
    if terms.provider:
        body["provider"] = dict(terms.provider)
    if has_pdf and terms.pdf_engine:
        body["plugins"] = [{"id": "file-parser", "pdf": {"engine": terms.pdf_engine}}]
    return body


def _identity(request: MessagesRequest, session_id: str) -> Chat:
    """Who asks, unreadably: Claude Code's user_id is a JSON text longer than providers accept."""
    body: Chat = {}
    if request.metadata is not None and request.metadata.user_id:
        body["user"] = hashlib.sha256(request.metadata.user_id.encode()).hexdigest()[:USER_LENGTH]
    if session_id:
        body["session_id"] = session_id
    return body
