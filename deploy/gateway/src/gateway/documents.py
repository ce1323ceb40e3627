"""The routes of the APIs as `docs/openapi` has them."""

import json

from engines.checkout import ROOT
from gateway.routes import SERVICES, Route, routes_of


def documented_routes() -> list[Route]:
    """Return every public path of the documents in this checkout. Raises AmbiguousRoute."""
    folder = ROOT / "docs" / "openapi"
    return routes_of({service: json.loads((folder / f"{service}.json").read_text()) for service in SERVICES})
