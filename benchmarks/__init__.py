"""Our server beside the bare lower bound, measured in CPU: `python -m benchmarks`."""
