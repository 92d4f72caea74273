"""Plain HTTP to a server, byte for byte, for what a well-behaved SDK would never send or never show."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

TIMEOUT_SECONDS = 40


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def send(
    base_url: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, response.read())
    finally:
        connection.close()


def post_messages(base_url: str, api_key: str, **body: Any) -> Reply:
    return send(base_url, "POST", "/v1/messages", message_body(**body), {"x-api-key": api_key})


def message_body(prompt: str = "[[text]]", **fields: Any) -> bytes:
    whole = {"model": "sonnet", "max_tokens": 100, "messages": [{"role": "user", "content": prompt}], **fields}
    return orjson.dumps(whole)


@contextmanager
def open_request(base_url: str, api_key: str, body: bytes, session_id: str = "") -> Iterator[socket.socket]:
    """A socket on which a Messages request has been sent; leaving the block closes it, whatever is still to come."""
    parts = urlsplit(base_url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=TIMEOUT_SECONDS) as connection:
        head = (
            f"POST /v1/messages HTTP/1.1\r\nhost: {parts.netloc}\r\nx-api-key: {api_key}\r\n"
            f"x-claude-code-session-id: {session_id}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        yield connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    """What arrives up to and with `mark`, or up to the end."""
    received = b""
    while mark not in received:
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
    return received


def streamed(received: bytes) -> bytes:
    """The events in what arrived on a socket, without the head and the chunks around them, as far as they are whole."""
    head, _, rest = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower(), head
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + len(b"\r\n") :]
    return body[: body.rfind(b"\n\n") + 2]
