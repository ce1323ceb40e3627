"""Which objects a kustomization has: as its files say, one by one, and as kustomize builds them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from engines import checkout, locks
from engines.errors import EngineError

Document = dict[str, Any]

FOLDER: Final = checkout.ROOT / "deploy" / "kubernetes"
KUSTOMIZE: Final = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
COMPILED: Final = checkout.CACHE / "kustomize-5.7.1"
COMPILED_WITHIN_S: Final = 600
BUILT_WITHIN_S: Final = 60
_SETTINGS: Final = "configMapGenerator"


def files_of(folder: Path) -> Iterator[Path]:
    """Give the files of objects that the kustomization in *folder* names, those of its bases and components too."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in (*kustomization.get("resources", ()), *kustomization.get("components", ())):
        path = (folder / name).resolve()
        if path.is_dir():
            yield from files_of(path)
        else:
            yield path


def read(folder: Path) -> list[Document]:
    """Return the objects of these files, as they are before anything is patched."""
    return [each for file in files_of(folder) for each in objects_in(file.read_text())]


def objects_in(text: str) -> list[Document]:
    """Return the objects that *text* has, by the parser of libyaml: a build has thousands of lines."""
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each is not None]


def settings_of(folder: Path) -> dict[str, dict[str, str]]:
    """Return the variables of each ConfigMap that the kustomization in *folder* makes; what it merges wins."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found: dict[str, dict[str, str]] = {}
    for name in (*kustomization.get("resources", ()), *kustomization.get("components", ())):
        if (folder / name).is_dir():
            for holder, variables in settings_of((folder / name).resolve()).items():
                found.setdefault(holder, {}).update(variables)
    for each in kustomization.get(_SETTINGS, ()):
        pairs = (literal.split("=", 1) for literal in each.get("literals", ()))
        found.setdefault(each["name"], {}).update(dict(pairs))
    return found


def kustomize() -> Path:
    """Return kustomize, compiled by Go into the cache once. Raises EngineError, with a sentence, where it cannot be."""
    if COMPILED.exists():
        return COMPILED
    go = shutil.which("go")
    if go is None:
        raise EngineError("Go compiles kustomize: install it (for example `sudo apt-get install golang-go`)")
    with locks.waiting(checkout.CACHE / "kustomize.lock"), tempfile.TemporaryDirectory(dir=checkout.CACHE) as folder:
        print(f"compiling {KUSTOMIZE}, once: about a minute", flush=True)
        # With no flags of the machine's own, such as `-mod=vendor`.
        environment = {**os.environ, "GOBIN": folder, "GOFLAGS": "-mod=mod"}
        done = subprocess.run(
            [go, "install", KUSTOMIZE],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMPILED_WITHIN_S,
        )
        if done.returncode != 0:
            raise EngineError(f"kustomize could not be compiled: {done.stderr.strip()[-2000:]}")
        (Path(folder) / "kustomize").replace(COMPILED)
    return COMPILED


def build(folder: Path, *, components: Sequence[str] = ()) -> list[Document]:
    """Return the objects that kustomize builds of *folder* with *components* besides. Raises EngineError."""
    program = kustomize()
    with tempfile.TemporaryDirectory(dir=checkout.CACHE) as temporary:
        above = Path(temporary)
        paths = [os.path.relpath(FOLDER / "components" / name, above) for name in components]
        overlay = {"resources": [os.path.relpath(folder, above)], "components": paths}
        (above / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        done = subprocess.run(
            [program, "build", above], capture_output=True, text=True, check=False, timeout=BUILT_WITHIN_S
        )
    if done.returncode != 0:
        raise EngineError(f"{folder.relative_to(FOLDER)} does not build: {done.stderr.strip()}")
    return objects_in(done.stdout)
