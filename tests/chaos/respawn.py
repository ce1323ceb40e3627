"""A process that is there again at once when it was killed: a fork of one that has imported everything."""

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Final

RESPAWNS: Final = "CHAOS_RESPAWNS"
"""The variable that asks for it."""
_PR_SET_PDEATHSIG: Final = 1


def respawning(main: Callable[[], int]) -> int:
    """Run *main* in a fork, and anew in another one as often as it is killed; return its exit code."""
    while True:
        child = os.fork()
        if child == 0:
            # The supervisor knows the parent alone: the child must not outlive it.
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            return main()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != -signal.SIGKILL:
            return code
