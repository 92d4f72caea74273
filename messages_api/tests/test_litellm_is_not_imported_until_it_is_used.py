"""LiteLLM costs 10 s of CPU and 190 MB, so a server that never asks it for anything must never import it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

START = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "bridge_project.settings"
import bridge_project.asgi
import messages_api.services.upstream.litellm
assert "django" in sys.modules
print({"litellm", "httpx", "openai"} & sys.modules.keys())
"""

USE = """
import asyncio, os
os.environ["DJANGO_SETTINGS_MODULE"] = "bridge_project.settings"
import django
django.setup()
from messages_api.services.upstream import litellm
library = asyncio.run(litellm._library())
assert library.suppress_debug_info and library.drop_params and library.disable_hf_tokenizer_download
assert "dotenv_was_read" not in os.environ
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=env, check=False
    )


def test_starting_the_server_does_not_import_it(tmp_path: Path) -> None:
    done = run(START, tmp_path)
    assert done.stdout == "set()\n", done.stderr


def test_importing_it_prints_nothing_and_reads_no_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("dotenv_was_read=1\n")
    done = run(USE, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
