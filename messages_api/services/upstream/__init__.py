"""The ways out: one interface, and a client for each kind of upstream."""
