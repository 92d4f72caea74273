"""The first start makes a login and a key, shows them once, and a server without an OpenRouter key says what to do."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import orjson

from testing.server_process import ServerProcess
from testing.simulator_process import SimulatorProcess
from testing.wire import post_messages

ROOT = Path(__file__).resolve().parent.parent


def manage(var: Path, *arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], "VAR_DIR": str(var), "ENV_FILE": os.devnull}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_first_start_keeps_its_secrets_in_a_private_file(tmp_path: Path) -> None:
    manage(tmp_path, "migrate", "-v", "0")
    printed = manage(tmp_path, "bootstrap", "--first-start")
    path = tmp_path / "first-start.txt"
    assert str(path) in printed
    assert "sk-brg-" not in printed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = path.read_text()
    for words in ("admin@localhost", "password", "export ANTHROPIC_BASE_URL=http://127.0.0.1:8083", "sk-brg-"):
        assert words in shown
    assert manage(tmp_path, "bootstrap", "--first-start") == ""


def test_bootstrap_is_idempotent_and_prints_json_alone(tmp_path: Path) -> None:
    manage(tmp_path, "migrate", "-v", "0")
    made = [
        orjson.loads(manage(tmp_path, "bootstrap", "--team", "T", "--email", "e@example.com", "--json"))
        for _ in range(2)
    ]
    assert made[0].keys() == {"team", "email", "api_key", "base_url"}
    assert made[0]["api_key"] != made[1]["api_key"]
    code = (
        "from accounts.models import *; from messages_api.models import *;"
        "print(Team.objects.count(), User.objects.count(), ApiKey.objects.count(), ModelAlias.objects.count())"
    )
    assert manage(tmp_path, "shell", "-v", "0", "-c", code).split() == ["1", "1", "2", "7"]


def test_a_server_without_an_openrouter_key_says_where_to_put_one(simulator: SimulatorProcess) -> None:
    with ServerProcess(simulator.base_url, OPENROUTER_API_KEY="") as server:
        reply = post_messages(server.base_url, server.api_key)
        assert (reply.status, reply.json["error"]["type"]) == (402, "billing_error")
        assert "OPENROUTER_API_KEY" in reply.json["error"]["message"]
        assert [row["status"] for row in server.records()] == [402]


def test_a_personal_key_uses_the_teams_openrouter_key(simulator: SimulatorProcess) -> None:
    with ServerProcess(simulator.base_url) as server:
        server.manage(
            "bootstrap", "--team", "Acme", "--email", "alice@acme.example", "--openrouter-key", "sk-or-v1-team-key-9876"
        )
        simulator.reset()
        assert post_messages(server.base_url, server.new_key()).status == 200
        (request,) = (request for request in simulator.requests() if request["path"].endswith("/chat/completions"))
        assert request["headers"]["authorization"] == "9876", "the simulator keeps a key's last four characters"
