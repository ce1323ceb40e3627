"""The planted bugs: parts of processes that are joined by the services' own `bootstrap`, and wrong."""
