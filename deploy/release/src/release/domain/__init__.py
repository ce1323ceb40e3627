"""What a release goes through and what is refused, what is worse than before, and what a release may change. Pure."""
