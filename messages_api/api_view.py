"""Owns the base of the `/v1` views: DRF's view with an asynchronous dispatch, and Anthropic's errors."""

import logging
from collections.abc import Mapping
from typing import Any, cast

import orjson
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, InterfaceError
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import Caller
from messages_api import errors
from messages_api.errors import ApiError
from messages_api.services.answer import Answer
from messages_api.services.stream import MessageStream

logger = logging.getLogger("bridge.request")


class ApiRequest(ASGIRequest):
    """A request on the API lane, with what the lane has found out before any view runs."""

    request_id: str
    caller: Caller
    body_bytes: bytes


class EventStreamResponse(HttpResponseBase):
    """A streamed answer that has begun; the lane relays it."""

    streaming = True

    def __init__(self, stream: MessageStream, headers: Mapping[str, str]) -> None:
        super().__init__(content_type="text/event-stream; charset=utf-8", headers=dict(headers))
        self["cache-control"] = "no-cache"
        self["x-accel-buffering"] = "no"  # nginx would otherwise hold the stream back
        self.stream = stream


class CallerAuthentication(BaseAuthentication):
    """The lane has authenticated the caller from the headers, before the body was read."""

    def authenticate(self, request: Request) -> tuple[Any, None]:
        return cast(ApiRequest, request._request).caller, None


class JsonOnly(BaseContentNegotiation):
    """Anthropic's API answers JSON, or events where the body says so, whatever `Accept` asks for."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A view whose handlers are coroutines. They return bytes of JSON, a dictionary, or an answer of a model's."""

    authentication_classes = [CallerAuthentication]
    permission_classes = []
    throttle_classes = []
    renderer_classes = [JSONRenderer]
    content_negotiation_class = JsonOnly
    http_method_names = ["get", "post"]  # DRF's own answer to OPTIONS is neither asynchronous nor in the envelope
    request: Request

    async def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]  # DRF's is synchronous
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        try:
            self.initial(self.request, *args, **kwargs)
            name = (self.request.method or "").lower()
            handler = getattr(self, name, None) if name in self.http_method_names else None
            response = _response(await (handler or self.refuse_method)(self.api_request, *args, **kwargs))
            self.log_answer(response)
        except Exception as error:
            response = self._refuse(refusal_for(error))
        if response.status_code == errors.MethodNotAllowed.status:
            response["allow"] = ", ".join(self.allowed_methods)
        return response

    def _refuse(self, error: ApiError) -> HttpResponse:
        """The error as the client is told it. What was admitted has its line in the log already."""
        request = self.api_request
        if not error.is_logged:
            log_refusal(request.method or "", request.path, request.request_id, error)
        return error_response(error, request.request_id)

    @property
    def api_request(self) -> ApiRequest:
        return cast(ApiRequest, self.request._request)  # the lane makes them

    def log_answer(self, response: HttpResponseBase) -> None:
        """The one line of a request that needs no admission. What is admitted has a line of its own."""
        request = self.api_request
        logger.info("%s %s 200, %s", request.method, request.path[:200], request.request_id)

    async def refuse_method(self, request: ApiRequest, *args: Any, **kwargs: Any) -> bytes:
        raise errors.MethodNotAllowed(f"{request.method} is not allowed here; use {', '.join(self.allowed_methods)}")


def _response(answer: bytes | dict[str, Any] | Answer) -> HttpResponseBase:
    if isinstance(answer, dict):
        answer = orjson.dumps(answer)
    if isinstance(answer, bytes):
        answer = Answer(answer, errors.NO_HEADERS)
    if isinstance(answer.content, MessageStream):
        return EventStreamResponse(answer.content, answer.headers)
    return HttpResponse(answer.content, content_type="application/json", headers=dict(answer.headers))


def log_refusal(method: str, path: str, request_id: str, error: ApiError) -> None:
    """The one line of a request that was not admitted."""
    logger.warning(
        "%s %s %d %s, %s",
        method,
        path[:200],
        error.status,
        error.message,
        request_id,
        extra={"request_id": request_id, "status": error.status, "error_type": error.type},
    )


def error_response(error: ApiError, request_id: str) -> HttpResponse:
    """An error in Anthropic's envelope."""
    return HttpResponse(
        error.encode(request_id), content_type="application/json", status=error.status, headers=error.headers()
    )


def refusal_for(error: Exception) -> ApiError:
    """The error as the client is told it. What nobody foresaw is logged with its traceback."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DatabaseError | InterfaceError):
        logger.warning("The database does not answer: %s", error)
        return errors.Overloaded("The gateway's database does not answer. Try again shortly.")
    if isinstance(error, exceptions.APIException):
        return errors.InvalidRequest(str(error.detail))
    logger.error("Unforeseen", exc_info=error)
    return errors.Internal(errors.UNFORESEEN)
