"""What is refused of a web search: OpenRouter's docs, server-tools/web-search and plugins/web-search; wire.md 2.1."""

from testing.openrouter_simulator.exact_json import Json
from testing.openrouter_simulator.models import Model
from testing.openrouter_simulator.refusals import bad_request, provider_refusal
from testing.openrouter_simulator.shapes import expect, expect_one_of
from testing.openrouter_simulator.web_search import (
    ANTHROPIC_SEARCH_TOOLS,
    SEARCH_PLUGIN,
    SEARCH_TOOL,
    search_of,
)

ENGINES = frozenset({"native", "exa", "firecrawl", "parallel", "perplexity"})
MODES = frozenset({"instant", "fast", "auto", "deep-lite", "deep", "deep-reasoning", "turbo", "basic", "advanced"})
TOOL_SETTINGS: dict[str, str] = {
    "engine": "string",
    "mode": "string",
    "max_results": "integer",
    "max_uses": "integer",
    "max_total_results": "integer",
    "max_characters": "integer",
    "search_context_size": "string",
    "user_location": "object",
    "allowed_domains": "array",
    "excluded_domains": "array",
    "x_search": "object",
}
PLUGIN_SETTINGS: dict[str, str] = {
    "id": "string",
    "enabled": "boolean",
    "engine": "string",
    "mode": "string",
    "max_results": "integer",
    "max_uses": "integer",
    "search_prompt": "string",
    "user_location": "object",
    "include_domains": "array",
    "exclude_domains": "array",
    "x_search": "object",
}
ANTHROPIC_SETTINGS: dict[str, str] = {
    "type": "string",
    "name": "string",
    "max_uses": "integer|null",
    "allowed_domains": "array|null",
    "blocked_domains": "array|null",
    "user_location": "object|null",
    "cache_control": "object|null",
    "allowed_callers": "array|null",
    "defer_loading": "boolean|null",
    "strict": "boolean|null",
    "response_inclusion": "object|string|null",
}
CHOICES: dict[str, frozenset[str]] = {
    "mode": MODES,
    "search_context_size": frozenset({"low", "medium", "high"}),
}
LIMITS: dict[str, tuple[int, int]] = {
    "max_results": (1, 25),
    "max_uses": (1, 1_000),
    "max_total_results": (1, 1_000),
    "max_characters": (1, 100_000),
}
MOST_PERPLEXITY_RESULTS = 20
MOST_XAI_DOMAINS = 5
LOCATION_FIELDS = frozenset({"type", "city", "region", "country", "timezone"})
#: Engines that take one list of domains, not both. Perplexity lets the allowed ones win, OpenAI ignores the excluded.
ONE_LIST_ENGINES = frozenset({"firecrawl", "parallel"})
ONE_LIST_FAMILIES = frozenset({"anthropic", "x-ai"})


def check_search_settings(body: Json) -> None:
    """wire.md 2.1: names, types and ranges."""
    for place, tool in enumerate(body.get("tools") or []):
        if tool.get("type") == SEARCH_TOOL:
            check_tool(tool, f"tools.{place}")
    for place, plugin in enumerate(body.get("plugins") or []):
        if plugin["id"] == SEARCH_PLUGIN:
            check_settings(plugin, PLUGIN_SETTINGS, ENGINES, f"plugins.{place}")


def check_tool(tool: Json, path: str) -> None:
    """wire.md 2.1, server tool."""
    for name in sorted(set(tool) - {"type", "parameters"}):
        raise bad_request(f'{path}: Unrecognized key: "{name}"')
    parameters = tool.get("parameters", {})
    expect(parameters, "object", f"{path}.parameters")
    check_settings(parameters, TOOL_SETTINGS, ENGINES | {"auto"}, f"{path}.parameters")


def check_anthropic_tool(tool: Json, path: str) -> None:
    """wire.md 1.5: web_search of any version."""
    check_settings(tool, ANTHROPIC_SETTINGS, frozenset(), path)
    if tool.get("name") != "web_search":
        raise bad_request(f"{path}.name: Input should be 'web_search'")
    if tool.get("allowed_domains") and tool.get("blocked_domains"):
        raise bad_request(f"{path}: only one of allowed_domains and blocked_domains may be specified")


def is_anthropic_search(tool: Json) -> bool:
    return str(tool.get("type") or "").startswith(ANTHROPIC_SEARCH_TOOLS)


def check_settings(settings: Json, known: dict[str, str], engines: frozenset[str], path: str) -> None:
    """wire.md 2.1."""
    for name, value in settings.items():
        here = f"{path}.{name}"
        if name not in known:
            raise bad_request(f'{path}: Unrecognized key: "{name}"')
        expect(value, known[name], here)
        if name == "engine":
            expect_one_of(value, engines, here)
        if name in CHOICES:
            expect_one_of(value, CHOICES[name], here)
        if name in LIMITS and value is not None:
            check_limit(value, LIMITS[name], here)
        if name.endswith("_domains"):
            check_domains(value or [], here)
        if name == "user_location" and value:
            check_location(value, here)


def check_limit(value: int, limits: tuple[int, int], path: str) -> None:
    """wire.md 2.1."""
    least, most = limits
    if not least <= value <= most:
        raise bad_request(f"{path}: Invalid input: expected integer between {least} and {most}, received {value}")


def check_domains(domains: list[object], path: str) -> None:
    """wire.md 2.1: hosts, with a wildcard or a path; never a scheme."""
    for place, domain in enumerate(domains):
        expect(domain, "string", f"{path}.{place}")
        if not domain or "://" in str(domain) or " " in str(domain):
            raise bad_request(f"{path}.{place}: Invalid domain: {domain}")


def check_location(location: Json, path: str) -> None:
    """wire.md 2.1."""
    for name, value in location.items():
        if name not in LOCATION_FIELDS:
            raise bad_request(f'{path}: Unrecognized key: "{name}"')
        expect(value, "string|null", f"{path}.{name}")
    expect_one_of(location.get("type", "approximate"), {"approximate"}, f"{path}.type")


def check_search_domains(body: Json, model: Model) -> None:
    """wire.md 2.1; which engine filters how: the docs' table of domain filtering."""
    search = search_of(body)
    if search is None:
        return
    if search.engine == "native" and model.family == "google" and (search.allowed or search.excluded):
        raise bad_request("Domain filtering is not supported with native web search for this provider.")
    engine = search.engine_for(model.family)
    takes_one = engine in ONE_LIST_ENGINES or (engine == "native" and model.family in ONE_LIST_FAMILIES)
    if takes_one and search.allowed and search.excluded:
        raise bad_request(f"allowed_domains and excluded_domains are mutually exclusive with the {engine} engine")
    longest = max(len(search.allowed), len(search.excluded))
    if engine == "native" and model.family == "x-ai" and longest > MOST_XAI_DOMAINS:
        raise provider_refusal(model, f"At most {MOST_XAI_DOMAINS} domains may be given.")
    if engine == "perplexity" and (search.max_results or 0) > MOST_PERPLEXITY_RESULTS:
        raise bad_request(f"max_results: at most {MOST_PERPLEXITY_RESULTS} with the perplexity engine")
