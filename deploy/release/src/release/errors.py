"""What keeps a release from being brought in, said so that its reader knows what to do."""


class ReleaseFailed(Exception):
    """A step does not come about, or nothing may be done; the message is for the person at the terminal."""
