"""The command line: python -m testing.openrouter_simulator."""

import argparse
import asyncio
import signal
from pathlib import Path

import orjson
from aiohttp import web

from testing.openrouter_simulator.account import Account
from testing.openrouter_simulator.exact_json import Json
from testing.openrouter_simulator.models import offer_catalogue
from testing.openrouter_simulator.server import API, Simulator, runner


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="openrouter_simulator", description="A stand-in for OpenRouter.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--account", type=Path, required=True, help="JSONL file of every charge")
    parser.add_argument("--api-key", action="append", default=[], help="accept only this key; may be repeated")
    parser.add_argument("--models", type=Path, help="JSON with rows of GET /models, under data or models, to offer too")
    return parser.parse_args()


def catalogue_rows(path: Path) -> list[Json]:
    document = orjson.loads(path.read_bytes())
    rows: list[Json] = document.get("data") or document["models"]
    return rows


async def serve(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if arguments.models is not None:
        offer_catalogue(catalogue_rows(arguments.models))
    simulator = Simulator(Account(arguments.account), frozenset(arguments.api_key))
    running = runner(simulator)
    await running.setup()
    await web.TCPSite(running, arguments.host, arguments.port).start()
    host, port = running.addresses[0][:2]
    print(f"openrouter simulator on http://{host}:{port}{API}", flush=True)
    await stopped.wait()
    await running.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(parse_arguments()))
