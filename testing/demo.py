"""`make demo`: the server with a simulated OpenRouter as its upstream, so that a newcomer sees it work in a minute."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from testing.simulator_process import SimulatorProcess

ROOT = Path(__file__).resolve().parent.parent
NOTE = """
  The upstream is a simulator: answers are made up, prices are real. Besides plain questions it plays scripts; try
  [[bash_echo]], [[reasoning_text]] or [[web_search]] as a prompt.
"""


def main() -> int:
    var = Path(os.environ.get("VAR_DIR", ROOT / "var")) / "demo"
    var.mkdir(parents=True, exist_ok=True)
    with SimulatorProcess(
        account=var / "account.jsonl", models=ROOT / "messages_api" / "catalog_snapshot.json"
    ) as upstream:
        env = {
            **os.environ,
            # All of it apart from the real install, whatever `.env` says of that.
            "VAR_DIR": str(var),
            "DATABASE_URL": f"sqlite:///{var / 'bridge.sqlite3'}",
            "SPOOL_DIR": str(var / "spool"),
            "PUBLIC_URL": "",
            "SECRET_KEY": "",
            "FIELD_ENCRYPTION_KEYS": "",
            "REDIS_URL": "",
            "OPENROUTER_CLIENT": "direct",
            "OPENROUTER_BASE_URL": upstream.base_url,
            "OPENROUTER_API_KEY": "sk-or-v1-demo-0123456789abcdef",
        }
        for command in (["migrate", "-v", "0"], ["bootstrap", "--first-start"]):
            subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=env, check=True)
        print(NOTE, flush=True)
        return _serve(env)


def _serve(env: dict[str, str]) -> int:
    """Run the server until it ends. Whatever ends this process lets the server end in its own way first."""
    server = subprocess.Popen([sys.executable, "-m", "bridge_project.server"], cwd=ROOT, env=env)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal interrupts the server as well
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
