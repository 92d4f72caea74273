"""What a client gives as examples of a tool's input reaches the model in the tool's description, whatever it holds."""

import json
from typing import Any

import orjson
import pytest

from messages_api.services.translation.tools import translate_tools

DEEP: dict[str, Any] = {}
for _ in range(300):
    DEEP = {"inside": DEEP}


@pytest.mark.parametrize(
    "example",
    [{"path": "a.txt"}, {"words": "grüße\n"}, {"number": 2**70}, {"number": 0.1}, DEEP],
    ids=["plain", "unicode", "more than 64 bits", "fraction", "deep"],
)
def test_an_example(example: dict[str, Any]) -> None:
    tool = {"name": "Read", "description": "Reads.", "input_schema": {"type": "object"}, "input_examples": [example]}
    (sent,) = orjson.loads(translate_tools(json.dumps([tool]).encode(), "openai").functions)
    told = sent["function"]["description"].removeprefix("Reads.\n\nExamples of its input: ")
    assert json.loads(told) == [example]
