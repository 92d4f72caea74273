"""Owns the way there: a Messages request becomes the body of a chat completion (wire.md 1.2 to 1.5, 2.1)."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from messages_api import schemas
from messages_api.errors import InvalidRequest
from messages_api.schemas import ABSENT, MessagesRequest
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import NO_TERMS, Terms
from messages_api.services.translation.effort import reasoning_parameter
from messages_api.services.translation.names import acceptable_id, acceptable_name
from messages_api.services.translation.reasoning import reasoning_back
from messages_api.services.translation.tables import (
    CACHE_CONTROL,
    OPENAI_LEAST_OUTPUT,
    STOP_SEQUENCES,
    SYSTEM_ANYWHERE,
    USER_LENGTH,
)
from messages_api.services.translation.tools import NO_TOOLS, WEB_SEARCH, Tools, cache_control, translate_tools

Chat = dict[str, Any]
#: Claude Code's first system block differs from conversation to conversation and would spoil the prompt cache.
ATTRIBUTION = "x-anthropic-billing-header:"


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
    """`request` for `model`, as `facts` say it likes it. Raises InvalidRequest for what cannot be expressed."""
    tools = NO_TOOLS if request.tools is ABSENT else translate_tools(bytes(request.tools), facts.family)
    translation = Translation({"model": model}, tools)
    body = translation.body
    body["messages"] = _messages(request, facts, terms.system_addendum, translation.warnings)
    body["max_tokens"] = _max_tokens(request, facts, translation.warnings)
    if tools.functions:
        body["tools"] = orjson.Fragment(tools.functions)
        body.update(_tool_choice(request.tool_choice, tools))
    if tools.web_search is not None:
        body["plugins"] = [{"id": "web"}]
    body.update(_sampling(request, facts))
    body.update(_reasoning(request, facts))
    body.update(_response_format(request, facts))
    body.update(_identity(request, session_id))
    if request.stream:
        body["stream"] = True
    return translation


# --- what steers the answer ------------------------------------------------------------------------------------------


def _max_tokens(request: MessagesRequest, facts: ModelFacts, warnings: list[str]) -> int:
    """The limit asked for, within the model's own; OpenAI's models refuse fewer than sixteen."""
    asked = request.max_tokens or 1
    if facts.max_output is not None and asked > facts.max_output:
        warnings.append(f"max_tokens {asked} is more than {facts.id} can give: {facts.max_output}")
        return facts.max_output
    return max(asked, OPENAI_LEAST_OUTPUT) if facts.family == "openai" else asked


def _sampling(request: MessagesRequest, facts: ModelFacts) -> Chat:
    body: Chat = {}
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(request, name)
        if value is not None and facts.supports(name):
            body[name] = value
    if request.stop_sequences:
        if len(request.stop_sequences) > STOP_SEQUENCES:
            raise InvalidRequest(f"stop_sequences: at most {STOP_SEQUENCES} are supported")
        body["stop"] = request.stop_sequences
    return body


def _tool_choice(choice: schemas.ToolChoice | None, tools: Tools) -> Chat:
    body: Chat = {}
    match choice:
        case None:
            return body
        case schemas.ToolChoiceNone():
            return {"tool_choice": "none"}
        case schemas.ToolChoiceAuto():
            body["tool_choice"] = "auto"
        case schemas.ToolChoiceAny():
            body["tool_choice"] = "required"
        case schemas.ToolChoiceTool(name=name) if acceptable_name(name) in tools.names:
            body["tool_choice"] = {"type": "function", "function": {"name": acceptable_name(name)}}
        case schemas.ToolChoiceTool(name=name):
            if name != WEB_SEARCH or tools.web_search is None:  # the upstream's own search is no function to choose
                raise InvalidRequest(f"tool_choice.name: no tool is called {name[:100]!r}")
    if choice.disable_parallel_tool_use:
        body["parallel_tool_calls"] = False
    return body


def _reasoning(request: MessagesRequest, facts: ModelFacts) -> Chat:
    effort = request.output_config.effort if request.output_config else None
    parameter = reasoning_parameter(request.thinking, effort, request.max_tokens or 1, facts)
    return {} if parameter is None else {"reasoning": parameter}


def _response_format(request: MessagesRequest, facts: ModelFacts) -> Chat:
    """A JSON schema for the answer; where the model takes none, `_system` says it in words."""
    if not _wants_schema(request) or not _takes_schema(facts):
        return {}
    schema = orjson.Fragment(bytes(_schema(request)))
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}


def _wants_schema(request: MessagesRequest) -> bool:
    return request.output_config is not None and request.output_config.format is not None


def _schema(request: MessagesRequest) -> bytes:
    config = request.output_config
    schema = bytes(config.format.schema) if config and config.format else b""
    if not schema.startswith(b"{"):
        raise InvalidRequest("output_config.format.schema: Expected `object`")
    return schema


def _takes_schema(facts: ModelFacts) -> bool:
    return facts.supports("structured_outputs") or facts.supports("response_format")


def _identity(request: MessagesRequest, session_id: str) -> Chat:
    """Who asks, unreadably: Claude Code's user_id is a JSON text longer than providers accept."""
    body: Chat = {}
    if request.metadata is not None and request.metadata.user_id:
        body["user"] = hashlib.sha256(request.metadata.user_id.encode()).hexdigest()[:USER_LENGTH]
    if session_id:
        body["session_id"] = session_id
    return body


# --- messages --------------------------------------------------------------------------------------------------------


def _messages(request: MessagesRequest, facts: ModelFacts, addendum: str, warnings: list[str]) -> list[Chat]:
    chat = _system(request, facts, addendum)
    waiting: list[Chat] = []  # instructions that may not come between a tool's call and its result
    for position, message in enumerate(request.messages):
        match message:
            case schemas.UserMessage(content=content):
                chat += _user(content, f"messages[{position}]", facts, warnings)
                chat += waiting
                waiting = []
            case schemas.AssistantMessage(content=content):
                chat += waiting
                waiting = []
                chat.append(_assistant(content, f"messages[{position}]", facts))
            case schemas.SystemMessage(content=content):
                is_between = bool(chat) and bool(chat[-1].get("tool_calls"))
                (waiting if is_between else chat).append(_instructions(content, facts))
    chat += waiting
    if all(message["role"] == "system" for message in chat):
        raise InvalidRequest("messages: every message is empty")
    return chat


def _system(request: MessagesRequest, facts: ModelFacts, addendum: str) -> list[Chat]:
    blocks = [schemas.TextBlock(request.system)] if isinstance(request.system, str) else list(request.system or ())
    if facts.family != "anthropic":
        blocks = [_without_attribution(block) for block in blocks]
    if addendum:
        blocks.append(schemas.TextBlock(addendum))
    if _wants_schema(request) and not _takes_schema(facts):
        schema = _schema(request).decode(errors="replace")
        blocks.append(schemas.TextBlock(f"Answer with one JSON object and nothing else. Its JSON schema: {schema}"))
    content = _text_content(blocks, facts)
    return [{"role": "system", "content": content}] if content else []


def _without_attribution(block: schemas.TextBlock) -> schemas.TextBlock:
    if not block.text.startswith(ATTRIBUTION):
        return block
    return schemas.TextBlock(block.text.partition("\n")[2], block.cache_control)


def _text_content(blocks: Sequence[schemas.TextBlock], facts: ModelFacts) -> str | list[Chat]:
    """Plain text where no part of it marks a cache breakpoint that the family understands, else parts."""
    if facts.family in CACHE_CONTROL and any(block.cache_control for block in blocks):
        return [_text(block, facts) for block in blocks if block.text]
    return "\n\n".join(block.text for block in blocks if block.text)


def _instructions(content: str | list[schemas.TextBlock], facts: ModelFacts) -> Chat:
    """Instructions in the middle: a system message where the family takes one there, else marked in a user's."""
    text = content if isinstance(content, str) else "\n\n".join(block.text for block in content)
    if facts.family in SYSTEM_ANYWHERE:
        return {"role": "system", "content": text}
    return {"role": "user", "content": f"<system-reminder>\n{text}\n</system-reminder>"}


# --- the user's side -------------------------------------------------------------------------------------------------


def _user(content: str | list[schemas.UserBlock], path: str, facts: ModelFacts, warnings: list[str]) -> list[Chat]:
    """Tool messages first, right behind the call they answer; what they cannot hold and the rest as a user message."""
    if isinstance(content, str):
        return [{"role": "user", "content": content}] if content else []
    tools: list[Chat] = []
    moved: list[Chat] = []
    parts: list[Chat] = []
    for block in content:
        if isinstance(block, schemas.ToolResultBlock):
            tools.append(_tool_result(block, moved, facts, warnings))
        else:
            parts += _parts(block, facts, warnings)
    said = moved + parts
    return [*tools, {"role": "user", "content": _simplest(said)}] if said else tools


def _tool_result(block: schemas.ToolResultBlock, moved: list[Chat], facts: ModelFacts, warnings: list[str]) -> Chat:
    """A tool message holds text only, for most providers: images and files move to the user message behind it."""
    content = [schemas.TextBlock(block.content)] if isinstance(block.content, str) else block.content or []
    call_id = acceptable_id(block.tool_use_id, facts.family)
    texts: list[str] = []
    for inner in content:
        for part in _parts(inner, facts, warnings):
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                moved += [_plain(f"[From the result of the tool call {call_id}:]"), part]
                texts.append("[An attachment follows in the next message.]")
    text = "\n".join(texts) or "(no output)"
    said = _marked([_plain(f"Error: {text}" if block.is_error else text)], block.cache_control, facts)
    return {"role": "tool", "tool_call_id": call_id, "content": _simplest(said)}


def _parts(
    block: schemas.TextBlock
    | schemas.ImageBlock
    | schemas.DocumentBlock
    | schemas.SearchResultBlock
    | schemas.ToolReferenceBlock,
    facts: ModelFacts,
    warnings: list[str],
) -> list[Chat]:
    match block:
        case schemas.TextBlock():
            return [_text(block, facts)] if block.text else []
        case schemas.ImageBlock():
            return _marked([_image(block, facts, warnings)], block.cache_control, facts)
        case schemas.DocumentBlock():
            return _marked(_document(block, facts, warnings), block.cache_control, facts)
        case schemas.SearchResultBlock(source=source, title=title, content=content):
            found = "\n".join([f"{title} ({source})", *(text.text for text in content)])
            return _marked([_plain(found)], block.cache_control, facts)
        case schemas.ToolReferenceBlock(tool_name=name):
            return [_plain(f"The tool {acceptable_name(name)} is available.")]


def _text(block: schemas.TextBlock, facts: ModelFacts) -> Chat:
    return _marked([_plain(block.text)], block.cache_control, facts)[0]


def _marked(parts: list[Chat], mark: schemas.CacheControl | None, facts: ModelFacts) -> list[Chat]:
    """`parts` with a cache breakpoint at their end, where there is one and the family understands it."""
    if mark is not None and parts and facts.family in CACHE_CONTROL:
        parts[-1]["cache_control"] = cache_control(mark)
    return parts


def _plain(text: str) -> Chat:
    return {"type": "text", "text": text}


def _image(block: schemas.ImageBlock, facts: ModelFacts, warnings: list[str]) -> Chat:
    if "image" not in facts.modalities:
        warnings.append(f"{facts.id} cannot see images: one was left out")
        return _plain("[An image was here. The model in use cannot see images.]")
    return {"type": "image_url", "image_url": {"url": _url(block.source)}}


def _document(block: schemas.DocumentBlock, facts: ModelFacts, warnings: list[str]) -> list[Chat]:
    heading = [_plain(text) for text in (block.title, block.context) if text]
    match block.source:
        case schemas.PlainTextSource(data=data):
            return [*heading, _plain(data)] if data else heading
        case schemas.ContentSource(content=str(text)):
            return [*heading, _plain(text)]
        case schemas.ContentSource(content=list(inner)):
            return heading + [part for each in inner for part in _parts(each, facts, warnings)]
        case source:
            file = {"filename": _filename(block.title), "file_data": _url(source)}
            return [*([_plain(block.context)] if block.context else []), {"type": "file", "file": file}]


def _filename(title: str | None) -> str:
    """OpenRouter wants a file's name; a document of the Messages API may have none."""
    return title or "document.pdf"


def _url(source: schemas.Base64Source | schemas.UrlSource | schemas.PlainTextSource | schemas.ContentSource) -> str:
    match source:
        case schemas.Base64Source(media_type=media_type, data=data):
            return f"data:{media_type};base64,{data}"
        case schemas.UrlSource(url=url):
            return url
        case _:
            raise InvalidRequest(f"source: {type(source).__name__} has no address")


def _simplest(parts: list[Chat]) -> str | list[Chat]:
    """Text alone as a string, which every provider takes."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


# --- the assistant's side --------------------------------------------------------------------------------------------


def _assistant(content: str | list[schemas.AssistantBlock], path: str, facts: ModelFacts) -> Chat:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    message: Chat = {"role": "assistant", "content": _joined(list(_said(content, facts)))}
    message.update(reasoning_back(content, facts.family))
    calls = [
        _tool_call(block, f"{path}.content[{position}]", facts.family)
        for position, block in enumerate(content)
        if isinstance(block, schemas.ToolUseBlock)
    ]
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = "(no content)"  # a turn of reasoning alone: providers refuse an empty message
    return message


def _said(content: Iterable[schemas.AssistantBlock], facts: ModelFacts) -> Iterable[Chat]:
    for block in content:
        match block:
            case schemas.TextBlock(text=text) if text:
                yield _text(block, facts)
            case schemas.WebSearchToolResultBlock(content=found):
                yield _plain(f"\n[{WEB_SEARCH} found: {bytes(found).decode(errors='replace')}]\n")
            case schemas.ThinkingBlock() | schemas.RedactedThinkingBlock():
                pass  # goes back as reasoning
            case schemas.TextBlock() | schemas.ToolUseBlock() | schemas.ServerToolUseBlock():
                pass  # says nothing, goes back as a call, or has been answered by its result


def _joined(parts: list[Chat]) -> str | list[Chat] | None:
    """One string, which every provider takes from an assistant; parts where one of them marks a cache breakpoint."""
    if any("cache_control" in part for part in parts):
        return parts
    return "".join(part["text"] for part in parts) or None


def _tool_call(block: schemas.ToolUseBlock, path: str, family: str) -> Chat:
    arguments = bytes(block.input).decode(errors="replace")
    if not arguments.startswith("{"):
        raise InvalidRequest(f"{path}.input: Expected `object`")
    function = {"name": acceptable_name(block.name), "arguments": arguments}
    return {"id": acceptable_id(block.id, family), "type": "function", "function": function}
