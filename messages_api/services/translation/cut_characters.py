"""Owns characters that were cut in two: one half ends the text of a chunk, the other begins that of the next. Pure.

A server whose language keeps text in UTF-16 may cut a character between its two halves, and JSON can write a half
alone (`"\\ud83d"`). Decoders refuse that and UTF-8 has no bytes for it, so a half waits here for the other one. Nothing
of this is looked at until a chunk cannot be decoded.
"""

import re
from collections.abc import Hashable

from msgspec import Raw

from messages_api.services.translation.chat import ChatChunk, Choice, ContentPart, Delta, ReasoningDetail, ToolCallPiece

#: How far a stand-in is from its half: a decoder takes a private character, U+10D800 for U+D800.
AWAY = 0x10_0000
#: What a half is replaced with when the other one does not come: no text can hold it.
LOST = "\ufffd"

_WRITTEN = re.compile(
    rb"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|(?P<private>\xf4\x8d[\xa0-\xbf][\x80-\xbf])"
    rb"|\\.",
    re.DOTALL,
)
_STANDS_IN = re.compile("[\U0010d800-\U0010dfff]")
_HALF = re.compile("[\ud800-\udfff]")


def decodable(payload: bytes) -> bytes:
    """JSON that a decoder takes: each half is its stand-in. A character that looks like one becomes two of them."""
    return _WRITTEN.sub(_with_stand_ins, payload)


def _with_stand_ins(found: re.Match[bytes]) -> bytes:
    written = found[0]
    match found.lastgroup:
        case "half":
            halves = [int(written[2:], 16)]
        case "private":
            halves = _halves(written.decode())
        case "pair" if written[2:5].lower() == b"dbf" and written[5:6] in b"67":
            halves = [int(written[2:6], 16), int(written[8:], 16)]
        case _:
            return written
    return "".join(chr(half + AWAY) for half in halves).encode()


def _halves(character: str) -> list[int]:
    units = character.encode("utf-16-be")
    return [int.from_bytes(units[at : at + 2]) for at in (0, 2)]


class CutCharacters:
    """The halves of one answer that wait, each with the place of the text that goes on with the other one."""

    def __init__(self, *, with_stand_ins: bool) -> None:
        """Whether the chunks were decoded from what `decodable` made, or hold halves as they are."""
        self._with_stand_ins = with_stand_ins
        self._waiting: dict[Hashable, str] = {}
        self._ids: dict[int | None, str] = {}

    def joined(self, chunk: ChatChunk) -> ChatChunk:
        """The chunk with whole characters only. A half at the very end of an answer is left out."""
        chunk.error = _sound(chunk.error)
        for place, choice in enumerate(chunk.choices or ()):
            self._join_choice(choice, place)
        return chunk

    def _join_choice(self, choice: Choice, place: int) -> None:
        choice.error = _sound(choice.error)
        for said in (choice.delta, choice.message):
            if said is not None:
                self._join_delta(said, place)

    def _join_delta(self, said: Delta, place: int) -> None:
        if isinstance(said.content, list):
            self._join_parts(said.content, (place, "content"))
        else:
            said.content = self._text(said.content, (place, "content"))
        said.refusal = self._text(said.refusal, (place, "refusal"))
        said.reasoning = self._text(said.reasoning, (place, "reasoning"))
        said.reasoning_content = self._text(said.reasoning_content, (place, "reasoning_content"))
        for detail in said.reasoning_details or ():
            self._join_detail(detail, place)
        for call in said.tool_calls or ():
            self._join_call(call, place)

    def _join_parts(self, parts: list[ContentPart], place: Hashable) -> None:
        for part in parts:
            part.text = self._text(part.text, (place, "text"))
            if isinstance(part.thinking, list):
                self._join_parts(part.thinking, (place, "thinking"))
            else:
                part.thinking = self._text(part.thinking, (place, "thinking"))

    def _join_detail(self, detail: ReasoningDetail, place: int) -> None:
        for name, value in detail.items():
            if isinstance(value, str):
                detail[name] = self._text(value, (place, detail.get("type"), str(detail.get("index")), name))

    def _join_call(self, call: ToolCallPiece, place: int) -> None:
        """Some upstreams tell the id with the first fragment only, some with all, and some no index."""
        if call.id:
            self._ids[call.index] = call.id
        if call.function is not None:
            which = (place, "call", call.index, self._ids.get(call.index))
            call.function.arguments = self._text(call.function.arguments, which)

    def _text(self, text: str | None, place: Hashable) -> str | None:
        if not text:
            return text
        if self._with_stand_ins:
            text = _STANDS_IN.sub(lambda found: chr(ord(found[0]) - AWAY), text)
        whole = (
            (self._waiting.pop(place, "") + text)
            .encode("utf-16-le", "surrogatepass")
            .decode("utf-16-le", "surrogatepass")
        )
        if "\ud800" <= whole[-1] <= "\udbff":
            self._waiting[place], whole = whole[-1], whole[:-1]
        return _HALF.sub(LOST, whole)


def _sound(error: Raw) -> Raw:
    """An error goes into no text that could go on, so a half in it is lost."""
    return error if _WRITTEN.search(error) is None else Raw(_STANDS_IN.sub(LOST, bytes(error).decode()).encode())
