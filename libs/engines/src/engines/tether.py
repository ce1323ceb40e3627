"""Run as a script: become a command that ends when its parent does.

    tether.py PARENT SIGNAL UID GID /PATH/OF/COMMAND [ARGUMENT ...]

The kernel forgets the wish on every change of credentials, so the account is changed first; UID -1 keeps it. A parent
that is already gone is noticed by its pid. The wish follows the *thread* that started us: start from one that lives on.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def start_line(pid: int) -> str:
    """Return the line that marks in a log where the process with this pid began."""
    return f"--- pid {pid} starts ---"


def end_with_parent(death_signal: int) -> None:
    """Ask the kernel for *death_signal* at the end of the thread that started this process; only Linux does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)


def main(arguments: list[str]) -> None:
    """Change account, ask for *SIGNAL* at the parent's death, and become the command."""
    parent, death_signal, uid, gid = (int(each) for each in arguments[:4])
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    end_with_parent(death_signal)
    if os.getppid() != parent:
        sys.exit("the parent has ended")
    print(start_line(os.getpid()), flush=True)
    # Not execvp: it would import modules that the new account may not be able to read.
    os.execv(arguments[4], arguments[4:])  # noqa: S606 - becoming the command is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
