"""Owns the round trip of reasoning: what a model returned leaves as thinking blocks and comes back unmodified.

Providers refuse altered, reordered or missing reasoning, and the server keeps no memory. So what a thinking block
cannot say travels in its `signature` (a token of ours around the detail without its text), and what has no text
travels whole in `redacted_thinking.data`. Claude's own text signatures and redacted data go through as they are, so
a conversation can move between this path and Claude itself. OpenRouter's own Messages endpoint does likewise, under
a prefix of its own; a conversation that was relayed to it earlier brings such blocks along, and they are opened here.
"""

import base64
from collections.abc import Iterable
from typing import Any

import orjson

from messages_api.schemas import AssistantBlock, RedactedThinkingBlock, ThinkingBlock
from messages_api.services.translation.chat import AnswerError, Delta, ReasoningDetail, thoughts_of_content

SEAL = "bridge.reasoning:"
OPENROUTER_SEAL = "openrouter.reasoning:"
CLAUDE_FORMAT = "anthropic-claude-v1"
CLAUDE_FAMILY = "anthropic"
#: Whose the details of a format are (wire.md 2.3); a detail of any other is given back to nobody.
FORMAT_FAMILY = {
    CLAUDE_FORMAT: CLAUDE_FAMILY,
    "azure-openai-responses-v1": "openai",
    "bedrock-openai-responses-v1": "openai",
    "bedrock-xai-responses-v1": "x-ai",
    "google-gemini-v1": "google",
    "meta-responses-v1": "meta-llama",
    "openai-responses-v1": "openai",
    "xai-responses-v1": "x-ai",
}

#: Where the readable text of a detail is, by its type. Types that are not here have none.
TEXT_FIELD = {"reasoning.text": "text", "reasoning.summary": "summary"}
#: A model's plain `reasoning` string, for which there is no detail. Only our tokens have this type.
PLAIN = "reasoning"
#: Blocks of a model other than Claude that were relayed, under our seal only so that it is known whose they are.
RELAYED_THOUGHT, RELAYED_REDACTED = "thinking", "redacted_thinking"
#: Say what a detail is, and nothing of what it holds.
NAMES = frozenset({"type", "format", "id"})
#: What belongs to no family goes back to none.
NOBODY: tuple[str, ReasoningDetail] = ("", {"type": PLAIN})


# --- from the model to the client ------------------------------------------------------------------------------------


def reasoning_of(delta: Delta) -> list[ReasoningDetail]:
    """The reasoning in `delta` as details. A plain string counts where no detail has the text."""
    details = [_checked(detail) for detail in delta.reasoning_details or ()]
    plain = delta.reasoning or delta.reasoning_content or thoughts_of_content(delta.content)
    if plain and not any(text_of(detail) for detail in details):
        return [{"type": PLAIN, "text": plain}, *details]
    return details


def _checked(detail: ReasoningDetail) -> ReasoningDetail:
    """`detail`, if what is read of it has the types that it should have. Raises AnswerError."""
    texts = [detail.get(name) for name in ("id", "format", "signature", "text", "summary", "data")]
    if not isinstance(detail.get("type"), str) or not all(text is None or isinstance(text, str) for text in texts):
        raise AnswerError("The upstream sent a detail of reasoning that is malformed.")
    if detail["type"] == "reasoning.encrypted" and not detail.get("data"):
        raise AnswerError("The upstream sent encrypted reasoning without its data.")
    return detail


def text_of(detail: ReasoningDetail) -> str:
    """The readable text of a detail; empty where it has none."""
    return detail.get(TEXT_FIELD.get(detail["type"], "text")) or ""


def has_text(detail: ReasoningDetail) -> bool:
    """Whether a detail becomes a thinking block; the others become redacted ones."""
    return detail["type"] in TEXT_FIELD or detail["type"] == PLAIN


def continues(detail: ReasoningDetail, begun: ReasoningDetail) -> bool:
    """Whether `detail` goes on with `begun`, of the same type and index: not once that is sealed by its signature."""
    seal = begun.get("signature")
    if seal and (text_of(detail) or detail.get("signature") not in {None, "", seal}):
        return False
    return all(
        detail.get(name) is None or begun.get(name) is None or detail[name] == begun[name] for name in ("id", "format")
    )


def size_of(detail: ReasoningDetail) -> int:
    """How many characters of content a detail has: its text, and whatever else is not its name."""
    return sum(len(value) for name, value in detail.items() if isinstance(value, str) and name not in NAMES)


def signature(detail: ReasoningDetail, family: str) -> str:
    """The `signature` of the thinking block that carries `detail`."""
    if detail.get("format") == CLAUDE_FORMAT and detail["type"] == "reasoning.text":
        return detail.get("signature") or ""
    return sealed(
        {name: value for name, value in detail.items() if name != TEXT_FIELD.get(detail["type"], "text")}, family
    )


def redacted_data(detail: ReasoningDetail, family: str) -> str:
    """The `data` of the redacted_thinking block that carries `detail`."""
    if detail.get("format") == CLAUDE_FORMAT and detail["type"] == "reasoning.encrypted":
        return str(detail["data"])
    return sealed(detail, family)


# --- from the client back to the model -------------------------------------------------------------------------------


def reasoning_back(blocks: Iterable[AssistantBlock], family: str) -> dict[str, Any]:
    """The fields of an assistant message that give `family` its own reasoning back, in order; foreign is left out."""
    thoughts = [block for block in blocks if isinstance(block, ThinkingBlock | RedactedThinkingBlock)]
    signed = {block.signature for block in thoughts if isinstance(block, ThinkingBlock) and block.signature}
    carried = [(block, *carried_by(block, position)) for position, block in enumerate(thoughts)]
    details = [detail for block, origin, detail in carried if origin == family and not _is_copy(block, detail, signed)]
    kept = [detail for detail in details if detail["type"] not in {PLAIN, RELAYED_THOUGHT, RELAYED_REDACTED}]
    plain = PLAIN if kept or any(detail["type"] == PLAIN for detail in details) else RELAYED_THOUGHT
    text = "".join(text_of(detail) for detail in details if detail["type"] == plain)
    return ({"reasoning": text} if text else {}) | ({"reasoning_details": kept} if kept else {})


def _is_copy(block: ThinkingBlock | RedactedThinkingBlock, detail: ReasoningDetail, signed: set[str]) -> bool:
    """OpenRouter's Messages endpoint tells a signed thought twice: as it is, then sealed."""
    is_sealed = isinstance(block, RedactedThinkingBlock) and block.data.startswith(OPENROUTER_SEAL)
    return is_sealed and detail.get("signature") in signed


def carried_by(block: ThinkingBlock | RedactedThinkingBlock, position: int = 0) -> tuple[str, ReasoningDetail]:
    """The family and the detail that a block carries."""
    match block:
        case RedactedThinkingBlock(data=data):
            return _opened(data) or (CLAUDE_FAMILY, _claude("reasoning.encrypted", position, data=data))
        case ThinkingBlock(thinking=text, signature=seal):
            if not seal:
                return NOBODY  # cut before it was signed, or of a model that signs nothing: nobody knows whose it is
            opened = _opened(seal)
            if opened is None:
                return CLAUDE_FAMILY, _claude("reasoning.text", position, text=text, signature=seal)
            family, detail = opened
            return family, {**detail, TEXT_FIELD.get(detail["type"], "text"): text}


def _claude(kind: str, position: int, **fields: str) -> ReasoningDetail:
    return {"type": kind, **fields, "format": CLAUDE_FORMAT, "index": position}


# --- tokens ----------------------------------------------------------------------------------------------------------


def sealed(detail: ReasoningDetail, family: str) -> str:
    """The token that says that `detail` is of `family`."""
    try:
        held = orjson.dumps({"family": family, "detail": detail})
    except TypeError as error:  # a number of more than 64 bits
        raise AnswerError(f"The upstream sent a detail of reasoning that cannot be kept: {error}.") from None
    return SEAL + base64.b64encode(held).decode()


def _opened(token: str) -> tuple[str, ReasoningDetail] | None:
    """What a token of ours or of OpenRouter's holds; None for what is neither. What is damaged is nobody's."""
    try:
        if token.startswith(SEAL):
            held = orjson.loads(base64.b64decode(token.removeprefix(SEAL), validate=True))
            return str(held["family"]), _sound(held["detail"])
        if token.startswith(OPENROUTER_SEAL):
            return _told_by_openrouter(_sound(orjson.loads(base64.b64decode(token.removeprefix(OPENROUTER_SEAL)))))
    except (ValueError, KeyError, TypeError, AttributeError):
        return NOBODY
    return None


def _sound(detail: Any) -> ReasoningDetail:
    """`detail`, if it is one. Raises TypeError for what a client may have made up."""
    texts = [detail.get(name) for name in ("id", "format", "signature", "text", "summary", "data")]
    if not isinstance(detail["type"], str) or not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError("not a detail of reasoning")
    found: ReasoningDetail = detail
    return found


def _told_by_openrouter(detail: ReasoningDetail) -> tuple[str, ReasoningDetail]:
    """Whose a detail of OpenRouter's is. A signed text without a format is Claude's: nobody else signs texts."""
    if "format" not in detail and detail["type"] == "reasoning.text" and detail.get("signature"):
        detail = {**detail, "format": CLAUDE_FORMAT}
    return FORMAT_FAMILY.get(detail.get("format") or "", ""), detail
