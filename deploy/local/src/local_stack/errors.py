"""What stops the stack, said so that its reader knows what to do."""


class StackError(Exception):
    """The stack cannot go on; the message is for the person at the terminal."""
