"""The built-in scripts, as data, in the same form in which a test registers its own.

A script is `{"name", "turns": [turn, ...]}`, a turn `{"attempts": [attempt, ...]}`, an attempt either an
error answer `{"status", "body"?, "headers"?, "error_type"?, "message"?}` or a list of emissions. Strings may hold
`{{arg1}}`, `{{arg1|default}}`, `{{args}}`, `{{tool_result}}`, `{{images}}`, `{{files}}`, `{{last_user}}`.
"""

from testing.openrouter_simulator.exact_json import Json, JsonValue

Emission = Json
Attempt = Json | list[Emission]

ANSWER_PIECES = 6
SEARCH_CITATION: Json = {
    "type": "url_citation",
    "url_citation": {
        "url": "https://example.com/simulated",
        "title": "A simulated page",
        "content": "What the simulated page says.",
        "start_index": 0,
        "end_index": 20,
    },
}

DEFAULT_ANSWER: list[Emission] = [
    {"text": "You said: {{last_user}}. This is the simulator's answer.", "pieces": ANSWER_PIECES}
]
SEARCH_ANSWER: list[Emission] = [
    {"text": "The web says that the simulated page is the best source for: {{last_user}}", "pieces": ANSWER_PIECES},
    {"annotations": [SEARCH_CITATION]},
]
TEXT_TURN: list[Emission] = [{"text": "Hello from the simulator.", "pieces": 3}]


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
PROVIDER_GONE: Json = {"error": {"code": "server_error", "message": "Provider disconnected"}}
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
    script("unicode", turn([{"text": "naïve 🙂 \u2028 line\u0085 next [DONE] data: x", "pieces": 7}])),
)
