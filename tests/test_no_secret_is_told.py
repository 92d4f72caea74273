"""No key of anybody's reaches a log, an error or the database, even when an upstream repeats it."""

from testing.server_process import SERVER_KEY, ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import post_messages, send

LEAKED = "sk-or-v1-abcdef0123456789abcdef"


def test_a_key_in_an_upstreams_words_is_removed(simulator: SimulatorProcess) -> None:
    words = f"Incorrect API key provided: {LEAKED}. Contact user_2aBcDeFgHiJ."
    simulator.register({"name": "leak", "turns": [{"attempts": [{"status": 401, "message": words}]}]})
    with ServerProcess(simulator.base_url, LOG_LEVEL="DEBUG") as server:
        replies = [
            post_messages(server.base_url, server.api_key),
            post_messages(server.base_url, server.api_key, prompt="[[leak]]"),
            post_messages(server.base_url, server.api_key, model=server.api_key),
            send(server.base_url, "POST", "/v1/messages", b"{}", {"x-api-key": server.api_key + "x"}),
            send(server.base_url, "GET", f"/v1/{server.api_key}", headers={"x-api-key": server.api_key}),
        ]
        assert "Incorrect API key provided: [redacted]" in replies[1].json["error"]["message"]
        assert replies[1].status == 403, "a client would take a 401 for its own key's"
        server.records()
        log = server.log()
        dump = str([server.query(f"SELECT * FROM {table}") for table in tables(server)])
    for secret in (server.api_key, SERVER_KEY, LEAKED, "user_2aBcDeFgHiJ"):
        assert secret not in log
        assert secret not in dump
    for reply in replies:
        assert LEAKED not in reply.body.decode()
        assert SERVER_KEY not in reply.body.decode()


def tables(server: ServerProcess) -> list[str]:
    if server.database_url.startswith("sqlite"):
        return [row["name"] for row in server.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = server.query("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    return [row["name"] for row in rows]
