"""What an upstream sends as events is read the same, however the network cuts it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from messages_api.services.sse_reader import SseReader

# Line ends of other alphabets are ordinary characters of a payload: cutting a line at them lost whole chunks elsewhere.
LETTERS = st.sampled_from([*'ab:{}"[] \t,', "é", "\u0085", "\u2028", "\u2029", "字", "🙂", "data: ", "[DONE]"])
PAYLOAD_LINE = st.lists(LETTERS, min_size=1, max_size=8).map("".join)
NOISE = st.sampled_from([": OPENROUTER PROCESSING", ":", ": data: no", "event: x", "id: 7", "retry: 10", "datax: 1"])
END = st.sampled_from(["\n", "\r\n"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """The bytes of a stream of events, and the payloads in them."""
    text, payloads = "", []
    for _ in range(draw(st.integers(0, 5))):
        lines = draw(st.lists(PAYLOAD_LINE, min_size=1, max_size=3))
        for line in lines:
            for noise in draw(st.lists(NOISE, max_size=2)):
                text += noise + draw(END)
            # One blank after the colon belongs to the field, further ones to the payload.
            blank = " " if line.startswith(" ") else draw(st.sampled_from(["", " "]))
            text += f"data:{blank}{line}{draw(END)}"
        text += draw(END)
        for _ in range(draw(st.integers(0, 2))):
            text += draw(st.sampled_from([": OPENROUTER PROCESSING\n\n", "\n", "event: ping\r\n\r\n"]))
        payloads.append("\n".join(lines).encode())
    return text.encode(), payloads


def read(pieces: list[bytes]) -> list[bytes]:
    reader = SseReader()
    return [payload for piece in pieces for payload in reader.feed(piece)] + reader.finish()


@given(streams(), st.data())
@settings(max_examples=300, derandomize=True, deadline=None)
def test_payloads_are_the_same_wherever_the_bytes_are_cut(
    stream: tuple[bytes, list[bytes]], data: st.DataObject
) -> None:
    sent, payloads = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=12), "cuts"))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert read(pieces) == payloads


@given(streams())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_bytes_that_come_one_by_one_say_the_same(stream: tuple[bytes, list[bytes]]) -> None:
    sent, payloads = stream
    assert read([sent[at : at + 1] for at in range(len(sent))]) == payloads


@given(streams())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_a_last_event_without_its_empty_line_is_read(stream: tuple[bytes, list[bytes]]) -> None:
    sent, payloads = stream
    assert read([sent, b"data: last"]) == [*payloads, b"last"]
    assert read([sent, b"data: last\r", b"\n"]) == [*payloads, b"last"]


def test_a_payload_comes_out_as_soon_as_its_event_is_complete() -> None:
    reader = SseReader()
    assert reader.feed(b'data: {"a":1}\n') == []
    assert reader.feed(b"\n") == [b'{"a":1}']
    assert reader.feed(b"data: [DONE]\r\n\r") == []
    assert reader.feed(b"\n") == [b"[DONE]"]


def test_a_comment_between_the_lines_of_an_event_does_not_end_it() -> None:
    assert read([b"data: a\n: OPENROUTER PROCESSING\ndata: b\n\n"]) == [b"a\nb"]


def test_comments_alone_say_nothing() -> None:
    assert read([b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\r\n\r\n"]) == []


def test_a_character_cut_in_two_is_whole_again() -> None:
    sent = 'data: {"content":"🙂\u2028"}\n\n'.encode()
    for at in range(len(sent)):
        assert read([sent[:at], sent[at:]]) == ['{"content":"🙂\u2028"}'.encode()]
