"""The first stage of the images' Dockerfile, carried out in a folder: no engine of containers is needed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

from dockerfile_parse import DockerfileParser

from engines import checkout

DOCKERFILE: Final = checkout.ROOT / "deploy" / "images" / "Dockerfile"
STEP_S_MAX: Final = 300


class Step(TypedDict):
    """What is used of an instruction as the parser tells it."""

    instruction: str
    value: str


@dataclass
class Build:
    """The first stage of the Dockerfile, its absolute paths moved below *root*."""

    root: Path
    environment: dict[str, str]
    arguments: dict[str, str]
    workdir: Path = field(init=False)

    def __post_init__(self) -> None:
        self.workdir = self.root

    def execute(self, steps: Sequence[Step]) -> None:
        """Do what Docker would, instruction by instruction."""
        for step in steps:
            instruction, value = step["instruction"], step["value"]
            match instruction:
                case "ARG":
                    name, _, default = value.partition("=")
                    self.arguments.setdefault(name, default)
                case "ENV":
                    self.environment.update(_assignments(self._moved(self._filled(value))))
                case "WORKDIR":
                    self.workdir = Path(self._moved(value))
                    self.workdir.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(*self._filled(value).split())
                case "RUN":
                    self._run(self._moved(value))
                case "FROM":
                    pass
                case _:
                    raise AssertionError(f"the first stage holds {instruction}, which is not known here")

    def _filled(self, text: str) -> str:
        for name, value in self.arguments.items():
            text = text.replace(f"${{{name}}}", value)
        return text

    def _moved(self, text: str) -> str:
        return text.replace("/app", str(self.root / "app"))

    def _copy(self, source: str, target: str) -> None:
        wanted = self.workdir / target
        if (checkout.ROOT / source).is_file():
            shutil.copy(checkout.ROOT / source, wanted)
        else:
            ignored = shutil.ignore_patterns("tests", "__pycache__", "*.egg-info")
            shutil.copytree(checkout.ROOT / source, wanted, ignore=ignored, dirs_exist_ok=True)

    def _run(self, command: str) -> None:
        # The services follow one another here, in one folder: what one has fetched is there for the next.
        environment = {**self.environment, **self.arguments, "UV_NO_CACHE": "0"}
        done = subprocess.run(
            ["/bin/sh", "-euc", command],
            cwd=self.workdir,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=STEP_S_MAX,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _assignments(value: str) -> Mapping[str, str]:
    return dict(pair.split("=", 1) for pair in value.split())


def clean_environment(root: Path) -> dict[str, str]:
    """Return the environment of the base image: a Python with pip on the PATH, and this machine's way to packages."""
    base = root / "base"
    subprocess.run([sys.executable, "-m", "venv", str(base)], check=True, timeout=STEP_S_MAX)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))}
    return {**kept, "PATH": f"{base / 'bin'}:/usr/bin:/bin", "HOME": str(root)}


def stages() -> tuple[list[Step], list[Step], list[Step]]:
    """Return the first stage up to its SERVICE argument, from there on, and what follows the stage."""
    found = DockerfileParser(str(DOCKERFILE)).structure
    steps = [Step(instruction=step["instruction"], value=step["value"]) for step in found]
    steps = [step for step in steps if step["instruction"] != "COMMENT"]
    starts = [index for index, step in enumerate(steps) if step["instruction"] == "FROM"]
    service = next(index for index, step in enumerate(steps) if step["value"] == "SERVICE")
    assert starts[0] == 0
    return steps[:service], steps[service : starts[1]], steps[starts[1] :]
