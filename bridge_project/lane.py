"""Owns the API lane: `/v1/*` from the ASGI scope to a view and back, without Django's middleware.

Django's own handler costs 1.2 to 1.6 ms a request (a thread-sensitive context, signals, seven middlewares); this one
0.08. It authenticates from the headers before anything else is judged, reads the body within limits, and cancels the
view when the client has gone. It has no signals to clean up connections: the ORM is reached by `accounts.database`.
"""

import asyncio
import logging
from functools import lru_cache
from io import BytesIO
from typing import Any
from uuid import uuid4

from django.core.handlers.asgi import ASGIHandler
from django.http.response import HttpResponseBase
from django.urls import get_resolver
from django.urls.exceptions import Resolver404

from accounts import authentication
from accounts.authentication import Caller
from messages_api import errors
from messages_api.api_view import ApiRequest, EventStreamResponse, error_response, log_refusal, refusal_for
from messages_api.errors import ApiError
from messages_api.services.settlement import ClientStalled

logger = logging.getLogger("bridge.request")

LARGEST_BODY = 32 * 1024 * 1024
BODY_SECONDS = 120.0

Scope = dict[str, Any]


class ClientGone(Exception):
    """The client has closed its connection before its request was whole."""


class ApiLane(ASGIHandler):
    """Django's handler with a `handle` of its own and no middleware."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._resolve = lru_cache(maxsize=512)(get_resolver("messages_api.urls").resolve)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Without Django's per-request thread-sensitive context: the lane runs no synchronous code."""
        await self.handle(scope, receive, send)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        request_id = f"req_{uuid4().hex}"
        task = asyncio.current_task()
        try:
            request = await _admitted_request(scope, receive, request_id)
        except ClientGone:
            return
        except Exception as error:
            refusal = refusal_for(error)
            log_refusal(scope["method"], scope["path"], request_id, refusal)
            await _respond(error_response(refusal, request_id), request_id, send)
            return
        watcher = asyncio.create_task(_cancel_when_gone(receive, task))
        try:
            await _respond(await self._answer(request), request_id, send)
        except ClientStalled:
            return  # its record says so
        except asyncio.CancelledError:
            if not watcher.done():
                raise  # the server is being stopped, not the client gone
        finally:
            watcher.cancel()

    async def _answer(self, request: ApiRequest) -> HttpResponseBase:
        try:
            match = self._resolve(request.path_info)
        except Resolver404:
            error = errors.NotFound(f"There is no {request.path_info[:200]} here.")
            log_refusal(request.method or "", request.path_info, request.request_id, error)
            return error_response(error, request.request_id)
        response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
        return response


async def _admitted_request(scope: Scope, receive: Any, request_id: str) -> ApiRequest:
    """The request, once its caller is known and its body is read. Raises ApiError or ClientGone."""
    caller = await _authenticated(scope)
    headers = dict(scope["headers"])
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
    if encoding != "identity":
        raise errors.WrongEncoding(f"content-encoding: {encoding[:50]!r} is not supported; send the body as it is")
    body = await _body(receive, headers.get(b"content-length"))
    request = ApiRequest(scope, BytesIO(body))
    request.request_id, request.caller, request.body_bytes = request_id, caller, body
    return request


async def _authenticated(scope: Scope) -> Caller:
    try:
        return await authentication.authenticate(scope["headers"])
    except authentication.AuthenticationFailed:
        raise errors.NotAuthenticated("invalid x-api-key") from None
    except authentication.TeamDisabled as error:
        raise errors.Forbidden(f"The team {error} is switched off. Ask its administrator.") from None
    except authentication.CannotVerify:
        raise errors.Overloaded("The gateway cannot check the key just now. Try again shortly.") from None


async def _body(receive: Any, content_length: bytes | None) -> bytes:
    """The whole body; its announced length is judged before a byte of it is read."""
    if content_length is not None and content_length.isdigit() and int(content_length) > LARGEST_BODY:
        raise _too_large()
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > LARGEST_BODY:
                    raise _too_large()
                if not message.get("more_body"):
                    return b"".join(pieces)
    except TimeoutError:
        raise errors.InvalidRequest(f"The body was not complete after {BODY_SECONDS:.0f} seconds.") from None


def _too_large() -> ApiError:
    return errors.TooLarge(f"The body is larger than {LARGEST_BODY // 1024 // 1024} MB.")


async def _cancel_when_gone(receive: Any, task: asyncio.Task[Any] | None) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" and task is not None:
            task.cancel()
            return


async def _respond(response: HttpResponseBase, request_id: str, send: Any) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers.append((b"request-id", request_id.encode()))
    if isinstance(response, EventStreamResponse):

        async def start() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        await response.stream.relay(write, start)
        await send({"type": "http.response.body", "body": b""})
        return
    content: bytes = getattr(response, "content", b"")
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": content})
