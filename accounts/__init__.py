"""Who is calling: users, teams, personal keys, OpenRouter keys. Imports no other app."""
