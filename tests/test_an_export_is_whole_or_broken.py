"""An export of many records comes through a real server whole, or visibly broken off."""

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from testing.server_process import ServerProcess

NOBODY = "http://127.0.0.1:9/api/v1"
RECORDS = 60_000
SESSION = """
from datetime import UTC, datetime
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from accounts.models import User
from usage.models import UsageRecord
root = User.objects.create_superuser("root@example.com", "correct-horse-battery")
session = SessionStore()
session[SESSION_KEY] = str(root.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = root.get_session_auth_hash()
session.create()
noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
UsageRecord.objects.bulk_create(
    (
        UsageRecord(request_id=f"req_{n}", state="completed", started_at=noon, settled_at=noon, lease_expires_at=noon,
                    email="alice@acme.example", model="openai/gpt-5", error_message="x" * 400)
        for n in range(%d)
    ),
    batch_size=2000,
)
print(session.session_key)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(NOBODY) as running:
        yield running


@pytest.fixture(scope="module")
def cookie(server: ServerProcess) -> str:
    return f"sessionid={server.manage('shell', '-v', '0', '-c', SESSION % RECORDS).strip()}"


def begun(server: ServerProcess, cookie: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=60)
    connection.request("GET", "/admin/usage/usagerecord/export/", headers={"cookie": cookie})
    return connection.getresponse()


def test_all_of_it_arrives(server: ServerProcess, cookie: str) -> None:
    response = begun(server, cookie)
    assert response.status == 200
    assert response.getheader("transfer-encoding") == "chunked"
    lines = response.read().splitlines()
    assert len(lines) == RECORDS + 2
    assert lines[-1] == f"# complete: {RECORDS} records".encode()


def test_one_that_breaks_off_does_not_look_whole(server: ServerProcess, cookie: str) -> None:
    response = begun(server, cookie)
    received = response.read(100_000)
    server.kill()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        received += response.read()
    assert b"# complete" not in received
