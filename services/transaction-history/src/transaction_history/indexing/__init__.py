"""The index over the history, made from the events alone."""
