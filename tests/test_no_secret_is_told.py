"""No secret of anybody's reaches a log, an error, a page or a file, whatever is done and whatever an upstream repeats.

A whole life of a server: sign-ins that fail and succeed, keys made, rotated and revoked, answers and errors of each
kind on each way out. Then every line, table and file is searched for every secret that was used.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from testing.browser import PASSWORD
from testing.server_process import SERVER_KEY, ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.visitor import Visitor
from testing.wire import message_body, post_messages, send

LEAKED = "sk-or-v1-abcdef0123456789abcdef"
MANAGEMENT_KEY = "sk-or-management-0123456789abcdef"
TEAM_KEY = "sk-or-v1-team-0123456789abcdef0123"
PROVIDER_KEY = "sk-provider-0123456789abcdef0123"
WEBHOOK = "https://192.0.2.1/hooks/T0123456789-abcdef"
#: One that nobody would know for a key by its look.
PLAIN_KEY = "Tr0ub4dor-and-three-more-words"
WRONG_PASSWORD = "staple-battery-horse-incorrect"
NEW_PASSWORD = "another-horse-of-colour-9"
SECRET_KEY = "a-secret-key-of-this-test-0123456789-abcdefgh"
ENCRYPTION_KEY = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="
#: How the simulator ends a request: well, with an error, in its middle.
PROMPTS = (
    "Say hello.",
    "[[stream 20 0]]",
    *(f"[[error {status}]]" for status in (400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 529)),
    "[[mid_stream_error]]",
    "[[cut]]",
    "[[leak]]",
)
TRANSPORTS = ("claude-sonnet-5", "anthropic/claude-sonnet-5", "own-provider", "by-litellm", "openrouter-by-litellm")
PARROT, LITE_PARROT = "parrot", "parrot-by-litellm"
PARROTS = (PARROT, LITE_PARROT)
MAKE_ALIASES = (
    "from messages_api.models import ModelAlias as A; "
    "A.objects.create(name='own-provider', target='litellm:own/claude-sonnet-5'); "
    "A.objects.create(name='by-litellm', target='litellm:lite/claude-sonnet-5'); "
    "A.objects.create(name='openrouter-by-litellm', target='openai/gpt-5', transport='litellm'); "
    "A.objects.create(name='parrot', target='litellm:parrot/any'); "
    "A.objects.create(name='parrot-by-litellm', target='litellm:parrot-by-litellm/any')"
)


@dataclass
class Life:
    """What was seen of a server's life, and the secrets that were used in it."""

    server: ServerProcess
    secrets: set[str] = field(default_factory=set)
    cookies: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)  # every answer and page but those that show a new key
    spooled: set[bytes] = field(default_factory=set)

    def hear(self, answer: tuple[int, str]) -> int:
        self.told.append(answer[1])
        return answer[0]

    def new_key(self, answer: tuple[int, str]) -> str:
        """The key that a page shows once."""
        (key,) = set(re.findall(r"sk-brg-\w+-\w+", answer[1]))
        self.secrets.add(key)
        self.told.append(answer[1].replace(key, ""))
        return str(key)


@pytest.fixture(scope="module")
def life(simulator: SimulatorProcess) -> Iterator[Life]:
    env = {
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
        "SECRET_KEY": SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": ENCRYPTION_KEY,
        "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY,
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "RETRY_SECONDS": "0",
    }
    words = f"Incorrect API key provided: {LEAKED} {SERVER_KEY} {TEAM_KEY}. Contact user_2aBcDeFgHiJ."
    simulator.register({"name": "leak", "turns": [{"attempts": [{"status": 401, "message": words}]}]})
    with parrot() as parrots_url, ServerProcess(simulator.base_url, **env) as server:
        lived = Life(server, {LEAKED, SERVER_KEY, MANAGEMENT_KEY, TEAM_KEY, PROVIDER_KEY, PLAIN_KEY, WEBHOOK})
        lived.secrets |= {PASSWORD, WRONG_PASSWORD, NEW_PASSWORD, SECRET_KEY, ENCRYPTION_KEY, server.api_key}
        over = threading.Event()
        watcher = threading.Thread(target=watch_spool, args=(lived, over))
        watcher.start()
        try:
            own = simulator.messages_url
            keep_house(lived, {"own": own, "lite": own, PARROT: parrots_url, LITE_PARROT: parrots_url})
        finally:
            over.set()
            watcher.join()
        server.records()
        yield lived


class Parrot(BaseHTTPRequestHandler):
    """A provider that tells everybody the key that it was given, in an error and in the middle of an answer."""

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        words = f"I do not like {self.headers['x-api-key']} nor {LEAKED}."
        error = orjson.dumps({"type": "error", "error": {"type": "api_error", "message": words}})
        self.send_response(200 if body.get("stream") else 500)
        self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
        self.end_headers()
        self.wfile.write(b"event: error\ndata: " + error + b"\n\n" if body.get("stream") else error)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def parrot() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def watch_spool(life: Life, over: threading.Event) -> None:
    while not over.wait(0.05):
        for path in (life.server.folder / "spool").glob("*"):
            life.spooled.update(path.read_bytes().splitlines())


def keep_house(life: Life, providers: dict[str, str]) -> None:
    server = life.server
    server.manage("createsuperuser", "--noinput", "--email", "root@example.com")
    server.manage("shell", "-v", "0", "-c", MAKE_ALIASES)
    visitor = Visitor(server)
    assert visitor.sign_in(WRONG_PASSWORD) == 200
    assert visitor.sign_in() == 302
    for name, url in providers.items():
        secret = PLAIN_KEY if name in PARROTS else PROVIDER_KEY
        relayed = {"speaks_messages": "on"} if name in {"own", PARROT} else {}
        form = {
            "name": name,
            "litellm_provider": "anthropic",
            "base_url": url,
            "secret": secret,
            **relayed,
        }
        assert life.hear(visitor.send_form("/admin/messages_api/provider/add/", **form)) == 302
    assert visitor.send_form("/admin/accounts/team/1/change/", webhook_url=WEBHOOK)[0] == 302
    assert life.hear(visitor.send_form("/admin/accounts/openrouterkey/add/", name="t", secret="too short")) == 200
    assert life.hear(visitor.send_form("/admin/accounts/openrouterkey/add/", name="t", secret=TEAM_KEY)) == 302
    made = life.new_key(visitor.send_form("/admin/accounts/apikey/add/", membership="1", name="n", openrouter_key="1"))
    key = server.query("SELECT id FROM accounts_apikey WHERE name = 'n'")[0]["id"]
    ask_everything(life, made)
    rotated = life.new_key(visitor.send_form(f"/admin/accounts/apikey/{key}/rotate/", grace="24"))
    ask_everything(life, server.api_key)
    assert post_messages(server.base_url, rotated).status == 200
    assert life.hear(visitor.send_form(f"/admin/accounts/apikey/{key}/revoke/", post="yes")) == 302
    assert life.hear(visitor.send_form("/admin/accounts/openrouterkey/1/refresh/")) == 302
    life.hear(visitor.send_form("/admin/accounts/membership/1/make-openrouter-key/", limit="5"))
    changed = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert life.hear(visitor.send_form("/admin/accounts/user/1/password/", **changed)) == 302
    for page in (
        "apikey",
        "openrouterkey",
        "auditentry",
        f"apikey/{key}/change",
        "openrouterkey/1/change",
        "user/1/change",
    ):
        assert life.hear(visitor.ask("GET", f"/admin/accounts/{page}/")) == 200
    life.cookies.update(visitor.cookies.values())


def ask_everything(life: Life, key: str) -> None:
    """Each kind of answer on each way out, streamed and not, and what is refused before it goes anywhere."""
    base = life.server.base_url
    for model in TRANSPORTS:
        for prompt in PROMPTS:
            for stream in (False, True):
                reply = post_messages(base, key, model=model, prompt=prompt, stream=stream)
                life.told.append(reply.body.decode())
    for reply in (
        *(post_messages(base, key, model=parrot, stream=stream) for parrot in PARROTS for stream in (False, True)),
        post_messages(base, key, model=key),
        post_messages(base, key, metadata={"user_id": "u" * 40}, temperature=key),
        send(base, "POST", "/v1/messages", b"{}", {"x-api-key": key + "x"}),
        send(base, "POST", "/v1/messages", message_body(), {"authorization": f"Bearer {key[:-1]}"}),
        send(base, "GET", f"/v1/{key}", headers={"x-api-key": key}),
        send(base, "GET", f"/v1/models?api_key={key}&limit=x", headers={"x-api-key": key}),
        send(base, "GET", f"/admin/{key}/?key={key}"),
        send(base, "GET", f"/{key}"),
    ):
        life.told.append(reply.body.decode().replace(key, "") if reply.status in {400, 404} else reply.body.decode())


# --- what was told ----------------------------------------------------------------------------------------------------


def test_what_was_done_was_done(life: Life) -> None:
    """Else the tests below would find nothing because nothing happened."""
    states = {(row["state"], row["status"]) for row in life.server.records()}
    assert {("completed", 200), ("error", 429), ("error", 400)} <= states
    assert len([row for row in life.server.records() if row["state"] == "error"]) > len(PROMPTS)
    assert {row["requested_model"] for row in life.server.records(state="completed")} >= set(TRANSPORTS)
    repeated = [told for told in life.told if "I do not like [redacted]" in told]
    assert len(repeated) == 2 * 2 * len(PARROTS), "streamed and not, with each of two keys"
    assert any("Incorrect API key provided: [redacted]" in told for told in life.told)
    assert [row for row in life.server.query("SELECT * FROM accounts_team") if row["webhook_ciphertext"]]
    events = {row["event"] for row in life.server.query("SELECT event FROM accounts_auditentry")}
    assert events >= {"created", "shown", "rotated", "revoked", "changed"}
    assert len(life.spooled) > len(PROMPTS)


def test_no_log_line_tells_a_secret(life: Life) -> None:
    for line in life.server.log().splitlines():
        assert not [secret for secret in life.secrets | life.cookies if secret in line], line[:300]


def test_no_answer_and_no_page_tells_a_secret(life: Life) -> None:
    assert len(life.told) > 2 * len(TRANSPORTS) * len(PROMPTS)
    for told in life.told:
        assert not [secret for secret in life.secrets if secret in told], told[:300]


def test_no_column_of_any_table_holds_a_secret(life: Life) -> None:
    names = tables(life.server)
    assert len(names) > 10
    for table in names:
        for row in life.server.query(f'SELECT * FROM "{table}"'):
            for column, value in row.items():
                text = bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
                assert not [secret for secret in life.secrets if secret in text], f"{table}.{column}"


def test_no_line_of_a_spool_and_no_file_holds_a_secret(life: Life) -> None:
    """The database's own files are among them: what a row held once may still stand there."""
    for line in life.spooled:
        assert not [secret for secret in life.secrets if secret.encode() in line], line[:300]
    files = [path for path in life.server.folder.rglob("*") if path.is_file()]
    for path in files:
        held = path.read_bytes()
        assert not [secret for secret in life.secrets if secret.encode() in held], path.name


def test_a_key_in_an_upstreams_words_is_removed(life: Life) -> None:
    reply = post_messages(life.server.base_url, life.server.api_key, prompt="[[leak]]")
    assert "Incorrect API key provided: [redacted]" in reply.json["error"]["message"]
    assert reply.status == 403, "a client would take a 401 for its own key's"
    assert "user_2aBcDeFgHiJ" not in reply.body.decode() + life.server.log()


def tables(server: ServerProcess) -> list[str]:
    if server.database_url.startswith("sqlite"):
        return [row["name"] for row in server.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = server.query("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    return [row["name"] for row in rows]
