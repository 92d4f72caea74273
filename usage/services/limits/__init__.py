"""How much a team, its members and their keys may ask for at once and in a minute."""
