"""What keeps an engine from running, said so that its reader knows what to do."""


class EngineError(Exception):
    """An engine, or what it needs, cannot be had; the message is for the person at the terminal."""
