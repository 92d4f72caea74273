"""Who uses a client is told upstream in a form that providers accept and nobody can read."""

from typing import Any

import orjson

from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.request import translate_request

WHO = '{"device_id":"d0","account_uuid":"a1","session_id":"s2"}' + " " * 140


def body_of(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "a"}]
    request = parse_request(orjson.dumps({"model": "m", "max_tokens": 9, "messages": messages, **fields}))
    return translate_request(request, model="m", facts=ModelFacts(id="m"), session_id="s2").body


def test_a_user_id_longer_than_providers_accept_is_hashed_the_same_way_every_time() -> None:
    user = body_of(metadata={"user_id": WHO})["user"]
    assert len(user) <= 64
    assert not {"d0", "a1", "device_id"} & {user}
    assert user == body_of(metadata={"user_id": WHO})["user"] != body_of(metadata={"user_id": "b"})["user"]
    assert "metadata" not in body_of(metadata={"user_id": WHO})


def test_nobody_is_told_where_nobody_was_named() -> None:
    assert "user" not in body_of()
    assert "user" not in body_of(metadata={"user_id": None})
