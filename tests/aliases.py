"""Makes model aliases in the database of a running server, as an administrator would."""

import time
from collections.abc import Mapping

import orjson

from testing.server_process import ServerProcess
from testing.wire import send

MAKE = """
import json
from messages_api.models import ModelAlias
for alias in json.loads({aliases!r}):
    row, _ = ModelAlias.objects.get_or_create(team=None, name=alias["name"], defaults=alias)
    for field, value in alias.items():
        setattr(row, field, value)
    row.full_clean()
    row.save()
"""
LONGEST_SECONDS = 3.0  # a change is in force within a second or two


def make_aliases(server: ServerProcess, *aliases: Mapping[str, object]) -> None:
    """Make or change aliases, each for every team. Returns when the server can be expected to know."""
    before = _models(server)
    server.manage("shell", "-v", "0", "-c", MAKE.format(aliases=orjson.dumps(aliases).decode()))
    deadline = time.monotonic() + LONGEST_SECONDS
    while _models(server) == before and time.monotonic() < deadline:
        time.sleep(0.1)


def _models(server: ServerProcess) -> bytes:
    return send(server.base_url, "GET", "/v1/models?limit=1000", headers={"x-api-key": server.api_key}).body
