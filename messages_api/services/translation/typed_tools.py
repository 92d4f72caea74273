"""Owns the tools that Anthropic defines and the client runs: what Claude knows of them by heart is spelled out here.

Their fields are those of Anthropic's documentation of each tool, whose commands the client's own code carries out
(wire.md 1.5; the SDK's `beta_memory_tool_20250818_*_command`, `tool_text_editor_*_param`, `beta_tool_computer_use_*`).
"""

from typing import Any, Final

Schema = dict[str, Any]


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _number(description: str) -> Schema:
    return {"type": "integer", "description": description}


def _numbers(count: int, description: str) -> Schema:
    items = {"type": "integer"}
    return {"type": "array", "items": items, "minItems": count, "maxItems": count, "description": description}


def _one_of(values: tuple[str, ...], description: str) -> Schema:
    return {"type": "string", "enum": list(values), "description": description}


# --- bash ------------------------------------------------------------------------------------------------------------

BASH: Final = (
    "Run a command in a persistent bash session: directory, variables and files stay from one call to the next. "
    "It cannot answer prompts. Give either command or restart.",
    _object(
        command=_text("The command to run. Required unless the session is being restarted."),
        restart={"type": "boolean", "description": "True restarts the session."},
    ),
)

# --- text editor -----------------------------------------------------------------------------------------------------

_EDITOR: Final = (
    "View, create and edit text files. view shows a file with line numbers, or lists a directory; create writes a new "
    "file; str_replace replaces old_str, which must occur exactly once, by new_str; insert puts text after a line."
)


def _editor(inserted: str, more: tuple[str, ...]) -> tuple[str, Schema]:
    """The editor, with the name that its version gives to the text of `insert`, and the commands it has beside."""
    commands = ("view", "create", "str_replace", "insert", *more)
    properties = {
        "command": _one_of(commands, "What to do."),
        "path": _text("The absolute path of the file or directory."),
        "view_range": _numbers(2, "For view: the first and the last line to show, from 1; -1 is the end of the file."),
        "file_text": _text("For create: the content of the file."),
        "old_str": _text("For str_replace: the text to replace, exactly as it stands in the file."),
        "new_str": _text("For str_replace: the text to put in its place."),
        "insert_line": _number("For insert: the line after which to insert; 0 is the beginning of the file."),
    }
    properties[inserted] = _text(
        "For insert: the text to insert."
        if inserted == "insert_text"
        else "For str_replace: the text to put in the place of old_str. For insert: the text to insert."
    )
    undo = " undo_edit takes back the last edit of a file." if "undo_edit" in more else ""
    return _EDITOR + undo, _object(("command", "path"), **properties)


# --- memory ----------------------------------------------------------------------------------------------------------

MEMORY: Final = (
    "Keep notes in files under /memories, which stay from one conversation to the next. Look at /memories before a "
    "task and write down what will be needed later.",
    _object(
        ("command",),
        command=_one_of(("view", "create", "str_replace", "insert", "delete", "rename"), "What to do."),
        path=_text("The path under /memories; for every command but rename."),
        view_range=_numbers(2, "For view: the first and the last line to show."),
        file_text=_text("For create: the content of the file."),
        old_str=_text("For str_replace: the text to replace."),
        new_str=_text("For str_replace: the text to put in its place."),
        insert_line=_number("For insert: the line after which to insert; 0 is the beginning of the file."),
        insert_text=_text("For insert: the text to insert."),
        old_path=_text("For rename: the path as it is."),
        new_path=_text("For rename: the path as it shall be."),
    ),
)

# --- computer --------------------------------------------------------------------------------------------------------

_FIRST_ACTIONS: Final = (
    "key",
    "type",
    "mouse_move",
    "left_click",
    "left_click_drag",
    "right_click",
    "middle_click",
    "double_click",
    "screenshot",
    "cursor_position",
)
_MORE_ACTIONS: Final = ("left_mouse_down", "left_mouse_up", "scroll", "hold_key", "wait", "triple_click")
_COMPUTER: Final = (
    "Use the mouse, keyboard and screen of a computer. The screen is {width} x {height} pixels; coordinates are [x, y] "
    "from its upper left corner. Take a screenshot to see what is there and where, and again to see what an action did."
)


def _computer(actions: tuple[str, ...], width: int | None, height: int | None) -> tuple[str, Schema]:
    properties = {
        "action": _one_of(actions, "What to do."),
        "coordinate": _numbers(2, "Where: [x, y]. For mouse_move, clicks and scroll; for left_click_drag the end."),
        "text": _text("For type: the text. For key and hold_key: the keys, as xdotool names them, e.g. ctrl+s."),
    }
    if "scroll" in actions:
        properties |= {
            "start_coordinate": _numbers(2, "For left_click_drag: where it begins, [x, y]."),
            "scroll_direction": _one_of(("up", "down", "left", "right"), "For scroll."),
            "scroll_amount": _number("For scroll: how many clicks of the wheel."),
            "duration": {"type": "number", "description": "For wait and hold_key: how many seconds."},
        }
    if "zoom" in actions:
        properties["region"] = _numbers(4, "For zoom: what to see larger, [x0, y0, x1, y1].")
    described = _COMPUTER.format(width=width or "unknown", height=height or "unknown")
    return described, _object(("action",), **properties)


# --- by type ---------------------------------------------------------------------------------------------------------

_FIXED: Final[dict[str, tuple[str, Schema]]] = {
    "bash_20241022": BASH,
    "bash_20250124": BASH,
    "memory_20250818": MEMORY,
    "text_editor_20241022": _editor("new_str", ("undo_edit",)),
    "text_editor_20250124": _editor("new_str", ("undo_edit",)),
    "text_editor_20250429": _editor("new_str", ()),
    "text_editor_20250728": _editor("insert_text", ()),
}
_COMPUTER_ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "computer_20241022": _FIRST_ACTIONS,
    "computer_20250124": (*_FIRST_ACTIONS, *_MORE_ACTIONS),
    "computer_20251124": (*_FIRST_ACTIONS, *_MORE_ACTIONS),
}
TYPED_TOOLS: Final = frozenset(_FIXED) | frozenset(_COMPUTER_ACTIONS)


def described(kind: str, *, width: int | None, height: int | None, zooms: bool | None) -> tuple[str, Schema]:
    """The description and the schema of a tool of one of the `TYPED_TOOLS`."""
    if kind in _FIXED:
        return _FIXED[kind]
    return _computer((*_COMPUTER_ACTIONS[kind], *(("zoom",) if zooms else ())), width, height)
