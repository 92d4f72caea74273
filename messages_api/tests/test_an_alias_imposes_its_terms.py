"""What an administrator sets for an alias is in every body that goes upstream."""

from typing import Any

import orjson
import pytest

from messages_api.schemas import parse_request
from messages_api.services.model_facts import ModelFacts
from messages_api.services.terms import Terms
from messages_api.services.translation.request import Translation, translate_request

FACTS = ModelFacts(id="openai/gpt-5", family="openai", max_output=50_000)
PDF = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
}
NOTES = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Notes."}}


def translated(terms: Terms, *content: Any, **fields: Any) -> Translation:
    messages = [{"role": "user", "content": list(content) or "Hello"}]
    request = parse_request(orjson.dumps({"model": "m", "max_tokens": 40_000, "messages": messages, **fields}))
    return translate_request(request, model=FACTS.id, facts=FACTS, terms=terms)


def test_its_preferences_among_providers_go_along() -> None:
    terms = Terms(provider={"zdr": True, "only": ["azure"]})
    assert translated(terms).body["provider"] == {"zdr": True, "only": ["azure"]}
    assert "provider" not in translated(Terms()).body


@pytest.mark.parametrize(("limit", "sent"), [(None, 40_000), (8_000, 8_000), (90_000, 40_000)])
def test_its_limit_of_the_answer_holds_and_is_told(limit: int | None, sent: int) -> None:
    translation = translated(Terms(max_output=limit))
    assert translation.body["max_tokens"] == sent
    assert len(translation.warnings) == (1 if sent < 40_000 else 0)


def test_its_reader_of_pdfs_is_named_where_there_is_a_pdf() -> None:
    plugins = [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]
    terms = Terms(pdf_engine="mistral-ocr")
    assert translated(terms, PDF).body["plugins"] == plugins
    assert "plugins" not in translated(terms, NOTES).body
    assert "plugins" not in translated(Terms(), PDF).body


def test_its_reader_is_named_for_a_pdf_inside_a_tools_result() -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [PDF]}
    assert "plugins" in translated(Terms(pdf_engine="native"), result).body


def test_its_words_come_last_in_the_instructions() -> None:
    body = translated(Terms(system_addendum="Use tools."), system="Be kind.").body
    assert body["messages"][0] == {"role": "system", "content": "Be kind.\n\nUse tools."}
