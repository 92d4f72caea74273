"""The round trip of reasoning on both wires: unmodified, whole, in order, to the family that issued it. wire.md 2.3."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from testing.openrouter_simulator.exact_json import Json, JsonValue
from testing.openrouter_simulator.issued import Given, Issued, Key, call_key, thought_key
from testing.openrouter_simulator.messages import FOREIGN_REASONING_PREFIX
from testing.openrouter_simulator.models import Model
from testing.openrouter_simulator.refusals import Refusal, bad_request, provider_refusal
from testing.openrouter_simulator.signatures import (
    GEMINI_HEAD,
    ID_PREFIX,
    OPENAI_HEAD,
    claude_redaction_holds,
    claude_signature_holds,
    encrypted_holds,
    issued_with_reasoning,
)

CLAUDE_FORMAT = "anthropic-claude-v1"
FORMATS: dict[str, frozenset[str]] = {
    "anthropic": frozenset({CLAUDE_FORMAT}),
    "openai": frozenset({"openai-responses-v1", "azure-openai-responses-v1", "bedrock-openai-responses-v1"}),
    "google": frozenset({"google-gemini-v1"}),
    "x-ai": frozenset({"xai-responses-v1", "bedrock-xai-responses-v1"}),
    "meta-llama": frozenset({"meta-responses-v1"}),
}
OTHER_FORMATS = frozenset({"unknown"})
SHAPE = {"openai": "openai", "x-ai": "xai", "meta-llama": "meta"}
THINKING_BLOCKS = ("thinking", "redacted_thinking")

# wire.md 2.3
MISSING_THOUGHT_SIGNATURE = (
    "Gemini models require OpenRouter reasoning details to be preserved in each request. Please refer to our docs: "
    "https://openrouter.ai/docs/guides/best-practices/reasoning-tokens#preserving-reasoning. "
    "Upstream error: Function call is missing a thought_signature in functionCall parts."
)
# The next six are known provider behaviour, in the providers' own words.
MISSING_THINKING = (
    "messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When "
    "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost "
    "set of `tool_use` and `tool_result` blocks)."
)
UNWANTED_THINKING = (
    "messages.{place}.content.0: When thinking is disabled, an `assistant` message in the final position cannot "
    "contain `thinking`. To use thinking blocks, enable `thinking` in your request."
)
MISSING_ITEM = "Item '{id}' of type 'function_call' was provided without its required 'reasoning' item."
MISSING_REASONING: dict[str, str] = {
    "openai": MISSING_ITEM,
    "x-ai": MISSING_ITEM,
    "deepseek": "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "moonshotai": (
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index {place}"
    ),
}
CHANGED_THINKING = (
    "{path}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These "
    "blocks must remain as they were in the original response."
)
CHANGED_ITEM = "Item '{id}' of type 'reasoning' was provided without its required following item."
CHANGED_DETAILS = (
    "{path}: reasoning_details must be passed back unmodified, as the whole sequence and in the order in which the "
    "model gave them"
)


@dataclass(frozen=True)
class Thought:
    path: str
    detail: Json


@dataclass
class Said:
    """The reasoning and the calls of one assistant message, read from either wire."""

    place: int
    first: str = ""
    thoughts: list[Thought] = field(default_factory=list)
    call_ids: list[str] = field(default_factory=list)
    order: list[Key] = field(default_factory=list)
    plain: str = ""
    is_in_loop: bool = False
    #: Texts of thoughts without a signature: whether they are this model's is known by what it was given only.
    unsigned: list[str] = field(default_factory=list)

    def think(self, path: str, detail: Json) -> None:
        self.thoughts.append(Thought(path, detail))
        self.order.append(thought_key(detail))

    def call(self, call_id: str) -> None:
        self.call_ids.append(call_id)
        self.order.append(call_key(call_id))


# reading


def chat_said(body: Json) -> Iterator[Said]:
    """A user's message behind a tool's holds what that could not."""
    messages = body["messages"]
    roles = ["tool", *(message["role"] for message in messages)]
    asked = [place for place in range(len(messages)) if roles[place + 1] == "user" and roles[place] != "tool"]
    for place, message in enumerate(messages):
        if message["role"] == "assistant":
            said = chat_message_said(message, place)
            said.is_in_loop = place > max(asked, default=0)
            yield said


def chat_message_said(message: Json, place: int) -> Said:
    """Where a thought stood among the calls cannot be seen here, so calls take no part in the order."""
    said = Said(place, plain=message.get("reasoning") or message.get("reasoning_content") or "")
    for position, detail in enumerate(message.get("reasoning_details") or []):
        said.think(f"messages.{place}.content.{position}", detail)
    said.call_ids = [call["id"] for call in message.get("tool_calls") or []]
    kinds = ["thinking"] * len(said.thoughts) + ["text"] * bool(message.get("content")) + ["tool_use"]
    said.first = kinds[0]
    return said


def messages_said(body: Json, model: Model) -> Iterator[Said]:
    messages = body["messages"]
    asked = [place for place, message in enumerate(messages) if message["role"] == "user" and not has_results(message)]
    for place, message in enumerate(messages):
        if message["role"] == "assistant" and isinstance(message["content"], list):
            said = blocks_said(message["content"], place, model)
            said.is_in_loop = place > max(asked, default=0)
            yield said


def has_results(message: Json) -> bool:
    blocks = message["content"] if isinstance(message["content"], list) else []
    return any(block["type"] == "tool_result" for block in blocks)


def blocks_said(blocks: list[Json], place: int, model: Model) -> Said:
    said = Said(place, first=blocks[0]["type"] if blocks else "")
    for position, block in enumerate(blocks):
        path = f"messages.{place}.content.{position}"
        if block["type"] == "thinking" and is_unsigned(block, model):
            said.unsigned.append(block["thinking"])
        for detail in block_details(block, path, model) if block["type"] in THINKING_BLOCKS else ():
            said.think(path, detail)
        if block["type"] == "tool_use":
            said.call(block["id"])
    return said


def block_details(block: Json, path: str, model: Model) -> list[Json]:
    """A block as details. Reasoning of another family inside OpenRouter's own token is left out by OpenRouter."""
    if block["type"] == "thinking":
        return [] if is_unsigned(block, model) else [claude_text(block["thinking"], block["signature"])]
    data = block["data"]
    if not data.startswith(FOREIGN_REASONING_PREFIX):
        return [{"type": "reasoning.encrypted", "data": data, "format": CLAUDE_FORMAT}]
    carried = carried_detail(data)
    if carried is None:
        raise provider_refusal(model, f"{path}: Invalid `data` in `redacted_thinking` block")
    return [carried] if issued_format(carried) in formats_of(model) else []


def is_unsigned(block: Json, model: Model) -> bool:
    return model.family != "anthropic" and not block["signature"]


def claude_text(text: str, signature: str) -> Json:
    return {"type": "reasoning.text", "text": text, "signature": signature, "format": CLAUDE_FORMAT}


def carried_detail(data: str) -> Json | None:
    """wire.md 2.3: reasoning of other families inside redacted_thinking."""
    try:
        detail = orjson.loads(base64.b64decode(data.removeprefix(FOREIGN_REASONING_PREFIX), validate=True))
    except ValueError:
        return None
    return detail if isinstance(detail, dict) and "type" in detail else None


def formats_of(model: Model) -> frozenset[str]:
    return FORMATS.get(model.family, OTHER_FORMATS)


def issued_format(detail: Json) -> str:
    return detail.get("format") or "unknown"


# judging


def check_reasoning(said: list[Said], model: Model, issued: Issued, is_thinking: bool, is_off: bool) -> None:
    """wire.md 2.3: sent back unmodified, whole and in order, to the family that issued it."""
    for each in said:
        for thought in each.thoughts:
            check_origin(thought, model, issued)
            check_seal(thought, model)
        check_sequence(each, model, issued)
        check_order(each, model, issued)
        check_plain(each, model, issued)
        check_signed_calls(each, model)
    if said:
        check_last(said[-1], model, issued, is_thinking)
    if said and said[-1].call_ids and model.family == "anthropic" and not model.adaptive:
        check_loop([each for each in said if each.is_in_loop], model, is_thinking, is_off)


def check_origin(thought: Thought, model: Model, issued: Issued) -> None:
    """wire.md 2.3: a format belongs to one family; `unknown` has no seal, so only what was given is known."""
    named = issued_format(thought.detail)
    is_ours = named in formats_of(model)
    if is_ours and formats_of(model) == OTHER_FORMATS:
        is_ours = bool(issued.of(model.family, thought_key(thought.detail)))
    if not is_ours:
        sentence = f"{thought.path}: reasoning of format '{named}' was not issued by {model.provider}"
        raise provider_refusal(model, f"{sentence} as it is, and cannot be sent to it")


def check_seal(thought: Thought, model: Model) -> None:
    """wire.md 2.3: Invalid `signature` in `thinking` block; the other families' words are known behaviour."""
    sentence = broken_seal(thought.detail, model, thought.path)
    if sentence is not None:
        raise provider_refusal(model, sentence)


def broken_seal(detail: Json, model: Model, path: str) -> str | None:
    """The provider's sentence about reasoning that is not as it was issued."""
    is_encrypted, bound_to = detail["type"] == "reasoning.encrypted", detail.get("id") or ""
    match model.family:
        case "anthropic":
            return broken_thinking(detail, path)
        case "openai" | "x-ai" | "meta-llama" if is_encrypted:
            if not encrypted_holds(detail.get("data") or "", OPENAI_HEAD, SHAPE[model.family], bound_to):
                return f"The encrypted content for item {detail.get('id')} could not be verified."
        case "google" if is_encrypted:
            if not encrypted_holds(detail.get("data") or "", GEMINI_HEAD, "gemini", bound_to):
                return "Corrupted thought signature."
    return None


def broken_thinking(detail: Json, path: str) -> str | None:
    if detail["type"] == "reasoning.encrypted":
        is_whole = claude_redaction_holds(detail.get("data") or "")
        return None if is_whole else f"{path}: Invalid `data` in `redacted_thinking` block"
    if detail.get("signature") is None:
        return f"{path}.thinking.signature: Field required"
    if not claude_signature_holds(detail.get("text") or "", detail["signature"]):
        return f"{path}: Invalid `signature` in `thinking` block"
    return None


def check_sequence(said: Said, model: Model, issued: Issued) -> None:
    """wire.md 2.3: the whole consecutive sequence, in the same order."""
    keys = [thought_key(thought.detail) for thought in said.thoughts]
    place = 0
    while place < len(keys):
        answers = issued.of(model.family, keys[place])
        fitting = [each for each in answers if tuple(keys[place : place + len(each.thoughts)]) == each.thoughts]
        if answers and not fitting:
            raise changed(said, place, model)
        place += max((len(each.thoughts) for each in fitting), default=1)


def changed(said: Said, place: int, model: Model) -> Refusal:
    path = said.thoughts[place].path
    match model.family:
        case "anthropic":
            return provider_refusal(model, CHANGED_THINKING.format(path=path))
        case "openai" | "x-ai" | "meta-llama":
            items = (thought.detail.get("id") for thought in said.thoughts)
            return provider_refusal(model, CHANGED_ITEM.format(id=next(filter(None, items), None)))
        case _:
            return bad_request(CHANGED_DETAILS.format(path=path))


def check_order(said: Said, model: Model, issued: Issued) -> None:
    """wire.md 2.3: a thought stays before the calls it led to; only /messages shows where it stood."""
    for place, thought in enumerate(said.thoughts):
        answers = issued.of(model.family, thought_key(thought.detail))
        if answers and not any(stands_in_order(said.order, each) for each in answers):
            raise changed(said, place, model)


def stands_in_order(order: list[Key], given: Given) -> bool:
    places = [given.order.index(key) for key in order if key in given.order]
    return places == sorted(places)


def check_plain(said: Said, model: Model, issued: Issued) -> None:
    """wire.md 2.1, assistant: reasoning without details is given back to the family that gave it so."""
    if said.plain and not said.thoughts and (model.family, said.plain) not in issued.plain:
        raise provider_refusal(
            model, f"messages.{said.place}.reasoning: was not issued by {model.provider} as it is, without its details"
        )


def check_signed_calls(said: Said, model: Model) -> None:
    """wire.md 2.3: Gemini misses the signature of each call it had signed."""
    if model.family != "google":
        return
    kept = {thought.detail.get("id") for thought in said.thoughts if thought.detail["type"] == "reasoning.encrypted"}
    for call_id in said.call_ids:
        if issued_with_reasoning(call_id, "google") and call_id not in kept:
            raise provider_refusal(model, MISSING_THOUGHT_SIGNATURE)


def check_last(said: Said, model: Model, issued: Issued, is_thinking: bool) -> None:
    """wire.md 2.3 and known provider behaviour: the last calls stand behind the reasoning that led to them."""
    sentence = MISSING_REASONING.get(model.family)
    needed = is_thinking or model.family in SHAPE
    lost = lost_calls(said, model, issued)
    if sentence is not None and needed and lost:
        raise provider_refusal(model, sentence.format(place=said.place, id=lost[0]))


def check_loop(loop: list[Said], model: Model, is_thinking: bool, is_off: bool) -> None:
    """wire.md 2.3 and known provider behaviour: the answers of a tool loop are one, all thought out or none.

    Seen in tailcallhq/forgecode issue 1853: `messages.1` is the first answer of a loop of a hundred thousand tokens.
    Claude begins no thought within a loop where its thinking is not interleaved, so behind the first answer only calls
    of others are taken for ones without their thought.
    """
    for place, said in enumerate(loop):
        is_thought_out = said.first in THINKING_BLOCKS
        is_own = all(call_id.startswith(ID_PREFIX["anthropic"]) for call_id in said.call_ids)
        if is_thinking and not is_thought_out and (place == 0 or not is_own):
            raise provider_refusal(model, MISSING_THINKING.format(place=said.place, found=said.first))
        if is_off and is_thought_out:
            raise provider_refusal(model, UNWANTED_THINKING.format(place=said.place))


def lost_calls(said: Said, model: Model, issued: Issued) -> list[str]:
    """The calls of a message that were given with reasoning, where none came back."""
    if said.thoughts or is_plain_back(said, model, issued):
        return []
    return [call_id for call_id in said.call_ids if was_reasoned(call_id, model, issued)]


def is_plain_back(said: Said, model: Model, issued: Issued) -> bool:
    """Whether thoughts without details came back: on one wire as a text, on the other in blocks without a signature."""
    return bool(said.plain) or any((model.family, text) in issued.texts for text in said.unsigned)


def was_reasoned(call_id: str, model: Model, issued: Issued) -> bool:
    if issued_with_reasoning(call_id, model.family):
        return True
    # Kimi counts its calls by message, so its ids tell nothing by themselves.
    return model.family == "moonshotai" and bool(issued.of(model.family, call_key(call_id)))


def summary_of(said: list[Said], model: Model, issued: Issued, prefixes: list[str]) -> Json:
    """For the control plane: thoughts that came back, calls without theirs, messages behind a changed conversation.

    wire.md 2.3: Claude of 2026 binds thinking to the conversation before it. What it does where that has changed is
    the client's to choose (1.3, block_binding), so this is told rather than refused.
    """
    lost: list[JsonValue] = [call_id for each in said for call_id in lost_calls(each, model, issued)]
    plain = sum(not each.thoughts and is_plain_back(each, model, issued) for each in said)
    moved = [each.place for each in said if has_moved(each, issued, prefixes[each.place])]
    return {"returned": plain + sum(len(each.thoughts) for each in said), "lost_calls": lost, "moved": moved}


def has_moved(said: Said, issued: Issued, prefix: str) -> bool:
    known = [issued.prefixes.get(thought_key(thought.detail)) for thought in said.thoughts]
    return any(places is not None and prefix not in places for places in known)
