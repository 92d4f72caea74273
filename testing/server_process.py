"""Starts the server as a process of its own, on a database of its own, and looks at it from outside."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import psycopg
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 15.0
SETTLE_SECONDS = 10.0
NONE_SECONDS = 2.5  # longer than a record takes to the database
SERVER_KEY = "sk-or-v1-server-0123456789abcdef"


class ServerProcess:
    """A running server with one team, Acme, one member, Alice, and her personal key.

    `env` adds to or overrides its environment; a value of "" unsets a variable.
    """

    def __init__(self, upstream_url: str, **env: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bridge-"))
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.database_url = database_in(self.folder)
        self.log_path = self.folder / "server.log"
        self.api_key = ""
        self._process: subprocess.Popen[bytes] | None = None
        self.env = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "ENV_FILE": os.devnull,
            "VAR_DIR": str(self.folder),
            "DATABASE_URL": self.database_url,
            "SPOOL_DIR": str(self.folder / "spool"),
            "PORT": str(self.port),
            "OPENROUTER_BASE_URL": upstream_url,
            "OPENROUTER_API_KEY": SERVER_KEY,
            "BIG_MODEL": "openai/gpt-5",
            "SMALL_MODEL": "openai/gpt-5-mini",
            "LOG_FORMAT": "console",
            "DRAIN_SECONDS": "1",
            "OPENROUTER_CLIENT": os.environ.get("TEST_OPENROUTER_CLIENT", "direct"),
            **env,
        }

    def __enter__(self) -> Self:
        self.fill_database()
        self.start()
        return self

    def fill_database(self) -> None:
        """Migrate and bootstrap for the first server of a run; the others get a copy."""
        if not _filled:
            self.manage("migrate", "-v", "0")
            made = self.manage("bootstrap", "--team", "Acme", "--email", "alice@acme.example", "--json")
            template = Path(tempfile.mkdtemp(prefix="bridge-template-"))
            _filled.append(Filled(database_in(template), orjson.loads(made)["api_key"]))
            copy_database(self.database_url, _filled[0].database_url)
        else:
            copy_database(_filled[0].database_url, self.database_url)
        self.api_key = _filled[0].api_key

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bridge_project.server"], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )
        self._wait_until_ready()

    def stop(self) -> int:
        """SIGTERM, and how the process ended."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        return self._end(signal.SIGKILL)

    def begin_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        assert self._process is not None
        self._process.terminate()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def manage(self, *arguments: str) -> str:
        """The output of a management command."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} exited with {done.returncode}: {done.stderr}")
        return done.stdout

    def new_key(self) -> str:
        made = self.manage("createkey", "--team", "Acme", "--email", "alice@acme.example", "--json")
        return str(orjson.loads(made)["api_key"])

    def memory_map(self) -> str:
        """What the process has mapped: every shared library that it has loaded."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/maps").read_text()

    def log(self) -> str:
        return self.log_path.read_text()

    def query(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of the server's database, read past Django. `%s` stands for a parameter."""
        if self.database_url.startswith("sqlite"):
            with sqlite3.connect(self.database_url.removeprefix("sqlite:///"), timeout=20) as connection:
                connection.row_factory = sqlite3.Row
                rows = connection.execute(sql.replace("%s", "?"), parameters).fetchall()
                return [dict(row) for row in rows]
        with psycopg.connect(self.database_url, row_factory=dict_row, autocommit=True) as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def records(self, **wanted: object) -> list[dict[str, Any]]:
        """The usage records, oldest first, once everything is settled and in the database."""
        where = " AND ".join(f"{name} = %s" for name in wanted) or "1 = 1"
        sql = f"SELECT * FROM usage_usagerecord WHERE {where} ORDER BY started_at"
        began = time.monotonic()
        while True:
            rows = self.query(sql, *wanted.values())
            is_settled = rows and all(row["state"] != "open" for row in rows) and self.spool_bytes() == 0
            if is_settled or time.monotonic() - began > (SETTLE_SECONDS if rows else NONE_SECONDS):
                return rows
            time.sleep(0.05)

    def spool_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.folder / "spool").glob("*.jsonl"))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.base_url}/healthz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"The server did not start:\n{self.log()[-3000:]}")

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Filled:
    """A database with one team, one member, and the key whose text is known."""

    database_url: str
    api_key: str


_filled: list[Filled] = []


def database_in(folder: Path) -> str:
    """The address of a database to be: a file, or one more on the PostgreSQL server that DATABASE_URL names."""
    base = os.environ.get("DATABASE_URL", "")
    if not base.startswith("postgres"):
        return f"sqlite:///{folder / 'bridge.sqlite3'}"
    name = f"bridge_{uuid4().hex[:12]}"
    _create_database(name)
    head, _, query = base.partition("?")
    return f"{head.rpartition('/')[0]}/{name}{'?' + query if query else ''}"


def copy_database(source: str, target: str) -> None:
    if source.startswith("sqlite"):
        with sqlite3.connect(_path(source)) as original, sqlite3.connect(_path(target)) as copy:
            original.backup(copy)
        return
    names = [urlsplit(url).path.removeprefix("/") for url in (source, target)]
    _create_database(names[1], names[0])


def _path(url: str) -> str:
    return url.removeprefix("sqlite:///")


def _create_database(name: str, template: str = "template1") -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
