"""`/docs`: the API's document shown by Swagger UI, whose files come with the service and from nowhere else."""

from importlib import metadata, resources
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, Response

from contracts import problems
from servicekit.http.problems import Problem

DISTRIBUTION: Final = "fastapi-offline"
_VERSION: Final = metadata.version(DISTRIBUTION)
FILES: Final = f"/docs/{_VERSION}"
"""The files of one version under one path: a browser may keep them."""
_BESIDE: Final = FILES.removeprefix("/")
_TYPES: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_FROM_HERE_ALONE: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


def add_docs(app: FastAPI) -> None:
    """Add `/docs` and the files it needs; browsers are told to ask nobody else for anything."""
    router = APIRouter(include_in_schema=False)
    page = get_swagger_ui_html(
        openapi_url="openapi.json",  # beside the page, wherever a gateway shows it
        title=app.title,
        swagger_js_url=f"{_BESIDE}/swagger-ui-bundle.js",
        swagger_css_url=f"{_BESIDE}/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None},  # or it has its document validated elsewhere
    )
    page.headers["content-security-policy"] = _FROM_HERE_ALONE
    folder = Path(str(resources.files("fastapi_offline"))) / "static"

    @router.get("/docs")
    async def docs() -> Response:
        return page

    @router.get(f"{FILES}/{{name}}")
    async def docs_file(name: str) -> Response:
        if name not in _TYPES:
            raise Problem(problems.NOT_FOUND, "There is no such file.")
        kept = {"cache-control": "public, max-age=31536000, immutable"}
        return FileResponse(folder / name, media_type=_TYPES[name], headers=kept)

    app.include_router(router)
