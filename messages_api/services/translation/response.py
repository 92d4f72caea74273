"""Owns the way back for an answer that is not streamed: the same translator, fed once, its events folded.

So a streamed and a whole answer cannot differ.
"""

from collections.abc import Iterable

from msgspec import Raw, UnsetType
from msgspec.structs import replace

from messages_api.services.translation import events as out
from messages_api.services.translation.chat import ChatChunk
from messages_api.services.translation.pieces import is_object
from messages_api.services.translation.stream import StreamTranslator


def message_of(completion: ChatChunk, translator: StreamTranslator) -> out.Message:
    """The Messages answer of a whole chat completion. Raises AnswerError."""
    return fold([*translator.feed(completion), *translator.finish()])


def fold(events: Iterable[out.Event]) -> out.Message:
    """The message that a stream of events adds up to."""
    message: out.Message | None = None
    texts: dict[int, list[str]] = {}
    for event in events:
        match event:
            case out.MessageStart(message=start):
                message = replace(start, content=[])
            case out.ContentBlockStart(index=index, content_block=block):
                _of(message).content.append(replace(block))
                texts[index] = []
            case out.ContentBlockDelta(index=index, delta=out.SignatureDelta(signature=seal)):
                thinking = _of(message).content[index]
                assert isinstance(thinking, out.Thinking)  # noqa: S101  # the translator's own grammar
                thinking.signature = seal
            case out.ContentBlockDelta(index=index, delta=out.CitationsDelta(citation=citation)):
                _cite(_of(message).content[index], citation)
            case out.ContentBlockDelta(index=index, delta=delta):
                texts[index].append(_text(delta))
            case out.ContentBlockStop(index=index):
                _complete(_of(message).content[index], "".join(texts[index]))
            case out.MessageDelta(delta=stop, usage=usage):
                whole = _of(message)
                whole.stop_reason, whole.stop_sequence = stop.stop_reason, stop.stop_sequence
                whole.stop_details, whole.usage = stop.stop_details, usage
    return _of(message)


def _of(message: out.Message | None) -> out.Message:
    if message is None:
        raise ValueError("a stream begins with message_start")
    return message


def _text(delta: out.BlockDelta) -> str:
    match delta:
        case out.TextDelta(text=text) | out.ThinkingDelta(thinking=text) | out.InputJsonDelta(partial_json=text):
            return text
        case out.SignatureDelta() | out.CitationsDelta():
            return ""


def _cite(block: out.Block, citation: out.WebSearchCitation) -> None:
    assert isinstance(block, out.Text)  # noqa: S101  # the translator's own grammar
    block.citations = [citation] if isinstance(block.citations, UnsetType) else [*block.citations, citation]


def _complete(block: out.Block, text: str) -> None:
    match block:
        case out.Text():
            block.text = text
        case out.Thinking():
            block.thinking = text
        case out.ToolUse() | out.ServerToolUse():
            block.input = Raw(text.encode()) if is_object(text) else Raw(b"{}")  # cut by max_tokens, and said so
