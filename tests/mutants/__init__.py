"""One small bug per pitfall, put into a copy of the tree: the pitfall's test must turn red."""
