"""Attempts at an answer: one per target that is asked, translated or relayed, in the order an alias gives."""
