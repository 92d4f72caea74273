"""Runs the real Claude Code, as npm installs it, against a server of ours."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / ".node" / "node_modules" / ".bin" / "claude"
ALLOWED_TOOLS = "Bash Read WebSearch Agent"
RUN_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What `claude --output-format json` printed, and how it ended."""

    result: dict[str, Any]
    exit_code: int

    @property
    def text(self) -> str:
        return str(self.result["result"])

    @property
    def session_id(self) -> str:
        return str(self.result["session_id"])

    @property
    def is_error(self) -> bool:
        return bool(self.result["is_error"])


def ask(prompt: str, *arguments: str, **env: str) -> Answer:
    """One conversation without a terminal. `env` must hold ANTHROPIC_BASE_URL and a credential."""
    with tempfile.TemporaryDirectory(prefix="claude-") as folder:
        done = subprocess.run(
            [str(PROGRAM), "-p", prompt, "--allowedTools", ALLOWED_TOOLS, "--output-format", "json", *arguments],
            cwd=folder,
            env={
                "HOME": folder,
                "PATH": os.environ["PATH"],
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                **env,
            },
            capture_output=True,
            timeout=RUN_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    if not done.stdout.strip():
        raise RuntimeError(f"Claude Code printed nothing (exit {done.returncode}): {done.stderr.decode()[-2000:]}")
    return Answer(orjson.loads(done.stdout), done.returncode)
