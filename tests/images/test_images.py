"""Every RUN line of the images runs in a clean folder. `make images` builds the images themselves and runs them."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest
from tests.images.first_stage import STEP_S_MAX, Build, clean_environment, stages
from tests.supply.environments import installed_in
from tests.supply.listing import complete, wrong_with

from local_stack.services import SERVICES

pytestmark = pytest.mark.e2e

PACKAGES: Final = [(service.slug, service.name) for service in SERVICES]


@pytest.mark.timeout(900)
def test_every_run_line_works_in_a_clean_folder(tmp_path: Path) -> None:
    shared, own, second_stage = stages()
    assert "RUN" not in {step["instruction"] for step in second_stage}, "this test runs the first stage alone"
    build = Build(tmp_path, clean_environment(tmp_path), {})
    build.execute(shared)
    for distribution, package in PACKAGES:
        build.arguments["SERVICE"] = distribution
        build.execute(own)

        told = subprocess.run(
            [str(tmp_path / "app" / ".venv" / "bin" / "python"), "-m", package, "--help"],
            cwd=tmp_path / "app",
            env={"PATH": "/usr/bin:/bin"},
            check=False,
            capture_output=True,
            text=True,
            timeout=STEP_S_MAX,
        )
        assert told.returncode == 0, told.stderr
        assert "migrate" in told.stdout
        listed = json.loads((tmp_path / "app" / "sbom.cdx.json").read_text())
        parts = {each["name"] for each in listed["components"]}
        installed = installed_in(tmp_path / "app" / ".venv")
        # `make sbom` looks up the hashes besides.
        whole = complete(listed, {}, installed)
        assert list(wrong_with(whole, installed, set(installed))) == []
        assert listed["metadata"]["component"]["name"] == distribution
        assert {"asyncpg", "servicekit"} <= parts
        assert not {"uv", "pip", "hatchling", "cyclonedx-bom"} & parts
