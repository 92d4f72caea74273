"""Owns the conversation on its way there: system, user and assistant messages become those of a chat completion."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from messages_api import schemas
from messages_api.errors import InvalidRequest
from messages_api.fields import log_dropped
from messages_api.schemas import MessagesRequest
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation import tool_changes
from messages_api.services.translation.cache_marks import MARK, mark_for
from messages_api.services.translation.names import acceptable_id, acceptable_name
from messages_api.services.translation.reasoning import reasoning_back
from messages_api.services.translation.tables import CACHE_CONTROL, SYSTEM_ANYWHERE

Chat = dict[str, Any]
#: Claude Code's first system block differs from conversation to conversation and would spoil the prompt cache.
ATTRIBUTION = "x-anthropic-billing-header:"
#: Stands for an answer that said nothing: providers refuse an empty message, and Claude a blank one.
NO_CONTENT = "(no content)"


@dataclass(slots=True)
class Draft:
    """A conversation under translation: for which model, and what is noticed on the way."""

    facts: ModelFacts
    warnings: list[str] = field(default_factory=list)
    marks: int = 0  # cache breakpoints
    has_pdf: bool = False

    def marked(self, parts: list[Chat], mark: schemas.CacheControl | None) -> list[Chat]:
        """`parts` with a cache breakpoint at their end, where there is one and the family understands it."""
        if parts and mark is not None and (sent := mark_for(mark, self.facts.family)):
            parts[-1][MARK] = sent
            self.marks += 1
        return parts


def conversation(request: MessagesRequest, more_instructions: Iterable[str], draft: Draft) -> list[Chat]:
    """The messages of a chat completion. Raises InvalidRequest for what cannot be expressed."""
    chat = _system(request, more_instructions, draft)
    called: set[str] = set()  # whose results are still to come
    beside: list[Chat] = []  # what was said with results, or moved out of them: it comes behind the last of them
    waiting: list[Chat] = []  # what else may not come between a tool's call and its result
    last_said = max(
        (at for at, each in enumerate(request.messages) if isinstance(each, schemas.UserMessage)), default=-1
    )
    for position, message in enumerate(request.messages):
        match message:
            case schemas.UserMessage(content=content):
                results, said = _user(content, draft)
                chat += results
                if called:
                    called -= {result["tool_call_id"] for result in results}
                (beside if results else waiting).extend(said)
            case schemas.AssistantMessage(content=content):
                chat += beside + waiting
                beside, waiting = [], []
                if isinstance(content, str) and not content.strip() and position < len(request.messages) - 1:
                    content = NO_CONTENT
                chat.append(_assistant(content, f"messages[{position}]", draft))
                called = {call["id"] for call in chat[-1].get("tool_calls", ())}
            case schemas.SystemMessage(content=content):
                # What was said for one turn only is not said again (wire.md 1.3).
                if message.clear_at != "next_user_message" or position > last_said:
                    waiting += _instructions(content, draft)
        if not called:
            chat += beside + waiting
            beside, waiting = [], []
    chat += beside + waiting
    if all(message["role"] == "system" for message in chat):
        raise InvalidRequest("messages: every message is empty")
    return chat


def _system(request: MessagesRequest, more: Iterable[str], draft: Draft) -> list[Chat]:
    blocks = [schemas.TextBlock(request.system)] if isinstance(request.system, str) else list(request.system or ())
    if draft.facts.family != "anthropic":
        blocks = [_without_attribution(block) for block in blocks]
    blocks += [schemas.TextBlock(text) for text in more if text]
    content = _text_content(blocks, draft)
    return [{"role": "system", "content": content}] if content else []


def _without_attribution(block: schemas.TextBlock) -> schemas.TextBlock:
    if not block.text.startswith(ATTRIBUTION):
        return block
    return schemas.TextBlock(block.text.partition("\n")[2], block.cache_control)


def _text_content(blocks: Sequence[schemas.TextBlock], draft: Draft) -> str | list[Chat]:
    """Plain text where no part of it marks a cache breakpoint that the family understands, else parts."""
    if draft.facts.family in CACHE_CONTROL and any(block.cache_control for block in blocks):
        return [_text(block, draft) for block in blocks if block.text]
    return "\n\n".join([block.text for block in blocks if block.text])


def _instructions(content: str | list[schemas.SystemBlock], draft: Draft) -> list[Chat]:
    """Instructions in the middle: a system message where the family takes one there, else marked in a user's."""
    texts = (
        [schemas.TextBlock(content)] if isinstance(content, str) else [tool_changes.said(block) for block in content]
    )
    if draft.facts.family in SYSTEM_ANYWHERE:
        said = _text_content(texts, draft)
        return [{"role": "system", "content": said}] if said else []
    text = "\n\n".join(block.text for block in texts if block.text)
    mark = next((block.cache_control for block in reversed(texts) if block.cache_control), None)
    reminder = draft.marked([_plain(f"<system-reminder>\n{text}\n</system-reminder>")], mark)
    return [{"role": "user", "content": _simplest(reminder)}] if text else []


# --- the user's side -------------------------------------------------------------------------------------------------


def _user(content: str | list[schemas.UserBlock], draft: Draft) -> tuple[list[Chat], list[Chat]]:
    """Tool messages, to stand right behind the call they answer; what they cannot hold and the rest as a user's."""
    if isinstance(content, str):
        return [], [{"role": "user", "content": content}] if content else []
    tools: list[Chat] = []
    moved: list[Chat] = []
    parts: list[Chat] = []
    for block in content:
        if isinstance(block, schemas.ToolResultBlock):
            tools.append(_tool_result(block, moved, draft))
        else:
            parts += _parts(block, draft)
    said = moved + parts
    return tools, [{"role": "user", "content": _simplest(said)}] if said else []


def _tool_result(block: schemas.ToolResultBlock, moved: list[Chat], draft: Draft) -> Chat:
    """A tool message holds text only, for most providers: images and files move to the user message behind it."""
    content = [schemas.TextBlock(block.content)] if isinstance(block.content, str) else block.content or []
    call_id = acceptable_id(block.tool_use_id, draft.facts.family)
    texts: list[str] = []
    mark = block.cache_control
    for inner in content:
        for part in _parts(inner, draft):
            if part["type"] == "text":
                texts.append(part["text"])
                mark = mark or inner.cache_control
            else:
                moved += [_plain(f"[From the result of the tool call {call_id}:]"), part]
                texts.append("[An attachment follows in the next message.]")
    text = "\n".join(texts) or "(no output)"
    said = draft.marked([_plain(f"Error: {text}" if block.is_error else text)], mark)
    return {"role": "tool", "tool_call_id": call_id, "content": _simplest(said)}


def _parts(
    block: schemas.TextBlock
    | schemas.ImageBlock
    | schemas.DocumentBlock
    | schemas.SearchResultBlock
    | schemas.ToolReferenceBlock,
    draft: Draft,
) -> list[Chat]:
    match block:
        case schemas.TextBlock():
            return [_text(block, draft)] if block.text else []
        case schemas.ImageBlock():
            return draft.marked([_image(block, draft)], block.cache_control)
        case schemas.DocumentBlock():
            return draft.marked(_document(block, draft), block.cache_control)
        case schemas.SearchResultBlock(source=source, title=title, content=content):
            found = "\n".join([f"{title} ({source})", *(text.text for text in content)])
            return draft.marked([_plain(found)], block.cache_control)
        case schemas.ToolReferenceBlock(tool_name=name):
            return draft.marked([_plain(f"The tool {acceptable_name(name)} is available.")], block.cache_control)


def _text(block: schemas.TextBlock, draft: Draft) -> Chat:
    if block.citations is not schemas.ABSENT:
        log_dropped("text.citations")
    return draft.marked([_plain(block.text)], block.cache_control)[0]


def _plain(text: str) -> Chat:
    return {"type": "text", "text": text}


def _image(block: schemas.ImageBlock, draft: Draft) -> Chat:
    if "image" not in draft.facts.modalities:
        draft.warnings.append(f"{draft.facts.id} cannot see images: one was left out")
        return _plain("[An image was here. The model in use cannot see images.]")
    return {"type": "image_url", "image_url": {"url": _url(block.source)}}


def _document(block: schemas.DocumentBlock, draft: Draft) -> list[Chat]:
    heading = [_plain(text) for text in (block.title, block.context) if text]
    match block.source:
        case schemas.PlainTextSource(data=data):
            return [*heading, _plain(data)] if data else heading
        case schemas.ContentSource(content=content):
            inner = [schemas.TextBlock(content)] if isinstance(content, str) else content
            return heading + [part for each in inner for part in _parts(each, draft)]
        case schemas.PdfData() | schemas.UrlSource() as source:
            draft.has_pdf = True
            file = {"filename": _filename(block.title), "file_data": _url(source)}
            return [*([_plain(block.context)] if block.context else []), {"type": "file", "file": file}]


def _filename(title: str | None) -> str:
    """OpenRouter wants a file's name; a document of the Messages API may have none."""
    return title or "document.pdf"


def _url(source: schemas.Base64Source | schemas.UrlSource) -> str:
    if isinstance(source, schemas.UrlSource):
        return source.url
    return f"data:{source.media_type};base64,{source.data}"


def _simplest(parts: list[Chat]) -> str | list[Chat]:
    """Text alone as a string, which every provider takes."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


# --- the assistant's side --------------------------------------------------------------------------------------------


def _assistant(content: str | list[schemas.AssistantBlock], path: str, draft: Draft) -> Chat:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    family = draft.facts.family
    message: Chat = {"role": "assistant", "content": _joined(list(_said(content, draft)))}
    message.update(reasoning_back(content, family))
    calls = [
        _tool_call(block, f"{path}.content[{position}]", family)
        for position, block in enumerate(content)
        if isinstance(block, schemas.ToolUseBlock)
    ]
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = NO_CONTENT  # a turn of reasoning alone: providers refuse an empty message
    return message


def _said(content: Iterable[schemas.AssistantBlock], draft: Draft) -> Iterable[Chat]:
    for block in content:
        match block:
            case schemas.TextBlock(text=text) if text.strip():  # Claude refuses a blank one
                yield _text(block, draft)
            case schemas.WebSearchToolResultBlock(content=found, cache_control=mark):
                told = f"\n[web_search found: {bytes(found).decode(errors='replace')}]\n"
                yield draft.marked([_plain(told)], mark)[0]
            case schemas.ThinkingBlock() | schemas.RedactedThinkingBlock():
                pass  # goes back as reasoning
            case schemas.TextBlock() | schemas.ToolUseBlock() | schemas.ServerToolUseBlock():
                pass  # says nothing, goes back as a call, or has been answered by its result
            case schemas.ToolSearchToolResultBlock() | schemas.FallbackBlock():
                pass


def _joined(parts: list[Chat]) -> str | list[Chat] | None:
    """One string, which every provider takes from an assistant; parts where one of them marks a cache breakpoint."""
    if any(MARK in part for part in parts):
        return parts
    return "".join(part["text"] for part in parts) or None


def _tool_call(block: schemas.ToolUseBlock, path: str, family: str) -> Chat:
    arguments = bytes(block.input).decode(errors="replace")
    if not arguments.startswith("{"):
        raise InvalidRequest(f"{path}.input: Expected `object`")
    function = {"name": acceptable_name(block.name), "arguments": arguments}
    return {"id": acceptable_id(block.id, family), "type": "function", "function": function}
