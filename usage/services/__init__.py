"""What is decided and written about usage."""
