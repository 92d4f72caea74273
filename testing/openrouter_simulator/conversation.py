"""One reading of a request for both wires: who said what, what it weighs, what it asks for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from testing.openrouter_simulator.exact_json import Json, JsonValue, encode
from testing.openrouter_simulator.web_search import Search, search_of

Role = Literal["system", "user", "assistant", "tool"]

SYSTEM_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True)
class Line:
    role: Role
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.parts)


@dataclass
class Conversation:
    """The canonical text is tools first, then the messages in order: the order in which prompts are cached."""

    lines: list[Line] = field(default_factory=list)
    canonical: str = ""
    images: int = 0
    files: int = 0
    ttls: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    calls: int = 0
    answer_schema: Json | None = None
    search: Search | None = None
    stops: tuple[str, ...] = ()

    @property
    def breakpoints(self) -> int:
        return len(self.ttls)

    def mark(self, part: Json) -> None:
        """Takes note of a breakpoint, in the order in which prompts are cached."""
        if part.get("cache_control"):
            self.ttls.append(part["cache_control"].get("ttl") or "5m")

    @property
    def last_user_text(self) -> str:
        parts = [part for line in self.lines if line.role == "user" for part in line.parts if part.strip()]
        return parts[-1] if parts else ""

    @property
    def last_tool_result(self) -> str:
        results = [line.text for line in self.lines if line.role == "tool"]
        return results[-1] if results else ""


def chat_conversation(body: Json) -> Conversation:
    conversation = Conversation()
    conversation.answer_schema = chat_schema(body)
    conversation.search = search_of(body)
    stop = body.get("stop") or ()
    conversation.stops = (stop,) if isinstance(stop, str) else tuple(stop)
    read_all(conversation, body, read_chat_message)
    return conversation


def read_all(conversation: Conversation, body: Json, read: Callable[[Conversation, Json], str]) -> None:
    """Tools, system and messages, with a digest of all that is before each message but the tools."""
    for tool in body.get("tools") or []:
        conversation.mark(tool)
    pieces, digest = [canonical_tools(body)], sha256()
    if body.get("system"):
        parts = tuple(read_parts(conversation, body["system"]))
        conversation.lines.append(Line("system", parts))
        pieces.append("\n".join(["<system>", *parts]))
        digest.update(pieces[-1].encode())
    for message in body["messages"]:
        conversation.prefixes.append(digest.hexdigest())
        pieces.append(read(conversation, message))
        digest.update(pieces[-1].encode())
    conversation.prefixes.append(digest.hexdigest())
    conversation.mark(body)
    conversation.canonical = "\n".join(pieces)


def read_chat_message(conversation: Conversation, message: Json) -> str:
    role = message["role"]
    parts = tuple(read_parts(conversation, message.get("content")))
    said: Role = "system" if role in SYSTEM_ROLES else role
    conversation.lines.append(Line(said, parts))
    calls = [call["function"] for call in message.get("tool_calls") or []]
    conversation.calls += len(calls)
    spoken = [f"{call['name']}({call['arguments']})" for call in calls]
    return "\n".join([f"<{role}>", *parts, *spoken])


def messages_conversation(body: Json) -> Conversation:
    conversation = Conversation()
    conversation.answer_schema = messages_schema(body)
    conversation.search = search_of(body)
    conversation.stops = tuple(body.get("stop_sequences") or ())
    read_all(conversation, body, read_anthropic_message)
    return conversation


def read_anthropic_message(conversation: Conversation, message: Json) -> str:
    content, pieces = message["content"], [f"<{message['role']}>"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        if block["type"] == "tool_result":
            result = tuple(read_parts(conversation, block.get("content")))
            conversation.lines.append(Line("tool", result))
            conversation.mark(block)
            pieces.extend(result)
    parts = tuple(read_parts(conversation, [block for block in blocks if block["type"] != "tool_result"]))
    if parts or message["role"] == "assistant":
        conversation.lines.append(Line(message["role"], parts))
    conversation.calls += sum(block["type"] == "tool_use" for block in blocks)
    return "\n".join([*pieces, *parts])


def read_parts(conversation: Conversation, content: JsonValue) -> Iterator[str]:
    """The texts of a content, while images, files and breakpoints are counted on the way."""
    if isinstance(content, str):
        yield content
        return
    for part in content or []:
        conversation.mark(part)
        kind = part["type"]
        if kind == "text":
            yield part["text"]
        elif kind in ("image", "image_url"):
            conversation.images += 1
        elif kind in ("document", "file"):
            conversation.files += 1
        elif kind == "tool_use":
            yield f"{part['name']}({encode(part['input']).decode()})"


def canonical_tools(body: Json) -> str:
    tools = body.get("tools")
    return encode(tools).decode() if tools else ""


def chat_schema(body: Json) -> Json | None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return {"type": "object"} if wanted.get("type") == "json_object" else None
    schema: Json = wanted["json_schema"]["schema"]
    return schema


def messages_schema(body: Json) -> Json | None:
    wanted = (body.get("output_config") or {}).get("format") or {}
    schema: Json | None = wanted.get("schema") if wanted.get("type") == "json_schema" else None
    return schema


def sample(schema: JsonValue, name: str = "value") -> JsonValue:
    """The plainest document that satisfies a schema; a schema of true is satisfied by anything."""
    if not isinstance(schema, dict):
        return f"Simulated {name}"
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return sample(schema[choice][0], name)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return sample_of_type(kind[0] if isinstance(kind, list) and kind else kind, schema, name)


def sample_of_type(kind: str, schema: Json, name: str) -> JsonValue:
    match kind:
        case "object":
            return {key: sample(inner, key) for key, inner in (schema.get("properties") or {}).items()}
        case "array":
            return [sample(schema.get("items") or {}, name) for _ in range(max(1, schema.get("minItems", 1)))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return f"Simulated {name}"
