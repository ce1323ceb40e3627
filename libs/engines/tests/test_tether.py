import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engines import tether

# Starts a grandchild through the tether, tells its pid, and waits to be killed.
PARENT = """
import sys, time
from pathlib import Path
from engines.daemon import Command, spawn
print(spawn(Command(name="child", argv=("sleep", "600"), log=Path(sys.argv[1]))).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's wish is Linux's")
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))

        parent.kill()

    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_command_whose_parent_is_gone_already_does_not_start() -> None:
    nobody = "1" if os.getpid() != 1 else "2"
    argv = [sys.executable, tether.__file__, nobody, str(int(signal.SIGKILL)), "-1", "-1", "/bin/echo", "started"]

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "started" not in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its account")
def test_the_account_is_changed_before_the_command() -> None:
    argv = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), "9", "54321", "54321", "/usr/bin/id", "-u"]

    done = subprocess.run(argv, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "54321"
