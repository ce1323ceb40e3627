"""The workflows are valid, a reviewer of such files finds nothing, and they run the commands of the Makefile."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from engines import checkout
from local_stack.services import SERVICES

WORKFLOWS: Final = sorted((checkout.ROOT / ".github" / "workflows").glob("*.yml"))
WITHIN_S: Final = 60
IMAGES: Final = {service.slug for service in SERVICES}

each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)


def jobs(workflow: Path) -> dict[str, Any]:
    """Return the jobs of a workflow."""
    found: dict[str, Any] = yaml.safe_load(workflow.read_text())["jobs"]
    return found


def run(program: str, *arguments: str) -> tuple[int, str]:
    """Return the exit code and what was printed by a *program* beside this Python."""
    argv = [str(Path(sys.executable).with_name(program)), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=WITHIN_S, cwd=checkout.ROOT)
    return done.returncode, done.stdout + done.stderr


def test_they_have_the_schema_of_workflows() -> None:
    code, told = run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS))

    assert code == 0, told


def test_a_reviewer_finds_nothing() -> None:
    code, told = run("zizmor", "--offline", "--no-progress", "--pedantic", *map(str, WORKFLOWS))

    assert code == 0, told


@each_workflow
def test_it_may_do_what_its_jobs_name_and_each_action_is_one_commit(workflow: Path) -> None:
    text = workflow.read_text()

    assert yaml.safe_load(text)["permissions"] == {}
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []
    for job in jobs(workflow).values():
        assert job["timeout-minutes"] <= 90
        checkouts = [each for each in job["steps"] if each.get("uses", "").startswith("actions/checkout@")]
        assert all(each["with"]["persist-credentials"] is False for each in checkouts)


@each_workflow
def test_it_runs_commands_that_the_makefile_has(workflow: Path) -> None:
    commands = set(re.findall(r"^(\w+):", (checkout.ROOT / "Makefile").read_text(), re.MULTILINE))
    runs = [step["run"] for job in jobs(workflow).values() for step in job["steps"] if "run" in step]

    called = {name for text in runs for name in re.findall(r"\bmake (\w+)", text)}

    assert called
    assert called <= commands


def test_a_release_has_every_image() -> None:
    (workflow,) = (each for each in WORKFLOWS if each.stem == "release")
    document = yaml.safe_load(workflow.read_text())

    assert set(document["env"]["IMAGES"].split()) == IMAGES
    assert set(document["jobs"]["sign"]["strategy"]["matrix"]["image"]) == IMAGES
