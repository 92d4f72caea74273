"""Runs the server: `python -m bridge_project.server`. Owns its sockets, and how it ends.

At SIGTERM or SIGINT `/readyz` fails at once, so that a load balancer looks elsewhere; answers in progress have
DRAIN_SECONDS to end, the rest end with an error their client can read; then everything is settled and closed.
A second signal does not wait.
"""

import asyncio
import os
import socket
import sys
from types import FrameType

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bridge_project.settings")

import uvicorn  # the settings must be named first
from django.conf import settings

#: The kernel gives up a connection whose client takes nothing for this long.
STALL_MILLISECONDS = 60_000
GRACE_SECONDS = 5


class Server(uvicorn.Server):
    """uvicorn's server, which drains before it stops listening."""

    _loop: asyncio.AbstractEventLoop
    _drain: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._drain is None and self.started:
            self._loop.call_soon_threadsafe(self._begin_draining)
        else:
            super().handle_exit(sig, frame)

    def _begin_draining(self) -> None:
        self._drain = self._drain or asyncio.create_task(self._drain_and_exit())

    async def _drain_and_exit(self) -> None:
        from messages_api.services.gateway import running_gateway  # Django is set up by now, not when this loads

        gateway = await running_gateway()
        await gateway.drain(settings.DRAIN_SECONDS)
        self.should_exit = True


def main() -> None:
    config = uvicorn.Config(
        "bridge_project.asgi:application",
        host=settings.HOST,
        port=settings.PORT,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.TRUSTED_PROXIES,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=75,
    )
    listener = _listener(settings.HOST, settings.PORT)
    print(f"Serving on http://{settings.HOST}:{listener.getsockname()[1]}", flush=True)
    Server(config).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_MILLISECONDS)
    try:
        listener.bind((host, port))
    except OSError as error:
        sys.exit(f"Cannot start. HOST, PORT: {host}:{port} cannot be used: {error.strerror}")
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


if __name__ == "__main__":
    main()
