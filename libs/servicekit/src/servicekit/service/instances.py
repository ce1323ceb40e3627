"""What distinguishes one process of a kind from another."""

import os
import random
import socket


def instance_name() -> str:
    """Return the process's name for operators: host and pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def instance_jitter() -> random.Random:
    """Return a source of jitter that differs between instances."""
    return random.Random(instance_name())  # noqa: S311  jitter, not a secret
