"""Owns the count of a request's input tokens: for `/v1/messages/count_tokens`, by a real tokenizer.

The tokenizer is OpenAI's o200k_base, from the file that LiteLLM's package brings along. It is the own one of OpenAI's
newer models: for their texts the count is exact, plus what a chat has around them. For every other model it is a
floor, beside the size corrected by what was learned of the model (`token_factors`), and the greater of both counts:
clients shorten a conversation by it, so too low is worse than too high.

The request is read without judging it, so that blocks that only a relay's target knows are counted, too.
"""

import asyncio
import importlib.util
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import tiktoken
from cachetools import LRUCache, cached

from messages_api.schemas import Envelope
from messages_api.services.media_tokens import LARGEST_IMAGE, UNSEEN_DOCUMENT, media_tokens
from messages_api.services.token_estimate import REQUEST_TOKENS, estimate_tokens

#: What a chat has around each message, block and tool call.
PART_TOKENS = 4
#: What Claude is told about tools, as soon as it has one (Anthropic's documentation: 313 to 346).
CLAUDE_TOOL_PROMPT = 346
#: Of signatures and encrypted content, which a tokenizer would cut into pieces of one and a half characters.
SEALED_BYTES_PER_TOKEN = 6
SAFETY = 1.05
#: No model takes more; beyond it the size is answer enough.
MOST_TOKENS = 2_000_000
#: The tokenizer panics at a million spaces in a row, and is slow with long ones.
PIECE_LENGTH = 10_000
TOOL_SETS = 1_000

#: tiktoken's names for the tokenizer; the second one only adds tokens that no text contains.
OWN_TOKENIZERS = frozenset({"o200k_base", "o200k_harmony"})
OPENAI = "openai/"

#: Fields of a block that no model reads.
UNREAD = frozenset(
    {"type", "role", "cache_control", "id", "tool_use_id", "media_type", "is_error", "caller", "toolset_name"}
)
#: Fields of a block that a model reads in a form of its own.
SEALED = frozenset({"signature", "data", "encrypted_content", "encrypted_index"})
#: What is behind a URL or a file's id, which is not fetched, by the type of its block.
UNSEEN = {"image": LARGEST_IMAGE, "document": UNSEEN_DOCUMENT}

_pool = ThreadPoolExecutor(2, thread_name_prefix="tokens")
_decode = msgspec.json.Decoder().decode


async def count_tokens(envelope: Envelope, *, target: str, factor: float, addendum: str = "") -> int:
    """The input tokens of a request for `target`, in a thread, two at a time. Never 0, and high rather than low.

    `factor` is what was learned of the target; `addendum` is what the alias adds to the system prompt.
    """
    return await asyncio.get_running_loop().run_in_executor(_pool, _count, envelope, target, factor, addendum)


def has_own_tokenizer(target: str) -> bool:
    """Whether the tokenizer used here is the target's own."""
    if not target.startswith(OPENAI):
        return False
    try:
        return tiktoken.encoding_name_for_model(target.removeprefix(OPENAI)) in OWN_TOKENIZERS
    except KeyError:
        return False


def _count(envelope: Envelope, target: str, factor: float, addendum: str) -> int:
    estimate = estimate_tokens(envelope, addendum)
    counted = _counted(envelope, target, addendum) if estimate <= MOST_TOKENS else estimate
    return counted if has_own_tokenizer(target) else math.ceil(SAFETY * max(counted, estimate * factor))


def _counted(envelope: Envelope, target: str, addendum: str) -> int:
    tokens = REQUEST_TOKENS + _text_tokens(addendum)
    for name in {"system", "messages"} & envelope.fields.keys():
        tokens += _read_tokens(bytes(envelope.fields[name]))
    for name in {"tool_choice", "output_config"} & envelope.fields.keys():
        tokens += _json_tokens(bytes(envelope.fields[name]))
    tools = bytes(envelope.fields.get("tools", b""))
    if b"{" in tools:
        tokens += _tools_tokens(tools) + (CLAUDE_TOOL_PROMPT if "claude" in target else 0)
    return tokens


# --- tokens ----------------------------------------------------------------------------------------------------------


def _read_tokens(raw: bytes) -> int:
    """The tokens of what a model would read of `raw`; what cannot be opened is taken as the text that it is."""
    try:
        return sum(part if isinstance(part, int) else _text_tokens(part) for part in _read(_decode(raw)))
    except (ValueError, RecursionError):
        return _json_tokens(raw)


def _json_tokens(raw: bytes) -> int:
    return _text_tokens(raw.decode(errors="replace"))


@cached(LRUCache(TOOL_SETS), key=lambda tools: sha256(tools).digest(), lock=Lock())
def _tools_tokens(tools: bytes) -> int:
    """Most of a request, and the same on every turn: counted once."""
    return _json_tokens(tools)


def _text_tokens(text: str) -> int:
    encode = _tokenizer().encode_ordinary
    return sum(len(encode(text[start : start + PIECE_LENGTH])) for start in range(0, len(text), PIECE_LENGTH))


@cache
def _tokenizer() -> tiktoken.Encoding:
    """o200k_base without a download. LiteLLM is looked up, not imported: importing it takes ten seconds."""
    package = importlib.util.find_spec("litellm")
    if package is None or package.origin is None:
        raise RuntimeError("litellm, whose tokenizer files are used, is not installed")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(package.origin).parent / "litellm_core_utils" / "tokenizers")
    return tiktoken.get_encoding("o200k_base")


# --- what a model reads ----------------------------------------------------------------------------------------------


def _read(content: Any) -> Iterator[str | int]:
    """Each text in `content`, and the tokens that everything else is taken for."""
    match content:
        case str():
            yield content
        case list():
            for part in content:
                yield PART_TOKENS
                yield from _read(part)
        case {"type": "base64", "data": str(data)}:
            yield media_tokens(data.encode())
        case {"type": "text", "data": str(text)}:  # the source of a plain text document
            yield text
        case dict():
            yield from _read_fields(content)


def _read_fields(block: dict[str, Any]) -> Iterator[str | int]:
    for name, value in block.items():
        match name, value:
            case ("source", {"type": "url" | "file"}):
                yield UNSEEN.get(str(block.get("type")), LARGEST_IMAGE)
            case ("input", _):
                yield msgspec.json.encode(value).decode()
            case (_, str()) if name in SEALED:
                yield math.ceil(len(value) / SEALED_BYTES_PER_TOKEN)
            case _ if name not in UNREAD:
                yield from _read(value)
