"""The read model, made from the events alone."""
