"""Records leave as CSV: those that the list shows, all of them, a chunk at a time, and no cell is a formula."""

import asyncio
import csv
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from testing import cast
from testing.signed_in import signed_in
from usage.models import UsageRecord
from usage.services import export
from usage.services.export import as_csv, beside
from usage.tests.counted import NOON, record

pytestmark = pytest.mark.django_db

EXPORT = reverse("admin:usage_usagerecord_export")
LIST = reverse("admin:usage_usagerecord_changelist")


def exported(browser: Client, **query: str) -> tuple[list[dict[str, str]], str]:
    """The rows, and the last line."""
    response: Any = browser.get(EXPORT, query)
    assert response.status_code == 200
    lines = b"".join(response.streaming_content).decode().splitlines()
    return list(csv.DictReader(lines[:-1])), lines[-1]


def test_a_row_has_what_the_record_has() -> None:
    record("req_1", cast.alice(), cost=15_312_000_001, error_message='says "no", twice\nor more')
    (row,), last = exported(signed_in(cast.root()))
    assert (row["request_id"], row["started_at"]) == ("req_1", "2026-05-04T12:00:00+00:00")
    assert (row["team"], row["member"], row["key"]) == ("Acme", "alice@acme.example", "alice's laptop")
    assert (row["cost_usd"], row["cost_source"]) == ("0.015312000001", "upstream")
    assert (row["input_tokens"], row["latency_ms"], row["first_token_ms"], row["streamed"]) == (
        "1204",
        "2840",
        "412",
        "no",
    )
    assert row["error_message"].startswith('says "no", twice')
    assert last == "# complete: 1 records"


def test_it_holds_what_the_filters_let_through() -> None:
    alice = cast.alice()
    record("req_1", alice)
    record("req_2", alice, provider="Google")
    record("req_3", alice, provider="Google", started_at=NOON + timedelta(days=1))
    browser = signed_in(cast.root())
    asked = {"provider_is": "Google", "started_at_to": "2026-05-04"}
    assert [row["request_id"] for row in exported(browser, **asked)[0]] == ["req_2"]
    assert f"{EXPORT}?provider_is=Google&amp;started_at_to=2026-05-04" in browser.get(LIST, asked).content.decode()


def test_who_keeps_a_team_gets_that_team_alone() -> None:
    record("req_1", cast.alice())
    record("req_2", cast.carol())
    browser = signed_in(cast.alice().user)
    assert [row["request_id"] for row in exported(browser)[0]] == ["req_1"]
    assert exported(browser, team_is="Globex") == ([], "# complete: 0 records")


def test_a_member_gets_nothing() -> None:
    assert signed_in(cast.bob().user).get(EXPORT).status_code == 302


def test_filters_that_make_no_sense_are_refused() -> None:
    assert signed_in(cast.root()).get(EXPORT, {"nonsense": "1"}).status_code == 400
    assert signed_in(cast.root()).post(EXPORT).status_code == 405


@pytest.mark.parametrize("opening", ["=", "+", "-", "@", "\t=", "\r="])
def test_no_cell_is_a_formula(opening: str) -> None:
    evil = f"{opening}HYPERLINK(1)"
    record("req_1", cast.alice(), key_name=evil, session_id=evil, requested_model=evil, error_message=evil)
    response: Any = signed_in(cast.root()).get(EXPORT)
    text = b"".join(response.streaming_content).decode()
    assert text.count(f"'{opening}HYPERLINK") == 4
    assert f",{opening}HYPERLINK" not in text


def test_any_number_of_records_is_read_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK", 7)
    alice = cast.alice()
    for number in range(30):  # several of one moment, so that a chunk ends among them
        record(f"req_{number:02}", alice, started_at=NOON + timedelta(seconds=number // 10))
    with CaptureQueriesContext(connection) as captured:
        pieces = list(as_csv(UsageRecord.objects.all()))
    assert len(captured) == 6
    assert all("LIMIT 7" in query["sql"] for query in captured)
    names = [line.partition(",")[0] for piece in pieces[1:-1] for line in piece.splitlines()]
    assert names == [f"req_{number:02}" for number in range(30)]
    assert max(len(piece.splitlines()) for piece in pieces) == 7


@pytest.mark.django_db(transaction=True)
def test_it_is_made_off_the_event_loop() -> None:
    async def read() -> str:
        return "".join([piece async for piece in beside(as_csv(UsageRecord.objects.all()))])

    record("req_1", cast.alice())
    assert asyncio.run(read()).endswith("# complete: 1 records\r\n")


def test_the_server_streams_it() -> None:
    request = ASGIRequest({"type": "http", "method": "GET", "path": EXPORT, "headers": []}, None)  # type: ignore[arg-type]  # no body
    request.user = cast.root()
    response: Any = admin.site.get_model_admin(UsageRecord).export(request)  # type: ignore[attr-defined]  # our page's
    assert isinstance(response, StreamingHttpResponse)
    assert response.is_async
