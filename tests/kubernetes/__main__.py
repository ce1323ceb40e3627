"""`make kubernetes`: build every overlay and component of `deploy/kubernetes`, and judge what comes of it."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import typer
from tests.kubernetes import speaking
from tests.kubernetes.judging import judge
from tests.kubernetes.reading import COMPILED, FOLDER, Document, build, read
from tests.kubernetes.validating import validate, versions

from engines.errors import EngineError


@dataclass(frozen=True, slots=True)
class Installation:
    """One way of installing the platform: an overlay, and components besides; where the public reaches the gateway."""

    overlay: str
    components: tuple[str, ...] = ()
    public_port: int = 8080

    def __str__(self) -> str:
        return " + ".join((self.overlay, *self.components))


INSTALLATIONS: Final = (
    Installation("overlays/production", public_port=8443),
    Installation("overlays/production", ("queue-age",), public_port=8443),
    Installation("overlays/production", ("gateway-api",)),
    Installation("overlays/development"),
    Installation("overlays/development", ("monitoring",)),
    *(
        Installation(f"overlays/{overlay}/migrate-{phase}")
        for overlay in ("production", "development")
        for phase in ("pre", "post")
    ),
)


def wrong_with(documents: Sequence[Document], installation: Installation) -> list[str]:
    """Return what is wrong with the objects of *installation*, its edges included."""
    wrong = judge(documents)
    if not speaking.silent_by_default(documents):
        wrong.append("nothing refuses what no edge is named for")
    needed = speaking.expected(speaking.components(documents), public_port=installation.public_port)
    found = speaking.edges(documents)
    wrong += [f"{one} may not speak to {other} at {port}" for one, other, port in sorted(needed - found)]
    wrong += [f"{one} may speak to {other} at {port}" for one, other, port in sorted(found - needed)]
    return wrong


def check(installation: Installation, *, is_built: bool) -> bool:
    """Validate and judge *installation*, print what came of it, and return whether all is right."""
    began_s = time.monotonic()
    overlay = FOLDER / installation.overlay
    documents = build(overlay, components=installation.components) if is_built else read(overlay)
    validated = validate(documents)
    wrong = [*validated.wrong, *(wrong_with(documents, installation) if is_built else ())]
    told = f"{installation}: {validated.objects} objects, {len(wrong)} wrong, {time.monotonic() - began_s:.1f} s"
    without = f"; without a schema: {', '.join(sorted(validated.left_out))}" if validated.left_out else ""
    print(told + without, flush=True)
    for sentence in wrong:
        print(f"  {sentence}", file=sys.stderr)
    return not wrong


def main() -> None:
    """Build the overlays with their components, validate them, and judge pods, secrets and who may speak to whom.

    kustomize is compiled by Go, once. Without Go the files are validated one by one, and the end says what was left
    out. The exit code is 1 where something is wrong, and 3 where nothing is but not all was looked at.
    """
    is_built = COMPILED.exists() or shutil.which("go") is not None
    print(f"Kubernetes {' and '.join(versions())}, fields that their schemas do not know are wrong", flush=True)
    try:
        right = [check(each, is_built=is_built) for each in INSTALLATIONS if is_built or not each.components]
    except EngineError as error:
        print(f"kubernetes: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    if not all(right):
        raise typer.Exit(1)
    if not is_built:
        print(
            "left out, for want of Go: building the overlays, their patches and components, and all judgement of what "
            "is built: install Go and run this again",
            file=sys.stderr,
        )
        raise typer.Exit(3)


if __name__ == "__main__":
    typer.run(main)
