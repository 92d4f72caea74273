"""Text that holds no cue of a secret is not searched for one, and nothing that would be found is missed by it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import redaction

PREFIXES = ["sk-", "gsk_", "xai-", "hf_", "pplx-", "AIza", "AKIA"]
ANNOUNCEMENTS = ["Bearer ", "Basic ", "api-key=", "api_key:", "://a:b@"]
#: With a long s and the two Turkish i, which the expression takes for the plain letters.
LOOKALIKES = ["\u017fk-", "a\u0131za", "A\u0130ZA", "ba\u017fic "]
PARTS = ["hf", "_", "api", " ", "=", ":", "/", "@"]

cues = st.sampled_from([*PREFIXES, *ANNOUNCEMENTS, *LOOKALIKES, *PARTS])
anything = st.text(max_size=12)
letters = st.text("abcXYZ019_-", min_size=6, max_size=12)
texts = st.lists(
    st.one_of(cues, cues.map(str.upper), cues.map(str.lower), cues.map(str.swapcase), letters, anything), max_size=8
).map("".join)


@settings(max_examples=1500, deadline=None)
@given(text=texts)
def test_what_is_redacted_is_what_the_whole_expression_finds(text: str) -> None:
    assert redaction.redact(text) == redaction._SECRETS.sub("[redacted]", text)
