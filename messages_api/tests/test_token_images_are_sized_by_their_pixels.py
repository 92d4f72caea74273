"""An image counts by its pixels, as Anthropic counts them, whatever its format and however its bytes were written."""

import base64
import struct

import pytest

from messages_api.services.image_size import pixel_size
from messages_api.services.media_tokens import LARGEST_IMAGE, image_tokens, media_tokens
from testing import files

FRAME = b"\xff\xc2\x00\x11\x08" + struct.pack(">HH", 300, 400) + bytes(10)
TABLE = b"\xff\xdb\x00\x43" + bytes(65)


def jpeg(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + bytes(20)


def segment(length: int) -> bytes:
    """A part of a JPEG's metadata."""
    return b"\xff\xe1" + struct.pack(">H", length) + b"\xff" * (length - 2)


def webp(kind: bytes, header: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + bytes(4) + header


IMAGES = {
    "PNG": files.png(400, 300),
    "GIF": b"GIF89a" + struct.pack("<HH", 400, 300) + bytes(3),
    "JPEG": jpeg(TABLE, FRAME),
    "JPEG with much metadata": jpeg(segment(60_000), segment(60_000), TABLE, FRAME),
    "WebP, extended": webp(b"VP8X", bytes(4) + b"\x8f\x01\x00" + b"\x2b\x01\x00"),
    "WebP, lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 399 | 299 << 14 | 1 << 28)),
    "WebP, lossy": webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 400 | 1 << 14, 300 | 1 << 15)),
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_the_size_is_read_from_the_header(image: bytes) -> None:
    assert pixel_size(base64.b64encode(image)) == (400, 300)


def test_a_slash_written_as_an_escape_and_line_breaks_are_passed_over() -> None:
    encoded = base64.b64encode(IMAGES["JPEG"])
    assert b"/" in encoded
    assert pixel_size(encoded.replace(b"/", b"\\/")) == (400, 300)
    assert pixel_size(base64.encodebytes(IMAGES["JPEG"]).replace(b"\n", b"\r\n")) == (400, 300)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"iVBORw0KGgo",
        b"not an image at all",
        base64.b64encode(jpeg(TABLE)),
        base64.b64encode(jpeg(segment(200), b"garbage here")),
        base64.b64encode(webp(b"ALPH", bytes(20))),
        base64.b64encode(files.png(0, 300)),
    ],
)
def test_an_image_whose_size_cannot_be_read_counts_as_the_largest(encoded: bytes) -> None:
    assert image_tokens(encoded) == LARGEST_IMAGE


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((1, 1), 1),
        ((750, 1), 1),
        ((200, 200), 54),
        ((1000, 1000), 1334),
        ((1092, 1092), 1590),
        ((1568, 700), 1464),
        ((3136, 1400), 1464),
        ((4000, 4000), 1600),
        ((100, 15680), 21),
    ],
)
def test_an_image_costs_a_token_for_750_pixels_of_what_is_left_of_it(size: tuple[int, int], tokens: int) -> None:
    header = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", *size) + bytes(9))
    assert image_tokens(header) == tokens


def test_a_file_is_known_by_its_first_bytes() -> None:
    assert media_tokens(base64.b64encode(IMAGES["JPEG"])) == 160
    assert media_tokens(base64.b64encode(files.pdf())) == 3_000
    assert media_tokens(base64.b64encode(b"something else" * 100)) == 78
    assert media_tokens(base64.b64encode(bytes(50_000_000))) == 300_000
