"""Budgets: which there are, what is reserved and spent of them, and who is told of it."""
