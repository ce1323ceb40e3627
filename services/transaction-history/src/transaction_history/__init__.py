"""The query side: history, read from the events alone."""
