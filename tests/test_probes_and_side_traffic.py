"""The welcome, the probes, and what Claude Code asks beside its requests."""

import shutil
import subprocess

import pytest

from testing.server_process import ServerProcess, free_port
from testing.simulator_process import SimulatorProcess
from testing.wire import send


def test_the_welcome_is_json_for_a_program(server: ServerProcess) -> None:
    welcome = send(server.base_url, "GET", "/").json
    assert welcome["connect"]["ANTHROPIC_BASE_URL"] == server.base_url


def test_the_welcome_is_a_page_for_a_browser(server: ServerProcess) -> None:
    reply = send(server.base_url, "GET", "/", headers={"accept": "text/html,*/*"})
    assert reply.headers["content-type"].startswith("text/html")
    assert f"ANTHROPIC_BASE_URL={server.base_url}".encode() in reply.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 200),
        ("HEAD", "/api/hello", 200),
        ("POST", "/api/event_logging/batch", 204),
        ("POST", "/api/event_logging/v2/batch", 204),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
    ],
)
def test_side_traffic_is_answered_without_a_key(server: ServerProcess, method: str, path: str, status: int) -> None:
    reply = send(server.base_url, method, path, b"{}" if method == "POST" else None)
    assert reply.status == status
    assert method != "HEAD" or reply.body == b""


def test_probes_may_come_by_ip_address(server: ServerProcess) -> None:
    for path in ("/healthz", "/readyz"):
        assert send(server.base_url, "GET", path, headers={"host": "10.1.2.3:8083"}).status == 200
    assert send(server.base_url, "GET", "/admin/", headers={"host": "10.1.2.3:8083"}).status == 400


def test_readiness_asks_the_cache(simulator: SimulatorProcess) -> None:
    port = free_port()
    redis_server = shutil.which("redis-server")
    assert redis_server, "redis-server is missing: `make tools` installs it"
    redis = subprocess.Popen(
        [redis_server, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL
    )
    try:
        with ServerProcess(simulator.base_url, REDIS_URL=f"redis://127.0.0.1:{port}/0") as server:
            assert send(server.base_url, "GET", "/readyz").json == {"status": "ready"}
            redis.terminate()
            redis.wait(10)
            reply = send(server.base_url, "GET", "/readyz")
            assert (reply.status, reply.json) == (503, {"status": "unavailable", "failed": ["cache"]})
    finally:
        if redis.poll() is None:
            redis.kill()
            redis.wait()
