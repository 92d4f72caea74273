"""Requests whose tokens are counted, for the tests of the count and of the estimate."""

import base64
from typing import Any

import orjson

from messages_api.schemas import Envelope, parse_envelope
from testing import files

Json = dict[str, Any]

PROSE = "The gateway translates each request, and records what it cost, for the team that asked. " * 40
CODE = "def answer(request: Request) -> Response:\n    return Response(request.body[:80], status=200)\n\n"
TOOL = {
    "name": "Read",
    "description": PROSE,
    "input_schema": {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]},
}


def asked(*content: Any, **fields: Any) -> Envelope:
    """A request of one message that holds `content`."""
    body = {"model": "sonnet", "messages": [{"role": "user", "content": list(content)}], **fields}
    return parse_envelope(orjson.dumps(body))


def said(text: str) -> Json:
    return {"type": "text", "text": text}


def base64_source(data: bytes, media_type: str) -> Json:
    return {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}


def image(width: int, height: int) -> Json:
    return {"type": "image", "source": base64_source(files.png(width, height), "image/png")}


def pdf(pages: int, padding: int = 0) -> Json:
    page = b"3 0 obj<</Type /Page/Parent 2 0 R>>endobj\n"
    data = b"%PDF-1.4\n2 0 obj<</Type/Pages/Kids[]>>endobj\n" + page * pages + b"%" + b"x" * padding
    return {"type": "document", "source": base64_source(data, "application/pdf")}


def tool_result(*content: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": list(content)}


def thinking(text: str, signature: str = "") -> Json:
    return {"type": "thinking", "thinking": text, "signature": signature}
