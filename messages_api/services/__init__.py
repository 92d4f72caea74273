"""What is decided and done for a request, step by step: `messages.py` tells the story."""
