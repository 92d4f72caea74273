"""Keys that a management key makes, caps and deletes: /keys and /keys/{hash}, wire.md 2.6."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import orjson
from aiohttp import web

from testing.openrouter_simulator.account import VISIBLE_KEY_CHARACTERS, Account
from testing.openrouter_simulator.control import Exchange
from testing.openrouter_simulator.exact_json import Json, amount, encode
from testing.openrouter_simulator.refusals import Refusal, bad_request, canned

MANAGEMENT_KEY_PREFIX = "sk-or-management"
RESETS = {None, "daily", "weekly", "monthly"}
CREATED_FIELDS = {
    "name",
    "limit",
    "limit_reset",
    "expires_at",
    "include_byok_in_limit",
    "workspace_id",
    "creator_user_id",
}
CHANGED_FIELDS = {"name", "limit", "limit_reset", "disabled", "include_byok_in_limit"}


@dataclass
class ManagedKey:
    secret: str
    name: str
    limit: Decimal | None = None
    limit_reset: str | None = None
    is_disabled: bool = False

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.secret.encode()).hexdigest()


@dataclass
class ManagedKeys:
    """What has been made so far. `authenticate` names the key that a request carries, or refuses it."""

    account: Account
    authenticate: Callable[[web.Request], str]
    keys: dict[str, ManagedKey] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    async def create(self, request: web.Request, _exchange: Exchange) -> web.StreamResponse:
        body = await self._admitted(request, CREATED_FIELDS)
        if not isinstance(body.get("name"), str) or not body["name"]:
            raise bad_request("name: Required")
        key = ManagedKey(f"sk-or-v1-{secrets.token_hex(32)}", body["name"])
        self._cap(key, body)
        self.keys[key.hash] = key
        return _answer({"data": self._document(key), "key": key.secret}, 201)

    async def change(self, request: web.Request, _exchange: Exchange) -> web.StreamResponse:
        body = await self._admitted(request, CHANGED_FIELDS)
        key = self._known(request)
        self._cap(key, body)
        key.is_disabled = body.get("disabled", key.is_disabled)
        return _answer({"data": self._document(key)})

    async def delete(self, request: web.Request, _exchange: Exchange) -> web.StreamResponse:
        self._administer(request)
        key = self._known(request)
        del self.keys[key.hash]
        self.deleted.add(key.secret)
        return _answer({"deleted": True})

    async def show(self, request: web.Request, _exchange: Exchange) -> web.StreamResponse:
        self._administer(request)
        return _answer({"data": self._document(self._known(request))})

    def limits(self, secret: str) -> Json:
        """What GET /key says besides of a key that was made here. A deleted one is refused."""
        if secret in self.deleted:
            raise canned(401, message="User not found.")
        key = self.keys.get(hashlib.sha256(secret.encode()).hexdigest())
        return self._limits(key) if key else {}

    def _administer(self, request: web.Request) -> None:
        if not self.authenticate(request).startswith(MANAGEMENT_KEY_PREFIX):
            raise canned(401, message="Invalid management key")

    async def _admitted(self, request: web.Request, names: set[str]) -> Json:
        self._administer(request)
        try:
            body: Json = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            raise bad_request("Invalid JSON") from None
        if unknown := sorted(set(body) - names):
            raise bad_request(f"Unrecognized key: {unknown[0]}")
        return body

    def _known(self, request: web.Request) -> ManagedKey:
        key = self.keys.get(request.match_info["hash"])
        if key is None:
            raise Refusal(404, "API key not found", "not_found")
        return key

    def _cap(self, key: ManagedKey, body: Json) -> None:
        limit, reset = body.get("limit", key.limit), body.get("limit_reset", key.limit_reset)
        if limit is not None and (isinstance(limit, bool | str) or limit < 0):
            raise bad_request("limit: Expected a number of at least 0")
        if reset not in RESETS:
            raise bad_request("limit_reset: Expected daily, weekly, monthly or null")
        key.limit, key.limit_reset = None if limit is None else Decimal(str(limit)), reset

    def _document(self, key: ManagedKey) -> Json:
        return {
            "hash": key.hash,
            "name": key.name,
            "label": f"sk-or-v1-...{key.secret[-VISIBLE_KEY_CHARACTERS:]}",
            "disabled": key.is_disabled,
            "usage": amount(self.account.total(key.secret)),
            "expires_at": None,
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": None,
            **self._limits(key),
        }

    def _limits(self, key: ManagedKey) -> Json:
        left = None if key.limit is None else amount(max(key.limit - self.account.total(key.secret), Decimal(0)))
        limit = None if key.limit is None else amount(key.limit)
        return {"limit": limit, "limit_remaining": left, "limit_reset": key.limit_reset}


def _answer(document: Json, status: int = 200) -> web.Response:
    return web.Response(body=encode(document), status=status, content_type="application/json")
