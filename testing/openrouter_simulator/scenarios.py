"""The built-in scripts, as data, in the same form in which a test registers its own.

A script is `{"name", "turns": [turn, ...]}`, a turn `{"attempts": [attempt, ...]}`, an attempt either an
error answer `{"status", "body"?, "headers"?, "error_type"?, "message"?, "delay_ms"?, "drop"?}` or a list of emissions.
An error answer with `then` is only for models whose id contains its `model`, only so many `times` (of each model, where
one is named), and `then` is played otherwise. Strings may hold
`{{arg1}}`, `{{arg1|default}}`, `{{args}}`, `{{tool_result}}`, `{{images}}`, `{{files}}`, `{{last_user}}`.
"""

from testing.openrouter_simulator.exact_json import Json, JsonValue
from testing.openrouter_simulator.web_search import PAGES, citation

Emission = Json
Attempt = Json | list[Emission]

ANSWER_PIECES = 6
DEFAULT_ANSWER: list[Emission] = [
    {"text": "You said: {{last_user}}. This is the simulator's answer.", "pieces": ANSWER_PIECES}
]
SEARCH_ANSWER: list[Emission] = [
    {"text": "The web says that the simulated page is the best source for: {{last_user}}", "pieces": ANSWER_PIECES},
    {"search": 1},
]
TEXT_TURN: list[Emission] = [{"text": "Hello from the simulator.", "pieces": 3}]


CITED_TEXT = "One page says that the sky is blue. Another says that grass is green, and a third agrees."
CITED = ("the sky is blue", "grass is green", "a third agrees")
CITATIONS = [
    citation(page, CITED_TEXT.index(phrase), CITED_TEXT.index(phrase) + len(phrase))
    for page, phrase in zip(PAGES, CITED, strict=True)
]
FIRST_SENTENCE = CITED_TEXT.index(" Another")


def turn(*attempts: Attempt) -> Json:
    return {"attempts": list(attempts)}


def script(name: str, *turns: Json) -> Json:
    return {"name": name, "turns": list(turns)}


def say(text: str, **more: JsonValue) -> Json:
    return turn([{"text": text, "pieces": 3, **more}])


def call(name: str, arguments: Json | str, fragments: int = 3) -> Json:
    return {"tool_call": {"name": name, "arguments": arguments, "fragments": fragments}}


BASH_HELLO: Json = {"command": "echo hello-from-bash", "description": "Say hello"}
TWO_COMMANDS: list[Json] = [
    {"name": "Bash", "arguments": {"command": "echo first", "description": "Say first"}, "fragments": 4},
    {"name": "Bash", "arguments": {"command": "echo second", "description": "Say second"}, "fragments": 4},
]
THREE_TOOLS: list[Json] = [
    *TWO_COMMANDS,
    {"name": "Read", "arguments": {"file_path": "/tmp/missing"}, "fragments": 4},
]
PROVIDER_GONE: Json = {"error": {"code": "server_error", "message": "Provider disconnected"}}
CONTEXT_EXCEEDED = "model_context_window_exceeded"
LONG_PIECE = "A sentence of an answer that is very long indeed. " * 20
CUT_TEXT = "This answer will not be finished because the line goes"

# Chunks that trip readers: empty tool_calls beside text, nulls, no choices, a key nobody knows.
ODD_CHUNKS: list[Emission] = [
    {"chunk": {"id": "gen-odd", "choices": [{"index": 0, "delta": {"content": "Odd: ", "tool_calls": []}}]}},
    {"chunk": {"id": "gen-odd", "error": None, "choices": [{"index": 0, "delta": {"content": None, "audio": None}}]}},
    {"chunk": {"id": "gen-odd", "choices": [], "openrouter_metadata": {"strategy": "direct"}}},
    {"chunk": {"id": "gen-odd", "choices": [{"index": 0, "delta": {}, "surprise": True}]}},
]

SCRIPTS: tuple[Json, ...] = (
    script("text", turn(TEXT_TURN)),
    script("say", say("{{args}}")),
    script("bash_echo", turn([call("Bash", BASH_HELLO)]), say("The command printed: {{tool_result}}")),
    script(
        "bash",
        turn([call("Bash", {"command": "{{args|true}}", "description": "Run a command"})]),
        say("The command printed: {{tool_result}}"),
    ),
    script(
        "text_tool",
        turn([{"text": "Let me look.", "pieces": 2}, call("Bash", BASH_HELLO)]),
        say("The command printed: {{tool_result}}"),
    ),
    script(
        "read",
        turn([call("Read", {"file_path": "{{args|/tmp/missing}}"})]),
        say("I saw {{images}} images and {{files}} files in the request."),
    ),
    script(
        "web_search",
        turn([call("WebSearch", {"query": "{{args|simulated query}}"})]),
        say("The search returned: {{tool_result}}"),
    ),
    script(
        "subagent",
        turn(
            [
                call(
                    "Agent",
                    {
                        "description": "Say hello",
                        "prompt": "[[text#sub]] Say hello and nothing else.",
                        "subagent_type": "general-purpose",
                    },
                )
            ]
        ),
        say("The subagent answered: {{tool_result}}"),
    ),
    script(
        "two_tools",
        turn([{"tool_calls": TWO_COMMANDS, "interleaved": True}]),
        say("Both commands are done; the last printed: {{tool_result}}"),
    ),
    script(
        "two_tools_sequential",
        turn([{"tool_calls": TWO_COMMANDS, "interleaved": False}]),
        say("Both commands are done; the last printed: {{tool_result}}"),
    ),
    script(
        "empty_arguments",
        turn([call("{{arg1|TaskList}}", "", fragments=1)]),
        say("The tool returned: {{tool_result}}"),
    ),
    script(
        "bad_arguments",
        turn([call("Bash", '{"command": "echo unfinished', fragments=2)]),
        say("The tool returned: {{tool_result}}"),
    ),
    script(
        "reasoning_text",
        turn([{"reasoning": "First I think about it. Then I answer.", "pieces": 4}, *TEXT_TURN]),
    ),
    script(
        "reasoning_tool",
        turn([{"reasoning": "A command will tell.", "pieces": 3}, call("Bash", BASH_HELLO)]),
        say("After thinking, the command printed: {{tool_result}}"),
    ),
    script(
        "reasoning_two_tools",
        turn(
            [
                {"reasoning": "Two commands will tell.", "pieces": 3},
                {"tool_calls": TWO_COMMANDS, "interleaved": True},
            ]
        ),
        say("After thinking, the last command printed: {{tool_result}}"),
    ),
    script(
        "reasoning_redacted",
        turn([{"redacted": True}, *TEXT_TURN]),
    ),
    script(
        "interleaved_reasoning",
        turn(
            [
                {"reasoning": "First thought.", "pieces": 2},
                {"text": "A first word.", "pieces": 2},
                {"reasoning": "Second thought.", "pieces": 2},
                call("Bash", BASH_HELLO),
            ]
        ),
        say("After two thoughts, the command printed: {{tool_result}}"),
    ),
    script(
        "tool_then_text",
        turn([call("Bash", BASH_HELLO), {"text": "That was the call.", "pieces": 2}]),
        say("The command printed: {{tool_result}}"),
    ),
    script(
        "whole_arguments",
        turn([{"tool_call": {"name": "Bash", "arguments": BASH_HELLO, "whole": True}}]),
        say("The command printed: {{tool_result}}"),
    ),
    script(
        "repeated_ids",
        turn([{"tool_call": {"name": "Bash", "arguments": BASH_HELLO, "fragments": 4, "repeat_id": True}}]),
        say("The command printed: {{tool_result}}"),
    ),
    script("odd_chunks", turn([*ODD_CHUNKS, *TEXT_TURN])),
    script("slow", turn([{"text": "slow piece " * 60, "pieces": 60, "delay_ms": 50}])),
    script("stream", turn([{"text_pieces": "{{arg1|300}}", "piece": "token ", "delay_ms": "{{arg2|0}}"}])),
    script("silence", turn([{"silence_ms": "{{arg1|5}}000", "every_ms": 1000}, *TEXT_TURN])),
    script("stall", turn([{"text": "A word, then", "pieces": 2}, {"sleep_ms": "{{arg1|5}}000"}, *TEXT_TURN])),
    script("late", turn([{"sleep_ms": "{{arg1|5}}000"}, *TEXT_TURN])),
    script("error", turn({"status": "{{arg1|500}}", "error_type": "{{arg2|}}"})),
    script("rate_limited_once", turn({"status": 429}, TEXT_TURN)),
    script("overloaded_once", turn({"status": 529}, TEXT_TURN)),
    script("error_once", turn({"status": "{{arg1|502}}"}, TEXT_TURN)),
    script("drop_once", turn({"drop": True}, TEXT_TURN)),
    script(
        "html_error",
        turn(
            {
                "status": 502,
                "body": "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>",
                "headers": {"Content-Type": "text/html"},
            }
        ),
    ),
    script(
        "error_in_200",
        turn(
            {
                "status": 200,
                "body": {
                    "error": {
                        "code": 502,
                        "message": "Provider returned an invalid response",
                        "metadata": {"error_type": "provider_unavailable", "provider_name": "Simulated"},
                    }
                },
            }
        ),
    ),
    script(
        "mid_stream_error",
        turn([{"text": CUT_TEXT, "pieces": 5}, PROVIDER_GONE]),
    ),
    script(
        "mid_stream_error_early",
        turn([{"error": {"code": 429, "message": "Rate limited while starting"}}]),
    ),
    script("cut", turn([{"text": CUT_TEXT, "pieces": 5}, {"cut": "close"}])),
    script("cut_reset", turn([{"text": CUT_TEXT, "pieces": 5}, {"cut": "reset"}])),
    script("cut_clean", turn([{"text": CUT_TEXT, "pieces": 5}, {"cut": "clean"}])),
    script("cut_once", turn([{"text": CUT_TEXT, "pieces": 5}, {"cut": "close"}], TEXT_TURN)),
    script("cut_tool", turn([call("Bash", BASH_HELLO, fragments=5), {"cut": "close"}])),
    script("empty", turn([{"finish": "stop"}])),
    script("malformed_function_call", turn([{"finish": "error", "native": "MALFORMED_FUNCTION_CALL"}])),
    script(
        "malformed_function_call_once",
        turn([{"finish": "error", "native": "MALFORMED_FUNCTION_CALL"}], TEXT_TURN),
    ),
    script("content_filter", turn([{"text": "I may not", "pieces": 2}, {"finish": "content_filter"}])),
    script("refuse", turn([{"finish": "content_filter"}])),
    script("refuse_then", turn([{"finish": "content_filter"}], TEXT_TURN)),
    script("length", turn([{"text": "This answer is too long to", "pieces": 3}, {"finish": "length"}])),
    script("length_tool", turn([call("Bash", '{"command": "echo', fragments=2), {"finish": "length"}])),
    script("wrong_finish", turn([call("Bash", BASH_HELLO), {"finish": "stop"}]), say("Printed: {{tool_result}}")),
    script(
        "context_overflow",
        turn(
            {
                "status": 400,
                "error_type": "context_length_exceeded",
                "message": (
                    "This endpoint's maximum context length is 128000 tokens. However, you requested about "
                    "131073 tokens (130049 of text input, 1024 in the output). Please reduce the length of either "
                    'one, or use the "middle-out" transform to compress your prompt automatically.'
                ),
            }
        ),
    ),
    script(
        "prompt_too_long",
        turn(
            {
                "status": 400,
                "error_type": "context_length_exceeded",
                "message": "prompt is too long: 205001 tokens > 200000 maximum",
            }
        ),
    ),
    # fallbacks and retries
    script("fail_model", turn({"model": "{{arg1}}", "status": "{{arg2|503}}", "then": TEXT_TURN})),
    script(
        "fail_model_times",
        turn({"model": "{{arg1}}", "status": "{{arg2|503}}", "times": "{{arg3|1}}", "then": TEXT_TURN}),
    ),
    script("fail_times", turn({"times": "{{arg1|1}}", "status": "{{arg2|503}}", "then": TEXT_TURN})),
    script("drop_model", turn({"model": "{{arg1}}", "drop": True, "then": TEXT_TURN})),
    script("slow_error", turn({"delay_ms": "{{arg1|5}}000", "status": "{{arg2|502}}"})),
    script("slow_error_once", turn({"delay_ms": "{{arg1|5}}000", "status": "{{arg2|502}}"}, TEXT_TURN)),
    script("late_error", turn([{"sleep_ms": "{{arg1|5}}000"}, PROVIDER_GONE])),
    script("late_error_once", turn([{"sleep_ms": "{{arg1|5}}000"}, PROVIDER_GONE], TEXT_TURN)),
    script("silence_error_once", turn([{"silence_ms": "{{arg1|5}}000", "every_ms": 500}, PROVIDER_GONE], TEXT_TURN)),
    script("cut_early_once", turn([{"sleep_ms": "{{arg1|0}}000"}, {"cut": "close"}], TEXT_TURN)),
    script("mid_stream_error_early_once", turn([PROVIDER_GONE], TEXT_TURN)),
    script("empty_once", turn([{"finish": "stop"}], TEXT_TURN)),
    # endings
    script("stop_here", turn([{"text": "Before the stop. {{args|STOP}} After the stop.", "pieces": 9}])),
    script("refusal_text", turn([{"refusal": "I will not do that."}, {"finish": "content_filter"}])),
    script(
        "context_window_exceeded",
        turn([{"text": "There is no more room", "pieces": 3}, {"finish": "length", "native": CONTEXT_EXCEEDED}]),
    ),
    script("pause_turn", turn([{"text": "A pause.", "pieces": 2}, {"finish": "stop", "native": "pause_turn"}])),
    script(
        "malformed_function_call_charged",
        turn([{"reasoning": "Which tool?", "pieces": 2}, {"finish": "error", "native": "MALFORMED_FUNCTION_CALL"}]),
    ),
    script("usage_before", turn([*TEXT_TURN, {"finish": "stop", "usage": "before"}])),
    script("usage_with", turn([*TEXT_TURN, {"finish": "stop", "usage": "with"}])),
    script("usage_none", turn([*TEXT_TURN, {"finish": "stop", "usage": "none"}])),
    # searches, calls, lengths
    script("searches", turn([{"search": "{{arg1|2}}"}, *SEARCH_ANSWER[:1]])),
    script(
        "citations",
        turn(
            [
                {"text": CITED_TEXT[:FIRST_SENTENCE], "pieces": 3},
                {"annotations": CITATIONS[:1]},
                {"text": CITED_TEXT[FIRST_SENTENCE:], "pieces": 4},
                {"annotations": CITATIONS[1:]},
            ]
        ),
    ),
    script(
        "three_tools",
        turn([{"tool_calls": THREE_TOOLS, "interleaved": True}]),
        say("All three are done; the last told: {{tool_result}}"),
    ),
    script(
        "signature_after",
        turn(
            [
                {"reasoning": "Two commands will tell.", "pieces": 2},
                {"tool_calls": [{**each, "signature": "after"} for each in TWO_COMMANDS]},
            ]
        ),
        say("Both commands are done; the last printed: {{tool_result}}"),
    ),
    script("think", turn([{"reasoning": "{{args|I think.}}", "pieces": 3}, *TEXT_TURN])),
    script("long", turn([{"text_pieces": "{{arg1|200}}", "piece": LONG_PIECE}])),
    script("unicode", turn([{"text": "naïve 🙂 \u2028 line\u0085 next [DONE] data: x", "pieces": 7}])),
)
