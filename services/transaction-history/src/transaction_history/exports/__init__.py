"""Files made of the history."""
