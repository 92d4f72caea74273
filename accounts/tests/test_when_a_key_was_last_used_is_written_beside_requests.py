"""When keys were last used is written in one statement for all of them, by no request and for no process to notice."""

import asyncio

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from accounts import last_used
from accounts.authentication import authenticate
from accounts.configuration import current_version
from accounts.models import ApiKey
from testing import cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    last_used._used.clear()


def ask(*keys: str) -> None:
    async def all_of_them() -> None:
        for key in keys:
            await authenticate([(b"x-api-key", key.encode())])

    asyncio.run(all_of_them())


def keep_for(seconds: float) -> None:
    async def some_time() -> None:
        task = asyncio.create_task(last_used.keep())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(some_time())


def test_a_request_writes_nothing() -> None:
    ask(cast.alice().api_key)
    assert ApiKey.objects.get().last_used_at is None


def test_one_statement_a_minute_says_it_for_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    ask(*[cast.alice().api_key, cast.bob().api_key] * 3)
    cast.carol()
    written: list[list[int]] = []
    write = last_used.write

    def note(keys: list[int]) -> None:
        written.append(keys)
        write(keys)

    monkeypatch.setattr(last_used, "write", note)
    monkeypatch.setattr(last_used, "WRITE_SECONDS", 0.05)
    keep_for(0.4)
    assert [len(keys) for keys in written] == [2]
    used = set(ApiKey.objects.exclude(last_used_at=None).values_list("membership__user__email", flat=True))
    assert used == {"alice@acme.example", "bob@acme.example"}


def test_what_is_noted_is_written_at_the_end() -> None:
    ask(cast.alice().api_key)
    keep_for(0.05)
    assert ApiKey.objects.get().last_used_at is not None


def test_no_process_forgets_anything_for_it() -> None:
    ask(cast.alice().api_key)
    before = current_version()
    with CaptureQueriesContext(connection) as captured:
        last_used.write(list(last_used._used))
    assert len(captured) == 1
    assert current_version() == before


def test_what_the_database_did_not_take_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(keys: list[int]) -> None:
        raise OperationalError("away")

    ask(cast.alice().api_key)
    with monkeypatch.context() as broken:
        broken.setattr(last_used, "write", away)
        keep_for(0.05)
    keep_for(0.05)
    assert ApiKey.objects.get().last_used_at is not None
