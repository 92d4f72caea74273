"""Owns the quick estimate of a request's input tokens, from sizes alone, for the beginning of a stream. Pure.

It is made of what the envelope holds undecoded, so it is the same for requests that are translated and that are
relayed, and holds for blocks nobody knows. It costs some microseconds: the length of a field is known without looking
at it (the tools, 64 of 77 KB, would cost 20 to be found in a cache), and only media in base64 has to be looked for.
Text that is not ASCII needs no figure of its own: it has 2 to 4 bytes a character, and 4 to 8 a token.

How far a model's own count is from it is learned (`token_factors`).
"""

import math
import re

from messages_api.schemas import Envelope
from messages_api.services.media_tokens import KNOWN, PDF, image_tokens, tokens_by_size

#: Bytes of JSON for a token, by kind: measured with o200k_base on prose (4.8), Python (4.3), Markdown (3.9) and JSON
#: in strings (3.75), and set lower, so that the estimate is high rather than low.
BYTES_PER_TOKEN = {"system": 4.4, "messages": 3.9, "tools": 4.4, "tool_choice": 3.9, "output_config": 3.9}
#: What every chat has around its messages.
REQUEST_TOKENS = 8

#: The string that holds an image or a document, up to its first character.
_MEDIA = re.compile(rb'"data"\s*:\s*"(?=%s)' % b"|".join(map(re.escape, KNOWN)))


def estimate_tokens(envelope: Envelope, addendum: str = "") -> int:
    """The input tokens of a request, with what its alias adds to the system prompt. Never 0."""
    tokens = REQUEST_TOKENS + len(addendum) / BYTES_PER_TOKEN["system"]
    for name, rate in BYTES_PER_TOKEN.items():
        if name in envelope.fields and name != "messages":
            tokens += memoryview(envelope.fields[name]).nbytes / rate
    return math.ceil(tokens + _messages_tokens(bytes(envelope.fields["messages"])))


def _messages_tokens(messages: bytes) -> float:
    """Text by its size, media by what it is."""
    tokens, size, position = 0, len(messages), 0
    while found := _MEDIA.search(messages, position):
        start = found.end()
        position = messages.find(b'"', start)
        tokens += _media_tokens(messages[start:position])
        size -= position - start
    return tokens + size / BYTES_PER_TOKEN["messages"]


def _media_tokens(encoded: bytes) -> int:
    """To count a document's pages it would have to be decoded; its size must do."""
    return tokens_by_size(len(encoded)) if encoded.startswith(PDF) else image_tokens(encoded)
