"""What a history is made of, and how events make it. Pure."""
