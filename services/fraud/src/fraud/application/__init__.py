"""Use cases: try rules on past events."""
