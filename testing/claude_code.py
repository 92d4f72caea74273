"""Runs the real Claude Code, as npm installs it, against a server of ours: a prompt, a session, or in a terminal."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / ".node" / "node_modules" / ".bin" / "claude"
ALLOWED_TOOLS = "Bash Read WebSearch Agent"
RUN_SECONDS = 60
STOP_SECONDS = 10


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
            env={**_quiet(folder), **env},
            capture_output=True,
            timeout=RUN_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    if not done.stdout.strip():
        raise RuntimeError(f"Claude Code printed nothing (exit {done.returncode}): {done.stderr.decode()[-2000:]}")
    return Answer(orjson.loads(done.stdout), done.returncode)


class Session:
    """Claude Code without a terminal, for as many turns as one likes: its stream-json protocol, a line each way."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.id = ""
        self._process = process

    def say(self, prompt: str) -> str:
        """One turn, with all the tools that it takes: the answer's last words. Raises RuntimeError for an error."""
        self._write({"type": "user", "message": {"role": "user", "content": prompt}})
        result = self._read("result")
        self.id = result["session_id"]
        if result["is_error"]:
            raise RuntimeError(f"{prompt}: {result}")
        return str(result["result"])

    def use_model(self, name: str) -> None:
        """What `/model` does: the conversation goes on with another model."""
        self._write({"type": "control_request", "request_id": name, "request": {"subtype": "set_model", "model": name}})
        response = self._read("control_response")["response"]
        if response["subtype"] != "success":
            raise RuntimeError(f"{name}: {response}")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(message) + b"\n")
        self._process.stdin.flush()

    def _read(self, kind: str) -> dict[str, Any]:
        """The next message of a kind."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: dict[str, Any] = orjson.loads(line)
            if message["type"] == kind:
                return message
        raise RuntimeError(f"Claude Code ended before it told a {kind} (exit {self._process.wait()})")


@contextmanager
def session(home: Path, *arguments: str, **env: str) -> Iterator[Session]:
    """A session in the folder `home`, which keeps its transcript: `--resume ID` goes on with it in another process."""
    command = [str(PROGRAM), "-p", "--verbose", "--input-format", "stream-json", "--output-format", "stream-json"]
    process = subprocess.Popen(
        [*command, "--allowedTools", ALLOWED_TOOLS, *arguments],
        cwd=home,
        env={**_quiet(str(home)), **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    running = Session(process)
    try:
        yield running
    finally:
        running.close()


class Terminal:
    """Claude Code in a terminal: type into it, and read what it draws."""

    def __init__(self, process: int, descriptor: int) -> None:
        self.drawn = b""
        self._process = process
        self._descriptor = descriptor

    def type(self, text: str) -> None:
        """Type `text` and, a moment later, Enter: what comes in one piece is taken for a paste."""
        os.write(self._descriptor, text.encode())
        self.watch(0.5)
        os.write(self._descriptor, b"\r")

    def wait_for(self, words: str, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while words.encode() not in self.drawn:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{words!r} did not appear in the terminal: {self.drawn[-2000:]!r}")
            self.watch(0.1)

    def watch(self, seconds: float) -> None:
        """Read what is drawn for a while; a program that nobody reads stops drawing."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._descriptor], [], [], left)[0]:
                self.drawn += os.read(self._descriptor, 65536)

    def close(self) -> None:
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._descriptor)


@contextmanager
def terminal(base_url: str, api_key: str) -> Iterator[Terminal]:
    """Claude Code as a person sees it, past its onboarding, in an empty folder."""
    with tempfile.TemporaryDirectory(prefix="claude-", ignore_cleanup_errors=True) as home:
        folder = Path(home) / "project"
        folder.mkdir()
        (Path(home) / ".claude.json").write_bytes(orjson.dumps(_onboarded(folder, api_key)))
        shown = {"HOME": home, "PATH": os.environ["PATH"], "TERM": "xterm-256color", "DISABLE_AUTOUPDATER": "1"}
        process, descriptor = pty.fork()
        if process == 0:
            os.chdir(folder)
            os.execve(PROGRAM, [str(PROGRAM)], {**shown, "ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": api_key})
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        screen = Terminal(process, descriptor)
        try:
            yield screen
        finally:
            screen.close()


def _quiet(home: str) -> dict[str, str]:
    """The environment of a client that asks nobody but the server."""
    return {
        "HOME": home,
        "PATH": os.environ["PATH"],
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


def _onboarded(folder: Path, api_key: str) -> dict[str, Any]:
    return {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": [api_key[-20:]], "rejected": []},
        "projects": {str(folder): {"hasTrustDialogAccepted": True}},
    }
