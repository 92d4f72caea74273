"""A log line loses whatever looks like a key, wherever in the record it stands, in both formats."""

import io
import logging

import orjson
import pytest

from accounts.keys import new_key
from accounts.redaction import redact
from bridge_project.logging import ConsoleFormatter, JsonFormatter, RedactSecrets

KEY = new_key().text
SECRETS = [
    KEY,
    "sk-or-v1-0123456789abcdef",
    "sk-ant-api03-abcdef_ghi-jkl",
    "gsk_0123456789abcdef",
    "xai-0123456789abcdef",
    "AIzaSyA-0123456789abcdefghijklmnopqrstu",
]


def logged(formatter: logging.Formatter, **told: object) -> str:
    """What a handler set up as the server's writes for one record."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(RedactSecrets())
    handler.handle(logging.makeLogRecord({"levelname": "INFO", "levelno": 20, "name": "bridge", **told}))
    return stream.getvalue()


@pytest.mark.parametrize("formatter", [ConsoleFormatter, JsonFormatter])
@pytest.mark.parametrize("secret", SECRETS, ids=["personal", "openrouter", "anthropic", "groq", "xai", "google"])
def test_a_key_is_taken_out_of_the_message_its_arguments_and_extras(
    formatter: type[logging.Formatter], secret: str
) -> None:
    for told in ({"msg": f"key {secret}"}, {"msg": "key %s", "args": (secret,)}, {"msg": "x", "member": secret}):
        line = logged(formatter(), **told)
        assert secret not in line
        assert line.count("\n") == 1


@pytest.mark.parametrize("formatter", [ConsoleFormatter, JsonFormatter])
def test_a_key_is_taken_out_of_a_traceback(formatter: type[logging.Formatter]) -> None:
    try:
        raise ValueError(f"refused {KEY}")
    except ValueError as error:
        line = logged(formatter(), msg="failed", exc_info=(type(error), error, error.__traceback__))
    assert "ValueError" in line
    assert KEY not in line


class Asked:
    """Stands for what Django adds to a line: an object that shows its address."""

    def __repr__(self) -> str:
        return f"<ASGIRequest: GET '/{KEY}'>"


@pytest.mark.parametrize("extra", [Asked(), {"path": KEY}, [KEY]], ids=["object", "mapping", "list"])
def test_a_key_is_taken_out_of_what_is_no_text(extra: object) -> None:
    line = logged(JsonFormatter(), msg="Not Found", request=extra, status_code=404)
    assert KEY not in line
    assert orjson.loads(line)["status_code"] == 404


def test_bearer_tokens_and_passwords_in_addresses_go_too() -> None:
    told = redact("Authorization: Bearer abcdefghijkl to postgresql://user:pass@db/x")
    assert told == "Authorization: Bearer [redacted] to postgresql://[redacted]@db/x"


def test_what_is_announced_as_a_secret_goes() -> None:
    assert redact("GET /?api_key=abcdefghijkl&a=1") == "GET /?api_key=[redacted]&a=1"
    assert redact("x-api-key: abcdefghijkl") == "x-api-key:[redacted]"
    assert redact("Authorization: Basic dXNlcjpwYXNz") == "Authorization: Basic [redacted]"


def test_ordinary_words_stay() -> None:
    for text in ("claude-sonnet-5 -> openai/gpt-5 (team acme) 200", "https://openrouter.ai/settings/credits", "sk-8"):
        assert redact(text) == text


def test_json_lines_are_json() -> None:
    line = orjson.loads(logged(JsonFormatter(), msg="a %d", args=(1,), team="acme"))
    assert (line["message"], line["levelname"], line["team"]) == ("a 1", "INFO", "acme")
