"""What tests, the demo and the benchmarks share; imports nothing of the server."""
