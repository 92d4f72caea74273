"""Owns answers that an upstream may give: generated, told in the order and form of any provider, and as its bytes."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
Add = Callable[[st.DrawFn, "Said"], None]

ALPHABET = st.sampled_from('ab 1{}[]":,\\\n\u2028é字🙂')
LETTERS = st.text(ALPHABET, max_size=12)
WORDS = st.text(ALPHABET, min_size=1, max_size=12)
VALUES = st.recursive(st.none() | st.integers() | LETTERS, st.lists, max_leaves=3)
ARGUMENTS = st.dictionaries(LETTERS, VALUES, max_size=3)
#: Sequences that the text of these answers holds often enough, whole or in part.
WATCHED = st.sampled_from([(), (), (), ("b",), ("ab", "}"), ("字a", "🙂🙂", "a b"), ("\n", "é字", ":,\\")])
FINISHES = ["stop", "tool_calls", "length", "content_filter", "function_call"]
CLAUDE, OPENAI, GOOGLE, XAI = "anthropic-claude-v1", "openai-responses-v1", "google-gemini-v1", "xai-responses-v1"


# --- what is said ----------------------------------------------------------------------------------------------------


@dataclass
class Said:
    """What was put into a stream, to be found in the answer."""

    deltas: list[Json] = field(default_factory=list)
    text: str = ""
    refusal: str = ""
    thinking: str = ""
    details: list[Json] = field(default_factory=list)  # that have to come back
    plain: str = ""  # reasoning that no detail holds
    arguments: dict[str, str] = field(default_factory=dict)  # by the tool's name: here every call has its own
    ids: dict[str, str] = field(default_factory=dict)
    annotations: list[Json] = field(default_factory=list)


def cut(draw: st.DrawFn, text: str, most: int = 4) -> list[str]:
    """`text` in pieces, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=most)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def add_text(draw: st.DrawFn, said: Said) -> None:
    key = draw(st.sampled_from(["content", "content", "content", "content", "refusal"]))
    text = draw(WORDS)
    said.text += text
    said.refusal += text if key == "refusal" else ""
    said.deltas += [{key: piece} for piece in cut(draw, text)]


def add_citations(draw: st.DrawFn, said: Said) -> None:
    """Pages that are cited, some of them for the second time."""
    more: list[Json] = [{}, {"title": None}, {"title": "T", "content": "c"}]
    annotations = [
        {"type": "url_citation", "url_citation": {"url": f"https://{page}.example", "end_index": 3, **about}}
        for page, about in draw(
            st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(more)), min_size=1, max_size=2)
        )
    ]
    said.annotations += annotations
    said.deltas.append({"content": "", "annotations": annotations})


def add_plain_reasoning(draw: st.DrawFn, said: Said) -> None:
    key = draw(st.sampled_from(["reasoning", "reasoning_content"]))
    text = draw(WORDS)
    said.thinking += text
    said.plain += text
    said.deltas += [{key: piece} for piece in cut(draw, text)]


def add_reasoning_details(draw: st.DrawFn, said: Said) -> None:
    """Text or summary in pieces under one index, beside a copy in `reasoning` or not; then perhaps its seal."""
    kind, key, form = draw(
        st.sampled_from(
            [
                ("reasoning.text", "text", CLAUDE),
                ("reasoning.text", "text", GOOGLE),
                ("reasoning.text", "text", "unknown"),
                ("reasoning.summary", "summary", OPENAI),
                ("reasoning.summary", "summary", XAI),
            ]
        )
    )
    text, index = draw(WORDS), len(said.details)
    extra: Json = draw(st.sampled_from([{}, {"id": None}, {"signature": None}]))
    head = {"type": kind, "format": form, "index": index, **extra}
    whole = {**head, key: text}
    for piece in cut(draw, text):
        copies: list[Json] = [{}, {"reasoning": piece}, {"reasoning": None}, {"reasoning_content": piece}]
        copy = draw(st.sampled_from(copies)) if piece else {}
        said.deltas.append({**copy, "reasoning_details": [{**head, key: piece}]})
    if form == CLAUDE:
        whole["signature"] = f"Eq{index}=="
        said.deltas.append({"content": "", "reasoning_details": [{**head, "signature": whole["signature"]}]})
    said.thinking += text
    said.details.append(whole)


def add_signature_alone(_draw: st.DrawFn, said: Said) -> None:
    """Claude's thinking whose text is not shown: it must come back all the same."""
    detail = {"type": "reasoning.text", "format": CLAUDE, "index": len(said.details), "signature": "EqX=", "text": ""}
    said.details.append(detail)
    said.deltas.append({"reasoning_details": [detail]})


def add_sealed_reasoning(draw: st.DrawFn, said: Said) -> None:
    """A detail without text: encrypted, a server's tool call, or a type from next year."""
    detail: Json = draw(
        st.sampled_from(
            [
                {"type": "reasoning.encrypted", "data": "gAAAA", "format": OPENAI, "id": "rs_1"},
                {"type": "reasoning.encrypted", "data": "CiQB", "format": GOOGLE, "id": "tool_1"},
                {"type": "reasoning.encrypted", "data": "CiQC", "format": GOOGLE},
                {"type": "reasoning.encrypted", "data": "EqRE", "format": CLAUDE},
                {"type": "reasoning.server_tool_call", "tool_name": "x", "arguments": "{}", "result": "r"},
                {"type": "reasoning.future", "anything": [1, {"a": None}], "so": "it is"},
            ]
        )
    )
    detail = {**detail, "index": len(said.details)}
    said.details.append(detail)
    extra: Json = draw(st.sampled_from([{}, {"reasoning": None}, {"reasoning": ""}, {"content": None}]))
    said.deltas.append({**extra, "reasoning_details": [detail]})


# --- tool calls ------------------------------------------------------------------------------------------------------


def call_fragments(draw: st.DrawFn, said: Said, number: int, form: Json) -> list[Json]:
    """The fragments of one tool call, in the form in which this upstream sends all of them."""
    name, call_id = f"tool_{number}", draw(st.sampled_from(["call_{}", "functions.x:{}", "9{}"])).format(number)
    text = draw(st.just("") | ARGUMENTS.map(json.dumps) | ARGUMENTS.map(lambda it: json.dumps(it, indent=1)))
    said.arguments[name] = text or "{}"
    said.ids[name] = call_id
    fragments: list[Json] = []
    for position, piece in enumerate(cut(draw, text)):
        named: list[Json] = [{}, {"name": ""}, {"name": None}, {"name": name}]
        function = {"name": name} if position == 0 else draw(st.sampled_from(named))
        if piece or draw(st.booleans()):
            function = {**function, "arguments": piece or draw(st.sampled_from(["", None]))}
        fragment: Json = {"function": function, "type": "function"}
        if form["index"] != "never":
            fragment["index"] = number if form["index"] == "always" else 0
        if form["id"] == "always" or (form["id"] == "first" and position == 0):
            fragment["id"] = call_id
        elif form["id"] == "first":
            fragment |= draw(st.sampled_from([{}, {"id": None}, {"id": ""}]))
        fragments.append(fragment)
    return fragments


#: How upstreams mark which call a fragment belongs to, and whether fragments of several may then be mixed.
FORMS = [
    ({"index": "always", "id": "first"}, True),
    ({"index": "always", "id": "always"}, True),
    ({"index": "always", "id": "never"}, True),
    ({"index": "never", "id": "always"}, True),
    ({"index": "zero", "id": "always"}, True),
    ({"index": "never", "id": "first"}, False),
    ({"index": "zero", "id": "first"}, False),
]


def add_calls(draw: st.DrawFn, said: Said, *, form: Json, is_mixed: bool) -> None:
    """One to three tool calls; their fragments in turn where the form allows it, several in a delta at times."""
    first = len(said.arguments)
    queues = [call_fragments(draw, said, first + more, form) for more in range(draw(st.integers(1, 3)))]
    ordered: list[Json] = []
    begun = 0
    while any(queues):
        rest = [number for number, queue in enumerate(queues) if queue and number <= begun]
        number = draw(st.sampled_from(rest)) if is_mixed else rest[0]
        begun = max(begun, number + 1)
        ordered.append(queues[number].pop(0))
    while ordered:
        many = draw(st.integers(1, 3))
        said.deltas.append({"tool_calls": ordered[:many]})
        ordered = ordered[many:]


# --- chunks ----------------------------------------------------------------------------------------------------------

RANK = {
    "reasoning": 0,
    "reasoning_content": 0,
    "reasoning_details": 0,
    "content": 1,
    "refusal": 1,
    "annotations": 2,
    "tool_calls": 3,
}


def merged(chance: Random, deltas: list[Json]) -> list[Json]:
    """Neighbours in one delta here and there, where the order in which a delta is read keeps their order."""
    joined: list[Json] = []
    for delta in deltas:
        before = [RANK[key] for key in joined[-1]] if joined else []
        if before and max(before) < min(RANK[key] for key in delta) and chance.random() < 0.5:
            joined[-1] = {**joined[-1], **delta}
        else:
            joined.append(delta)
    return joined


NOISE: list[Json] = [
    {"choices": []},
    {"choices": None, "usage": None},
    {"error": None, "choices": [{"index": 0, "delta": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": None, "native_finish_reason": None}]},
    {"choices": [{"delta": {"content": "", "reasoning": None, "tool_calls": []}}]},
    {"choices": [{"delta": {"role": "assistant", "content": None, "tool_calls": None, "reasoning_details": []}}]},
    {"choices": [{"delta": {"content": "", "reasoning": "", "reasoning_details": None, "annotations": []}}]},
    {"choices": [{"delta": {"content": None, "annotations": [{"type": "file", "file": {"hash": "h"}}]}}]},
    {"openrouter_metadata": {"a": 1}},
]
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "cost": 0.00123,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 12},
}
USAGE_TOLD = {
    "input_tokens": 15,
    "output_tokens": 30,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 5,
    "output_tokens_details": {"thinking_tokens": 12},
}


def chunks_of(chance: Random, deltas: list[Json], finish: str) -> list[Json]:
    """The chunks of a whole stream: deltas, noise between them, an end, and usage before, with or behind it."""
    chunks: list[Json] = []
    for delta in merged(chance, deltas):
        chunks += noise(chance)
        chunks.append({"id": "gen-1", "choices": [{"index": 0, "delta": {"role": "assistant", **delta}}]})
    end: Json = {"id": "gen-1", "choices": [{"delta": {"content": ""}, "finish_reason": finish}]}
    match chance.choice(["before", "with", "behind", "behind, with a choice"]):
        case "before":
            chunks += [{"choices": [], "usage": USAGE}, end]
        case "with":
            chunks.append({**end, "usage": USAGE})
        case "behind":
            chunks += [end, {"choices": [], "usage": USAGE}]
        case _:
            chunks += [end, {"choices": [{"delta": {"content": ""}, "finish_reason": None}], "usage": USAGE}]
    return chunks + noise(chance)


def noise(chance: Random) -> list[Json]:
    return [chance.choice(NOISE)] if chance.random() < 0.3 else []


COMMENTS = ["", "", "", ": OPENROUTER PROCESSING\n\n", ": OPENROUTER PROCESSING\r\n\r\n", "event: x\nid: 7\n", "\n"]


def received(chance: Random, chunks: list[Json]) -> list[bytes]:
    """The bytes of a stream as the network hands them over: cut anywhere, even inside a character."""
    line_end = chance.choice(["\n", "\r\n"])
    field_name = chance.choice(["data:", "data: "])
    events = [json.dumps(chunk, ensure_ascii=False) for chunk in chunks] + ["[DONE]"]
    sent = "".join(f"{chance.choice(COMMENTS)}{field_name}{event}{line_end}{line_end}" for event in events).encode()
    cuts = sorted(chance.choices(range(len(sent)), k=chance.randint(0, 12)))
    return [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]


# --- whole answers ---------------------------------------------------------------------------------------------------


@dataclass
class Stream:
    """One way in which an answer is streamed: its chunks, and the same as the network hands it over."""

    chunks: list[Json]
    received: list[bytes]


@dataclass
class Answer:
    """One answer of an upstream; its seed says how it is streamed."""

    said: Said
    finish: str
    seed: int
    watched: tuple[str, ...] = ()

    def stream(self, way: int = 0) -> Stream:
        chance = Random(self.seed + way)
        chunks = chunks_of(chance, self.said.deltas, self.finish)
        return Stream(chunks, received(chance, chunks))


def answer_of(draw: st.DrawFn, said: Said) -> Answer:
    return Answer(said, draw(st.sampled_from(FINISHES)), draw(st.integers(0, 2**32)), draw(WATCHED))


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """A whole answer in any order."""
    said = Said()
    form, is_mixed = draw(st.sampled_from(FORMS))
    detailed: list[Add] = [add_reasoning_details, add_sealed_reasoning, add_signature_alone]
    reasoning: list[Add] = draw(st.sampled_from([[add_plain_reasoning], detailed]))
    add_more_calls: Add = functools.partial(add_calls, form=form, is_mixed=is_mixed)
    kinds: list[Add] = [add_text, add_text, add_citations, *reasoning, add_more_calls]
    for add in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5)):
        add(draw, said)
    if not (said.text or said.arguments or said.thinking or said.details):
        add_text(draw, said)
    return answer_of(draw, said)


@st.composite
def answers_in_the_usual_order(draw: st.DrawFn) -> Answer:
    """Reasoning, then text, what it cites, and calls: the order in which a completion that is not streamed is read."""
    said = Said()
    if draw(st.booleans()):
        add_plain_reasoning(draw, said)
    else:
        for add in draw(st.lists(st.sampled_from([add_reasoning_details, add_sealed_reasoning]), max_size=3)):
            add(draw, said)
    if draw(st.booleans()):
        add_text(draw, said)
        if draw(st.booleans()):
            add_citations(draw, said)
    if draw(st.booleans()) or not said.deltas:
        form, is_mixed = draw(st.sampled_from([form for form in FORMS if form[0]["id"] != "never"]))
        add_calls(draw, said, form=form, is_mixed=is_mixed)
    return answer_of(draw, said)


def completion(answer: Answer) -> Json:
    """The answer as a completion that is not streamed."""
    said = answer.said
    key = "refusal" if said.refusal else "content"
    message: Json = {"role": "assistant", "content": None, "refusal": None, key: said.text}
    message["reasoning"] = said.plain or said.thinking or None
    if said.details:
        message["reasoning_details"] = said.details
    if said.annotations:
        message["annotations"] = said.annotations
    if said.arguments:
        message["tool_calls"] = [
            {"id": said.ids[name], "type": "function", "function": {"name": name, "arguments": text}}
            for name, text in said.arguments.items()
        ]
    choice = {"index": 0, "message": message, "finish_reason": answer.finish}
    return {"id": "gen-1", "object": "chat.completion", "choices": [choice], "usage": USAGE}


# --- anything at all that has the types of the wire, however senseless -----------------------------------------------

TEXTS = st.none() | st.sampled_from(["", "a", "{", "}", "{}", '{"a":1}', " "])
DETAILS = st.fixed_dictionaries(
    {"type": st.sampled_from(["reasoning.text", "reasoning.summary", "reasoning.encrypted", "reasoning.new"])},
    optional={"text": TEXTS, "summary": TEXTS, "signature": TEXTS, "index": st.none() | st.integers(0, 1)}
    | {"format": st.sampled_from([CLAUDE, OPENAI, GOOGLE, None]), "data": st.sampled_from(["x", "y"])},
)
FRAGMENTS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.none() | st.integers(0, 2),
        "id": st.none() | st.sampled_from(["", "a", "b", "functions.x:0", "é"]),
        "function": st.none()
        | st.fixed_dictionaries({}, optional={"name": st.sampled_from([None, "", "x", "y"]), "arguments": TEXTS}),
    },
)
CITED = st.fixed_dictionaries(
    {}, optional={"url_citation": st.none() | st.fixed_dictionaries({}, optional={"url": TEXTS})}
)
ANY_DELTA = st.fixed_dictionaries(
    {},
    optional={"content": TEXTS, "refusal": TEXTS, "reasoning": TEXTS, "reasoning_content": TEXTS}
    | {"reasoning_details": st.none() | st.lists(DETAILS, max_size=2)}
    | {"tool_calls": st.none() | st.lists(FRAGMENTS, max_size=2), "annotations": st.lists(CITED, max_size=1)},
)
NATIVE = st.sampled_from([None, "", "STOP", "stop_sequence", "pause_turn", "max_context_length", "refusal"])
ANY_CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "delta": st.none() | ANY_DELTA,
        "finish_reason": st.sampled_from([None, "", "stop", "length", "error"]),
        "native_finish_reason": NATIVE,
    },
)
ANY_CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.none() | st.lists(ANY_CHOICE, max_size=2),
        "usage": st.sampled_from([None, {}, {"prompt_tokens": None}, {"prompt_tokens": -3}, USAGE]),
        "service_tier": st.sampled_from([None, "default", "flex"]),
    },
)
