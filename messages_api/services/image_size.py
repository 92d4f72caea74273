"""Owns the pixel size of an image in base64, read from its header: PNG, JPEG, GIF and WebP, without a decoder. Pure."""

import base64
import struct

Size = tuple[int, int]

#: How much of an image is looked at, in base64: all but some JPEGs say it at once, and those within their first parts.
LOOKED_AT = (1_024, 262_144)
#: The JPEG markers behind which the size stands: every "start of frame".
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def pixel_size(encoded: bytes) -> Size | None:
    """Width and height; None where they cannot be read."""
    for length in LOOKED_AT:
        try:
            size = _size(_decoded(encoded[:length]))
        except (ValueError, struct.error):
            return None
        if size is not None or length >= len(encoded):
            return size
    return None


def _decoded(encoded: bytes) -> bytes:
    """The bytes, as far as whole groups of four reach. Some clients write a slash as an escape, or break lines."""
    plain = encoded.translate(None, b"\\\r\n")
    return base64.b64decode(plain[: len(plain) // 4 * 4])


def _size(image: bytes) -> Size | None:
    if image.startswith(b"\x89PNG"):
        return _pair(">II", image, 16)
    if image.startswith(b"GIF8"):
        return _pair("<HH", image, 6)
    if image.startswith(b"\xff\xd8"):
        return _jpeg(image)
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return _webp(image)
    return None


def _pair(layout: str, image: bytes, position: int) -> Size:
    width, height = struct.unpack_from(layout, image, position)
    return width, height


def _jpeg(image: bytes) -> Size | None:
    """From segment to segment, each of which tells its length, to the frame."""
    position = 2
    while position + 9 <= len(image) and image[position] == 0xFF:
        marker, length = struct.unpack_from(">BH", image, position + 1)
        if marker in FRAMES:
            height, width = _pair(">HH", image, position + 5)
            return width, height
        position += 2 + length
    return None


def _webp(image: bytes) -> Size | None:
    """Its three kinds: extended, lossless, lossy."""
    match image[12:16]:
        case b"VP8X":
            return int.from_bytes(image[24:27], "little") + 1, int.from_bytes(image[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(image[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = _pair("<HH", image, 26)
            return width & 0x3FFF, height & 0x3FFF
    return None
