"""Owns what a log line looks like, and that no secret is ever in one."""

import logging
import sys
from typing import Any

from colorlog import ColoredFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from accounts.redaction import redact

#: A line break in a path or a model's name must not look like a line of ours.
VISIBLE = {code: repr(chr(code))[1:-1] for code in (*range(32), 127, 0x85, 0x2028, 0x2029)}


class RedactSecrets(logging.Filter):
    """Replaces whatever looks like a key in the message, its arguments, its extras and its traceback."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({})))

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage().translate(VISIBLE)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        record.exc_info = None
        for name, value in vars(record).items():
            if name not in self._STANDARD and value is not None and not isinstance(value, bool | int | float):
                setattr(record, name, redact(str(value)))  # Django adds its request, whose path somebody has chosen
        return True


class ConsoleFormatter(ColoredFormatter):
    """One coloured line for a person; plain where the output is not a terminal."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(log_color)s%(levelname)-7s%(reset)s %(message)s",
            datefmt="%H:%M:%S",
            log_colors={"INFO": "green", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold_red"},
            stream=sys.stderr,
        )


class JsonFormatter(OrjsonFormatter):
    """One JSON object a line, for a log collector."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields={"asctime": "time"})

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in log_data.items() if value is not None}
