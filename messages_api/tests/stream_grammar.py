"""Owns the grammar of a Messages stream (wire.md 1.7), checked over every stream in the suite, and a reader for it."""

import json
import re
from collections.abc import Collection, Iterable
from typing import Any

Event = dict[str, Any]

DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "redacted_thinking": set[str](),
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
    "web_search_tool_result": set[str](),
}
DELTA_TEXT = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
STOP_REASONS = {
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
}
#: Reasons that may end an answer in the middle of a call's arguments.
CUTTING = {"max_tokens", "refusal", "model_context_window_exceeded"}
TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")


def events_of(data: bytes) -> list[Event]:
    """The events in the bytes of a whole stream, each one framed by its own name as the client's SDK demands."""
    assert not data or data.endswith(b"\n\n"), "the stream does not end with an empty line"
    events = []
    for frame in data.decode().split("\n\n")[:-1]:
        lines = [line for line in frame.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        assert len(lines) == 2, f"not one event and one data line: {frame!r}"
        name, payload = lines
        assert name.startswith("event: "), f"the name does not come first: {frame!r}"
        assert payload.startswith("data: "), f"no data: {frame!r}"
        event = json.loads(payload.removeprefix("data: "))
        assert event["type"] == name.removeprefix("event: "), f"the name is not the type: {frame!r}"
        events.append(event)
    return events


def check_grammar(events: Iterable[Event], cutting: Collection[str] = CUTTING) -> None:
    """Raises AssertionError, with the reason, for events that are not one well-formed answer.

    `cutting` are the reasons that may end it in the middle of a call's arguments.
    """
    grammar = _Grammar(cutting)
    for position, event in enumerate(events):
        assert isinstance(event.get("type"), str), f"event {position} has no type: {event}"
        grammar.take(event)
    grammar.end()


def check_beginning(events: Iterable[Event]) -> None:
    """The same for the beginning of an answer, which its reader has left."""
    grammar = _Grammar(CUTTING)
    for event in events:
        grammar.take(event)


class _Grammar:
    """What has been seen of a stream so far."""

    def __init__(self, cutting: Collection[str]) -> None:
        self.cutting = cutting
        self.state = "nothing"  # then: answering, judged, ended, failed
        self.blocks: list[Event] = []
        self.is_open = False
        self.is_sealed = False
        self.arguments = ""
        self.cut_arguments: list[str] = []
        self.stop_reason = ""

    def take(self, event: Event) -> None:
        kind = event["type"]
        assert self.state not in {"ended", "failed"}, f"{kind} after the end"
        if kind == "error":
            self.error(event)
            return
        if kind == "message_start":
            self.message_start(event)
            return
        assert self.state != "nothing", f"{kind} before message_start"
        if kind == "ping":
            return
        if kind == "message_stop":
            self.message_stop()
            return
        assert self.state == "answering", f"{kind} after message_delta"
        match kind:
            case "content_block_start":
                self.block_start(event)
            case "content_block_delta":
                self.block_delta(event)
            case "content_block_stop":
                self.block_stop(event)
            case "message_delta":
                self.message_delta(event)
            case _:
                raise AssertionError(f"an event of unknown type: {kind}")

    def end(self) -> None:
        assert self.state in {"ended", "failed"}, "neither message_stop nor an error ends the stream"

    def error(self, event: Event) -> None:
        told = event.get("error")
        assert isinstance(told, dict), f"an error without words: {event}"
        assert told.get("type"), f"an error without a type: {event}"
        assert told.get("message"), f"an error without a message: {event}"
        self.state = "failed"

    def message_start(self, event: Event) -> None:
        assert self.state == "nothing", "a second message_start"
        message = event["message"]
        assert (message["type"], message["role"]) == ("message", "assistant"), f"not an assistant's message: {message}"
        assert message["id"], "message_start without an id"
        assert message["model"], "message_start without a model"
        assert message["content"] == [], "message_start with content"
        assert message["stop_reason"] is None, "message_start with a stop_reason"
        _check_count(message["usage"], "input_tokens")
        _check_count(message["usage"], "output_tokens")
        self.state = "answering"

    def block_start(self, event: Event) -> None:
        block, index = event["content_block"], event["index"]
        assert not self.is_open, f"block {index} starts before the one before it has stopped"
        assert index == len(self.blocks), f"block {index} starts where {len(self.blocks)} comes next"
        assert block["type"] in DELTAS, f"a block of unknown type: {block}"
        if block["type"] == "thinking":
            assert (block["thinking"], block["signature"]) == ("", ""), f"a thinking block that starts full: {block}"
        if block["type"] == "text":
            assert block["text"] == "", f"a text block that starts full: {block}"
        if block["type"] in {"tool_use", "server_tool_use"}:
            self.call_start(block)
        if block["type"] == "web_search_tool_result":
            calls = [other["id"] for other in self.blocks if other["type"] == "server_tool_use"]
            assert block["tool_use_id"] in calls, f"the result of a search that nobody made: {block}"
        self.blocks.append(block)
        self.is_open, self.is_sealed, self.arguments = True, False, ""

    def call_start(self, block: Event) -> None:
        assert isinstance(block["id"], str), f"a call whose id is no string: {block}"
        assert TOOL_ID.fullmatch(block["id"]), f"a call whose id the client refuses: {block}"
        assert block["id"] not in {other.get("id") for other in self.blocks}, f"two calls with one id: {block}"
        assert isinstance(block["name"], str), f"a call whose name is no string: {block}"
        assert block["name"], f"a call without a name: {block}"
        assert block["input"] == {}, f"a call that starts with its input, which belongs into deltas: {block}"

    def block_delta(self, event: Event) -> None:
        delta, index = event["delta"], event["index"]
        assert self.is_open, f"a delta for block {index}, and none is open"
        assert index == len(self.blocks) - 1, f"a delta for block {index} while {len(self.blocks) - 1} is open"
        kind = self.blocks[-1]["type"]
        assert delta["type"] in DELTAS[kind], f"{delta['type']} in a {kind} block"
        assert not self.is_sealed, "a delta after the signature of its block"
        if delta["type"] == "citations_delta":
            assert delta["citation"]["type"], f"a citation without a type: {delta}"
            assert isinstance(delta["citation"]["cited_text"], str), f"a citation that cites no text: {delta}"
        if delta["type"] in DELTA_TEXT:
            assert isinstance(delta[DELTA_TEXT[delta["type"]]], str), f"a delta that is no text: {delta}"
        self.is_sealed = delta["type"] == "signature_delta"
        self.arguments += delta.get("partial_json", "")

    def block_stop(self, event: Event) -> None:
        assert self.is_open, f"block {event['index']} stops, and none is open"
        assert event["index"] == len(self.blocks) - 1, f"block {event['index']} stops while another is open"
        if self.blocks[-1]["type"] in {"tool_use", "server_tool_use"} and not _is_object(self.arguments):
            self.cut_arguments.append(self.arguments)
        self.is_open = False

    def message_delta(self, event: Event) -> None:
        assert not self.is_open, "message_delta while a block is open"
        delta = event["delta"]
        assert self.blocks or delta["stop_reason"] == "refusal", "an answer without any content"
        assert delta["stop_reason"] in STOP_REASONS, f"no such stop_reason: {delta}"
        assert "stop_sequence" in delta, "message_delta without a stop_sequence"
        assert delta["stop_sequence"] is None or delta["stop_reason"] == "stop_sequence", f"not why it ended: {delta}"
        assert not delta.get("stop_details") or delta["stop_reason"] == "refusal", f"details of no refusal: {delta}"
        _check_count(event["usage"], "output_tokens")
        has_call = any(block["type"] == "tool_use" for block in self.blocks)
        assert has_call or delta["stop_reason"] != "tool_use", "tool_use without a tool call"
        assert not has_call or delta["stop_reason"] != "end_turn", "end_turn with a tool call"
        assert not self.cut_arguments or delta["stop_reason"] in self.cutting, f"no object: {self.cut_arguments}"
        self.state = "judged"

    def message_stop(self) -> None:
        assert self.state == "judged", "message_stop without message_delta"
        self.state = "ended"


def message_added_up(events: Iterable[Event]) -> Event:
    """The message that a client adds up from a whole stream, as the official SDK does (wire.md 1.7)."""
    message: Event = {}
    arguments: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = {**event["message"], "content": []}
            case "content_block_start":
                message["content"].append({**event["content_block"]})
            case "content_block_delta":
                _add(message["content"][event["index"]], event["delta"], arguments, event["index"])
            case "message_delta":
                message |= event["delta"]
                message["usage"] = {**message["usage"], **event["usage"]}
    for index, text in arguments.items():
        message["content"][index]["input"] = json.loads(text) if _is_object(text) else {}
    return message


def _add(block: Event, delta: Event, arguments: dict[int, str], index: int) -> None:
    match delta["type"]:
        case "input_json_delta":
            arguments[index] = arguments.get(index, "") + delta["partial_json"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        case "text_delta" | "thinking_delta":
            name = DELTA_TEXT[delta["type"]]
            block[name] += delta[name]


def _check_count(usage: Event, name: str) -> None:
    count = usage.get(name)
    assert isinstance(count, int), f"usage whose {name} is no number: {usage}"
    assert count >= 0, f"usage whose {name} is negative: {usage}"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
