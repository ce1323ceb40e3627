"""Run the checks and the tests of the repository, stage by stage: `python -m tests.stages [check]`.

Each stage prints its time, the first failure ends the run with its exit code, and a table closes it. A new smoke is one
more line in SMOKES.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
TOOLS = Path(PYTHON).parent
NO_TESTS_COLLECTED = 5  # pytest's exit code


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of the closing table and the command behind it."""

    name: str
    argv: tuple[str, ...]

    @property
    def is_pytest(self) -> bool:
        """Whether "no tests here" is an answer and not a failure."""
        return "pytest" in self.argv


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of a tool that stands beside this Python."""
    return (str(TOOLS / name), *arguments)


def folders(kind: str) -> tuple[str, ...]:
    """Return every member's folder of that name that holds Python files: `src` or `tests`."""
    found = (each for parent in ("libs", "services", "deploy") for each in sorted(ROOT.glob(f"{parent}/*/{kind}")))
    return tuple(str(each.relative_to(ROOT)) for each in found if any(each.rglob("*.py")))


def static_stages() -> list[Stage]:
    """Return the stages that run nothing of the product."""
    return [
        Stage("format", tool("ruff", "format", "--check", "--quiet", ".")),
        Stage("lint", tool("ruff", "check", "--quiet", ".")),
        Stage("types of the sources", tool("mypy", *folders("src"))),
        Stage("types of the tests", tool("mypy", *folders("tests"), "tests")),
        Stage("architecture", tool("lint-imports", "--no-cache")),
        Stage("dependencies", (PYTHON, "-m", "tests.dependencies")),
    ]


def pytest(marks: str, *, processes: int = 1) -> tuple[str, ...]:
    """Return the command that runs the tests with these marks, in *processes* with engines of their own.

    A process that dies, as one does whose test hangs, ends the run.
    """
    spread = ("-n", str(processes), "--dist", "worksteal", "--max-worker-restart", "0") if processes > 1 else ()
    return (PYTHON, "-m", "pytest", "-m", marks, *spread)


TESTS = (
    Stage("unit and property", pytest("not integration and not e2e", processes=2)),
    Stage("integration", pytest("integration and not e2e", processes=2)),
    Stage("end to end", pytest("e2e")),
)
# Short runs of the programs that prove the whole; they assert that it holds, never how fast it is.
SMOKES: tuple[Stage, ...] = (
    Stage("demo of 500 operations", (PYTHON, "-m", "demo", "--operations", "500")),
    Stage("each benchmark cell", (PYTHON, "-m", "tests.load", "--smoke")),
    Stage("a mix of 2,000 commands", (PYTHON, "-m", "tests.mix", "--operations", "2000")),
    Stage("three faults", (PYTHON, "-m", "tests.chaos", "--faults", "F2,F24,F58", "--seeds", "1", "--seconds", "2")),
)


def run(stage: Stage, environment: dict[str, str]) -> tuple[int, float]:
    """Run one stage, telling what it does; return its exit code and its seconds."""
    print(f"── {stage.name}", flush=True)
    begun = time.perf_counter()
    code = subprocess.run(stage.argv, check=False, cwd=ROOT, env=environment).returncode
    seconds = time.perf_counter() - begun
    if stage.is_pytest and code == NO_TESTS_COLLECTED:
        print("   no tests of this kind yet")
        code = 0
    print(f"   {'passed' if code == 0 else f'FAILED with {code}'} in {seconds:.1f} s", flush=True)
    return code, seconds


def run_all(stages: Sequence[Stage]) -> int:
    """Run the stages up to the first failure, print the table, and return the exit code."""
    environment = {**os.environ, "MYPYPATH": ":".join(folders("src"))}
    lines = []
    code = 0
    for stage in stages:
        code, seconds = run(stage, environment)
        lines.append(f"{stage.name:<24} {'ok' if code == 0 else 'FAILED':<8} {seconds:>7.1f} s")
        if code != 0:
            break
    print("\n" + "\n".join(lines))
    return code


def main(arguments: Sequence[str]) -> int:
    """Run every stage, or the static ones alone for `check`."""
    if list(arguments) not in ([], ["check"]):
        print("usage: python -m tests.stages [check]")
        return 2
    return run_all(static_stages() if arguments else [*static_stages(), *TESTS, *SMOKES])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
