"""Owns how many tokens an image or a document is taken for. Pure.

Anthropic's figures: an image is scaled down to 1568 pixels at its longer edge and costs a token for 750 pixels, 1,600
at most; a page of a PDF is its text, 1,500 to 3,000 tokens, and its picture. What cannot be looked at is taken for the
largest.
"""

import base64
import math
import re

from messages_api.services.image_size import pixel_size

LONGEST_EDGE = 1568
PIXELS_PER_TOKEN = 750
LARGEST_IMAGE = 1_600
PDF_PAGE = 3_000
MOST_PAGES = 100  # Anthropic's limit
#: Of a file whose pages cannot be counted, in base64: a page of 50 KB is some 2,800 tokens.
BYTES_PER_TOKEN = 24
UNSEEN_DOCUMENT = 10 * PDF_PAGE

#: How files begin in base64. A slash may be escaped in JSON.
PDF = b"JVBERi"
KNOWN = (b"iVBORw", b"R0lGOD", b"UklGR", b"/9j", b"\\/9j", PDF)
_PAGE = re.compile(rb"/Type\s*/Page\b")


def media_tokens(encoded: bytes) -> int:
    """The tokens of an image or a document in base64, whatever it says it is."""
    if encoded.startswith(PDF):
        return _pages(encoded) * PDF_PAGE or tokens_by_size(len(encoded))
    return image_tokens(encoded) if encoded.startswith(KNOWN) else tokens_by_size(len(encoded))


def image_tokens(encoded: bytes) -> int:
    size = pixel_size(encoded)
    if size is None or 0 in size:
        return LARGEST_IMAGE
    width, height = size
    scale = min(1, LONGEST_EDGE / max(size))
    return min(math.ceil(width * scale * height * scale / PIXELS_PER_TOKEN), LARGEST_IMAGE)


def tokens_by_size(length: int) -> int:
    """The tokens of a document of `length` characters of base64."""
    return min(math.ceil(length / BYTES_PER_TOKEN), MOST_PAGES * PDF_PAGE)


def _pages(encoded: bytes) -> int:
    """The pages of a PDF; 0 where it keeps them compressed."""
    try:
        document = base64.b64decode(encoded)
    except ValueError:
        return 0
    return min(len(_PAGE.findall(document)), MOST_PAGES)
