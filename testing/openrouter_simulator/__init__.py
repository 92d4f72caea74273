"""A stand-in for OpenRouter: its wire, its refusals and its bills, on loopback."""
