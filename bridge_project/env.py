"""Owns how a setting is read: from the environment, from `.env`, or from the file `NAME_FILE` names."""

import contextlib
import os
import secrets
import sys
from pathlib import Path
from typing import NoReturn

from environs import EnvValidationError, FileAwareEnv


class Environment(FileAwareEnv):
    """The environment. Bad values are collected while reading; `seal` stops the start, naming each."""

    def __init__(self, dotenv: Path) -> None:
        super().__init__(eager=False, strip_whitespace=True)
        if dotenv.exists():
            self.read_env(str(dotenv), recurse=False)

    def _get_value(self, env_key: str, default: object) -> object:
        """environs raises outside of its own collecting for a file that NAME_FILE names and that cannot be read."""
        try:
            return super()._get_value(env_key, default)
        except ValueError:
            stop(f"{env_key}_FILE: not a readable file")

    def seal(self) -> None:
        try:
            super().seal()
        except EnvValidationError as error:
            named = error.error_messages
            assert isinstance(named, dict)  # noqa: S101  # environs gives a mapping when it has collected
            stop("; ".join(f"{name}: {' '.join(why)}" for name, why in named.items()))


def stop(reason: str) -> NoReturn:
    """End the process with one line that names the setting: a traceback would bury it."""
    sys.exit(f"Cannot start. {reason}")


def kept_secret(path: Path, new_secret: str = "") -> str:
    """The secret of a development install: made on first use, then kept in a file only its owner can read."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_name(f"{path.name}.{os.getpid()}")
        whole.touch(mode=0o600)
        whole.write_text(new_secret or secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):  # two processes start at once: the first one's counts
            os.link(whole, path)
        whole.unlink()
    return path.read_text().strip()
