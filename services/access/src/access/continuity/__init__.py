"""Whether the database still has what was told of it, and how it is brought back where it has not."""
