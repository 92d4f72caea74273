"""Owns the count of a request's input tokens: a quick estimate from sizes, and a count by a real tokenizer.

The tokenizer is OpenAI's o200k_base, from the file that LiteLLM's package brings along. It is the model's own for
OpenAI's newer models only; for the others the count is an estimate that errs on the high side.
"""

import asyncio
import importlib.util
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tiktoken

from messages_api import schemas
from messages_api.schemas import MessagesRequest

BYTES_PER_TOKEN = 3.6
IMAGE_TOKENS = 1_600  # Anthropic's figure for an image of the largest size that is not scaled down
BYTES_PER_DOCUMENT_TOKEN = 24  # a page of PDF is some 50 KB and 2,000 tokens
MESSAGE_TOKENS = 4
SAFETY = 1.05
PIECE_LENGTH = 50_000
SEARCH_WORDS_LENGTH = 400

_pool = ThreadPoolExecutor(2, thread_name_prefix="tokens")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a request holds: its texts, and the tokens that its images and documents are taken for."""

    texts: list[str | bytes]
    media_tokens: int
    messages: int


def estimate_tokens(request: MessagesRequest) -> int:
    """A count from sizes alone, for the beginning of a stream: it costs next to nothing and is corrected at the end."""
    contents = contents_of(request)
    return math.ceil(sum(map(len, contents.texts)) / BYTES_PER_TOKEN) + _overhead(contents)


async def count_tokens(request: MessagesRequest) -> int:
    """A count by the tokenizer, in a thread, two at a time. Never 0, and high rather than low."""
    return await asyncio.get_running_loop().run_in_executor(_pool, _count, request)


def _count(request: MessagesRequest) -> int:
    contents = contents_of(request)
    texts = [text if isinstance(text, str) else text.decode(errors="replace") for text in contents.texts]
    encode = _tokenizer().encode_ordinary
    return math.ceil(sum(len(encode(piece)) for text in texts for piece in _pieces_of(text)) * SAFETY) + _overhead(
        contents
    )


def _pieces_of(text: str) -> Iterator[str]:
    """Pieces that the tokenizer can take: it panics at a million spaces in a row."""
    return (text[start : start + PIECE_LENGTH] for start in range(0, len(text), PIECE_LENGTH))


def _overhead(contents: Contents) -> int:
    return contents.media_tokens + contents.messages * MESSAGE_TOKENS


@cache
def _tokenizer() -> tiktoken.Encoding:
    """o200k_base without a download. LiteLLM is looked up, not imported: importing it takes ten seconds."""
    package = importlib.util.find_spec("litellm")
    if package is None or package.origin is None:
        raise RuntimeError("litellm, whose tokenizer files are used, is not installed")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(package.origin).parent / "litellm_core_utils" / "tokenizers")
    return tiktoken.get_encoding("o200k_base")


def last_words(request: MessagesRequest) -> str:
    """The last thing the user said, for instance the query of a search."""
    for message in reversed(request.messages):
        if isinstance(message, schemas.UserMessage):
            content = message.content
            texts = (
                [content] if isinstance(content, str) else [b.text for b in content if isinstance(b, schemas.TextBlock)]
            )
            return " ".join(texts)[:SEARCH_WORDS_LENGTH]
    return ""


# --- what a request holds --------------------------------------------------------------------------------------------


def contents_of(request: MessagesRequest) -> Contents:
    texts: list[str | bytes] = [bytes(request.tools)]
    media = 0
    for piece in _pieces(request):
        if isinstance(piece, int):
            media += piece
        else:
            texts.append(piece)
    return Contents(texts, media, len(request.messages))


def _pieces(request: MessagesRequest) -> Iterator[str | bytes | int]:
    """Each text of the request; for an image or document the tokens it is taken for."""
    yield from _content(request.system)
    for message in request.messages:
        yield from _content(message.content)


def _content(content: object) -> Iterator[str | bytes | int]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            yield from _block(block)


def _block(block: object) -> Iterator[str | bytes | int]:
    match block:
        case schemas.TextBlock(text=text):
            yield text
        case schemas.ImageBlock():
            yield IMAGE_TOKENS
        case schemas.DocumentBlock():
            yield from _document(block)
        case schemas.SearchResultBlock(title=title, content=content):
            yield title
            yield from _content(content)
        case schemas.ThinkingBlock(thinking=text):
            yield text
        case schemas.ToolUseBlock(name=name, input=arguments):
            yield name
            yield bytes(arguments)
        case schemas.ToolResultBlock(content=inner):
            yield from _content(inner)
        case schemas.WebSearchToolResultBlock(content=found):
            yield bytes(found)
        case schemas.RedactedThinkingBlock() | schemas.ServerToolUseBlock() | schemas.ToolReferenceBlock():
            pass


def _document(block: schemas.DocumentBlock) -> Iterator[str | bytes | int]:
    match block.source:
        case schemas.Base64Source(data=data):
            yield math.ceil(len(data) / BYTES_PER_DOCUMENT_TOKEN)
        case schemas.UrlSource():
            yield IMAGE_TOKENS
        case schemas.PlainTextSource(data=data):
            yield data
        case schemas.ContentSource(content=content):
            yield from _content(content)
