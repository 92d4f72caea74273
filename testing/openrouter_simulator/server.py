"""The application: routes, keys, and the way of a request from bytes to an answer."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from testing.openrouter_simulator import models, rules_anthropic
from testing.openrouter_simulator.account import Account
from testing.openrouter_simulator.chat import ChatWire
from testing.openrouter_simulator.control import Exchange, Log, without_secrets
from testing.openrouter_simulator.conversation import Conversation, chat_conversation, messages_conversation
from testing.openrouter_simulator.exact_json import Json, JsonValue, encode
from testing.openrouter_simulator.generation import Generation, close_socket
from testing.openrouter_simulator.issued import Issued
from testing.openrouter_simulator.managed_keys import ManagedKeys
from testing.openrouter_simulator.messages import MessagesWire
from testing.openrouter_simulator.metering import PromptCache, prompt_usage
from testing.openrouter_simulator.models import Model
from testing.openrouter_simulator.performance import MILLISECONDS, Performance
from testing.openrouter_simulator.refusals import (
    REQUEST_HEADER,
    Refusal,
    anthropic_body,
    bad_request,
    canned,
    openrouter_body,
    plain_anthropic_body,
)
from testing.openrouter_simulator.rules import (
    CHAT_FIELDS,
    MESSAGES_FIELDS,
    check_chat,
    check_chat_reasoning,
    check_chat_size,
    check_messages,
    check_messages_reasoning,
    check_messages_size,
    check_plain_messages,
    ignored_keys,
    unsupported_keys,
)
from testing.openrouter_simulator.stage import BadScript, Cue, Stage, UnknownScenario

API = "/api/v1"
MEBIBYTE = 1024 * 1024
LARGEST_BODY = 32 * MEBIBYTE
KEY_PREFIX = "sk-or-"
PLAIN_KEY_PREFIX = "sk-"
POOR_KEY_PREFIX = "sk-or-poor"
BYOK_KEY_PREFIX = "sk-or-byok"
SESSION_HEADER = "x-session-id"
TIERS_USED = {"priority": "priority", "fast": "priority", "flex": "flex"}
JSON_TYPE = "application/json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ApiHandler = Callable[[web.Request, Exchange], Awaitable[web.StreamResponse]]
ErrorBody = Callable[[Refusal], Json]


def json_answer(document: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=encode(document), status=status, content_type=JSON_TYPE, headers=headers)


@dataclass(frozen=True)
class Order:
    """A request that was judged good, ready to be answered."""

    request: web.Request
    exchange: Exchange
    body: Json
    key: str
    model: Model
    conversation: Conversation
    wire: ChatWire | MessagesWire

    @property
    def session_id(self) -> str | None:
        return self.body.get("session_id") or self.request.headers.get(SESSION_HEADER)


@dataclass
class Simulator:
    account: Account
    keys: frozenset[str] = frozenset()
    stage: Stage = field(default_factory=Stage)
    cache: PromptCache = field(default_factory=PromptCache)
    log: Log = field(default_factory=Log)
    issued: Issued = field(default_factory=Issued)

    def __post_init__(self) -> None:
        self.managed_keys = ManagedKeys(self.account, self.authenticate)

    # every request of the API

    def recorded(self, handler: ApiHandler, error_body: ErrorBody = openrouter_body) -> Handler:
        async def recording(request: web.Request) -> web.StreamResponse:
            exchange = self.log.open(
                Exchange(request.method, request.path, request.query_string, without_secrets(request.headers))
            )
            try:
                response = await handler(request, exchange)
            except Refusal as refusal:
                exchange.refusal = refusal.said_by_provider or refusal.message
                exchange.status = refusal.status
                document = error_body(refusal)
                request_id = {REQUEST_HEADER: document["request_id"]} if "request_id" in document else {}
                response = json_answer(document, refusal.status, refusal.headers | request_id)
            except (asyncio.CancelledError, ConnectionError):
                exchange.close("client_gone")
                raise
            else:
                exchange.status = response.status
            finally:
                exchange.close("answered")
            return response

        return recording

    def authenticate(self, request: web.Request) -> str:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise canned(401, message="No auth credentials found")
        known = key in self.keys if self.keys else key.startswith(KEY_PREFIX)
        if not known:
            raise canned(401)
        return key

    async def read_body(self, request: web.Request, exchange: Exchange) -> Json:
        try:
            exchange.body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise canned(413) from None
        try:
            body = orjson.loads(exchange.body)
        except orjson.JSONDecodeError as error:
            raise bad_request(f"Invalid JSON in request body: {error}") from None
        if not isinstance(body, dict):
            raise bad_request("Invalid input: expected object at the root of the request body")
        return body

    # the two endpoints that generate

    async def chat_completions(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        key = self.authenticate(request)
        body = await self.read_body(request, exchange)
        exchange.ignored = ignored_keys(body, CHAT_FIELDS)
        model = check_chat(body, request.headers.get(SESSION_HEADER))
        exchange.unsupported = unsupported_keys(body, model)
        conversation = chat_conversation(body)
        exchange.reasoning = check_chat_reasoning(body, model, self.issued, conversation.prefixes)
        self.check_credit(key)
        check_chat_size(body, model, conversation)
        wire = ChatWire(new_generation_id(), model, int(time.time()), tier_of(body, model))
        return await self.generate(Order(request, exchange, body, key, model, conversation, wire))

    async def plain_messages(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        """A provider that speaks Messages itself, without OpenRouter."""
        key = self.plain_key(request)
        rules_anthropic.check_headers(request.headers)
        body = await self.read_body(request, exchange)
        model = check_plain_messages(body, request.headers)
        conversation = messages_conversation(body)
        exchange.reasoning = check_messages_reasoning(body, model, self.issued, conversation.prefixes)
        check_messages_size(model, conversation)
        wire = MessagesWire(f"msg_{secrets.token_hex(12)}", model, body["model"], "plain")
        return await self.generate(Order(request, exchange, body, key, model, conversation, wire))

    def plain_key(self, request: web.Request) -> str:
        """wire.md 1.1: x-api-key or a bearer token."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        key = request.headers.get("x-api-key") or (token if scheme.lower() == "bearer" else "")
        known = key in self.keys if self.keys else key.startswith(PLAIN_KEY_PREFIX)
        if not known:
            raise canned(401, message="invalid x-api-key")
        return key

    async def messages(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        key = self.authenticate(request)
        body = await self.read_body(request, exchange)
        rules_anthropic.check_betas(request.headers)
        exchange.ignored = ignored_keys(body, MESSAGES_FIELDS)
        model = check_messages(body, request.headers.get(SESSION_HEADER))
        conversation = messages_conversation(body)
        exchange.reasoning = check_messages_reasoning(body, model, self.issued, conversation.prefixes)
        self.check_credit(key)
        check_messages_size(model, conversation)
        wire = MessagesWire(new_generation_id(), model, model.id)
        return await self.generate(Order(request, exchange, body, key, model, conversation, wire))

    def check_credit(self, key: str) -> None:
        if key.startswith(POOR_KEY_PREFIX):
            raise canned(402)

    async def generate(self, order: Order) -> web.StreamResponse:
        cue, exchange = self.cue(order), order.exchange
        exchange.marker, exchange.step, exchange.generation_id = cue.marker, cue.step, order.wire.generation_id
        if isinstance(cue.attempt, dict):
            return await self.answer_error(order, cue.attempt)
        generation = self.generation(order)
        interleaving = isinstance(order.wire, ChatWire)
        events = Performance(order.model, order.conversation, interleaving).play(cue.attempt)
        return await (generation.stream(events) if generation.streamed else generation.whole(events))

    def generation(self, order: Order) -> Generation:
        cached = self.cache.cached_tokens(order.key, order.model, order.session_id, order.conversation.canonical)
        return Generation(
            id=order.wire.generation_id,
            request=order.request,
            exchange=order.exchange,
            account=self.account,
            log=self.log,
            issued=self.issued,
            prefix=order.conversation.prefixes[-1],
            wire=order.wire,
            model=order.model,
            key=order.key,
            session_id=order.session_id,
            prompt=prompt_usage(order.conversation, order.model, cached),
            is_byok=order.key.startswith(BYOK_KEY_PREFIX),
            streamed=bool(order.body.get("stream")),
        )

    def cue(self, order: Order) -> Cue:
        try:
            return self.stage.cue(order.conversation, order.model.id)
        except UnknownScenario as unknown:
            raise bad_request(f"simulator: {unknown}") from None

    async def answer_error(self, order: Order, attempt: Json) -> web.StreamResponse:
        await asyncio.sleep(float(attempt.get("delay_ms", 0)) / MILLISECONDS)
        if attempt.get("drop"):
            order.exchange.close("cut")
            close_socket(order.request, "close")
            return web.Response(status=502)
        status = int(attempt["status"])
        error = canned(status, attempt.get("error_type") or None, attempt.get("message"))
        headers = {**error.headers, **attempt.get("headers", {})}
        body = attempt.get("body", order.wire.refused(error))
        if isinstance(body, str):
            headers = {"Content-Type": "text/plain", **headers}
            return web.Response(body=body.encode(), status=status, headers=headers)
        return json_answer(body, status, headers)

    # what only reads

    async def list_models(self, _request: web.Request, _exchange: Exchange) -> web.StreamResponse:
        return json_answer(models.listing())

    async def show_key(self, request: web.Request, _exchange: Exchange) -> web.StreamResponse:
        key = self.authenticate(request)
        document = self.account.key_document(key)
        document["data"].update(self.managed_keys.limits(key))
        return json_answer(document)

    async def show_generation(self, request: web.Request, _exchange: Exchange) -> web.StreamResponse:
        key = self.authenticate(request)
        wanted = request.query.get("id", "")
        charge = self.account.charges.get(wanted)
        if charge is None or charge.key != key:
            raise canned(404, message=f"Generation {wanted} not found")
        return json_answer({"data": charge.generation()})

    async def unknown_path(self, request: web.Request, _exchange: Exchange) -> web.StreamResponse:
        raise canned(404, message=f"Not Found: {request.path}")

    # the control plane

    async def show_account(self, _request: web.Request) -> web.StreamResponse:
        return json_answer(self.account.document())

    async def show_requests(self, _request: web.Request) -> web.StreamResponse:
        return json_answer(self.log.document())

    async def reset(self, _request: web.Request) -> web.StreamResponse:
        self.log.exchanges.clear()
        self.stage.forget()
        self.cache.prompts.clear()
        return web.Response(status=204)

    async def register(self, request: web.Request) -> web.StreamResponse:
        document: JsonValue = orjson.loads(await request.read())
        scripts = document if isinstance(document, list) else [document]
        try:
            for script in scripts:
                self.stage.register(script)
        except BadScript as bad:
            return json_answer({"error": str(bad)}, 400)
        return json_answer({"registered": [script["name"] for script in scripts]}, 201)

    async def show_state(self, _request: web.Request) -> web.StreamResponse:
        return json_answer(self.log.state())


def tier_of(body: Json, model: Model) -> str | None:
    """wire.md 2.1, service_tier: the answer tells which one was used; only OpenAI has tiers here."""
    asked = body.get("service_tier") or "default"
    return TIERS_USED.get(asked, "default") if model.family == "openai" else None


def new_generation_id() -> str:
    return f"gen-{int(time.time())}-{secrets.token_hex(10)}"


def application(simulator: Simulator) -> web.Application:
    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post(f"{API}/chat/completions", simulator.recorded(simulator.chat_completions))
    app.router.add_post(f"{API}/messages", simulator.recorded(simulator.messages, anthropic_body))
    app.router.add_post("/v1/messages", simulator.recorded(simulator.plain_messages, plain_anthropic_body))
    app.router.add_get(f"{API}/models", simulator.recorded(simulator.list_models))
    app.router.add_get(f"{API}/key", simulator.recorded(simulator.show_key))
    app.router.add_get(f"{API}/generation", simulator.recorded(simulator.show_generation))
    app.router.add_post(f"{API}/keys", simulator.recorded(simulator.managed_keys.create))
    app.router.add_get(f"{API}/keys/{{hash}}", simulator.recorded(simulator.managed_keys.show))
    app.router.add_patch(f"{API}/keys/{{hash}}", simulator.recorded(simulator.managed_keys.change))
    app.router.add_delete(f"{API}/keys/{{hash}}", simulator.recorded(simulator.managed_keys.delete))
    app.router.add_get("/_simulator/account", simulator.show_account)
    app.router.add_get("/_simulator/requests", simulator.show_requests)
    app.router.add_delete("/_simulator/requests", simulator.reset)
    app.router.add_post("/_simulator/scenarios", simulator.register)
    app.router.add_get("/_simulator/state", simulator.show_state)
    app.router.add_route("*", "/{path:.*}", simulator.recorded(simulator.unknown_path))
    return app


def runner(simulator: Simulator) -> web.AppRunner:
    """Handlers are cancelled when their client leaves: that is how a gone client is seen during silence."""
    return web.AppRunner(application(simulator), access_log=None, handler_cancellation=True, shutdown_timeout=1)
