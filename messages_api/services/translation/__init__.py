"""Messages to chat completions and back. Pure: types in, types out; ids, clock and settings are passed in."""
