"""The simulator as a subprocess on a free port, for tests, the demo and the benchmarks."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

JsonValue = Any

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_STOP = 5


class SimulatorProcess:
    """`with SimulatorProcess() as simulator:` then `simulator.base_url` is what OpenRouter's base URL would be."""

    def __init__(
        self,
        account: Path | None = None,
        api_keys: tuple[str, ...] = (),
        port: int = 0,
        models: Path | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="openrouter-simulator-")
        self.account_path = account or Path(self._folder.name) / "account.jsonl"
        self.api_keys = api_keys
        self.port = port
        self.models = models
        self.base_url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        command = [sys.executable, "-m", "testing.openrouter_simulator", "--port", str(self.port)]
        command += ["--account", str(self.account_path)]
        if self.models is not None:
            command += ["--models", str(self.models.resolve())]
        for key in self.api_keys:
            command += ["--api-key", key]
        self._process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator did not start: exit code {self._process.wait()}")
        self.base_url = line.split()[-1]

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def control_url(self) -> str:
        return self.base_url.removesuffix("/api/v1") + "/_simulator"

    @property
    def messages_url(self) -> str:
        """The base URL of the provider that speaks Messages itself: its path is /v1/messages."""
        return self.base_url.removesuffix("/api/v1")

    def requests(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._control("GET", "/requests")["requests"]
        return rows

    def account(self) -> dict[str, Any]:
        document: dict[str, Any] = self._control("GET", "/account")
        return document

    def state(self) -> dict[str, Any]:
        document: dict[str, Any] = self._control("GET", "/state")
        return document

    def register(self, *scripts: dict[str, Any]) -> None:
        self._control("POST", "/scenarios", list(scripts))

    def reset(self) -> None:
        """Forgets requests, attempts played and prompt caches; keeps scripts and the account."""
        self._control("DELETE", "/requests")

    def _control(self, method: str, path: str, document: JsonValue = None) -> JsonValue:
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.control_url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            body = response.read()
        return json.loads(body) if body else None
