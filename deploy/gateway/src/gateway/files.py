"""The parts of the gateway's configuration that are made: of the routes, and of the registry of problems. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts import problems
from contracts.problems import ProblemCode
from gateway.routes import Route
from servicekit.http.problems import PROBLEM_TYPE, render_problem

BODY_DEFAULT_BYTES: Final = 64 * 1024
"""What may be sent to a path without a bound of its own: as much as to most."""
RETRY_AFTER_S: Final = 1
_MADE: Final = "# Made by `python -m gateway files`."


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway answers by itself: the statuses of nginx that it stands for, and the problem that it is.

    One that *is_before_path* is met while there is no path yet, which a named location cannot be led to from.
    """

    statuses: tuple[int, ...]
    problem: ProblemCode
    detail: str
    is_repeatable: bool = False
    is_before_path: bool = False

    @property
    def location(self) -> str:
        """Where it is given; no client reaches it there."""
        name = f"answer_{self.statuses[0]}"
        return f"/{name}" if self.is_before_path else f"@{name}"


ANSWERS: Final = (
    Answer((400,), problems.MALFORMED_HTTP, "The request cannot be read as HTTP.", is_before_path=True),
    Answer((404,), problems.NOT_FOUND, "There is no such path."),
    Answer((413,), problems.BODY_TOO_LARGE, "The body is larger than this path takes."),
    Answer((414,), problems.URI_TOO_LONG, "The URL is longer than 16 KiB.", is_before_path=True),
    # No status of HTTP that nginx gives of itself: the configuration returns it for such a path.
    Answer((418,), problems.UNCLEAR_PATH, "The path has empty segments, or dots in place of a name."),
    Answer((494,), problems.HEAD_TOO_LARGE, "The headers are larger than 64 KiB, or one of them than 16 KiB."),
    Answer((497,), problems.MALFORMED_HTTP, "This port speaks TLS."),
    Answer((500, 502), problems.GATEWAY_UNAVAILABLE, "No instance could be reached.", is_repeatable=True),
    Answer((503,), problems.OVERLOADED, "Too many requests of this address are under way.", is_repeatable=True),
    Answer((504,), problems.GATEWAY_TIMEOUT, "No instance answered in time.", is_repeatable=True),
)


def routes_file(routes: Sequence[Route]) -> str:
    """Return the maps from a request's target to its route, and from there to its service."""
    lines = [
        _MADE,
        "map_hash_bucket_size 128;",
        "map $request_uri $route {",
        *(rf'    "~{route.pattern}(?:\?|$)" "{route.template}";' for route in routes),
        '    default "unmatched";',
        "}",
        "map $route $service {",
        *(f'    "{route.template}" {route.service};' for route in routes),
        '    default "";',
        "}",
    ]
    return "\n".join(lines) + "\n"


def locations_file(routes: Sequence[Route]) -> str:
    """Return where requests are passed on, with the bounds of their bodies."""
    larger = [route for route in routes if route.body_max_bytes > BODY_DEFAULT_BYTES]
    lines = [_MADE, *_location("/", BODY_DEFAULT_BYTES)]
    for route in larger:
        lines += _location(f"~ {route.pattern}$", route.body_max_bytes)
    return "\n".join(lines) + "\n"


def _location(matching: str, body_max_bytes: int) -> list[str]:
    return [
        f"location {matching} {{",
        f"    client_max_body_size {body_max_bytes};",
        "    if ($is_unclear) {",
        "        return 418;",
        "    }",
        '    if ($service = "") {',
        "        return 404;",
        "    }",
        "    proxy_pass http://$service;",
        "}",
    ]


def answers_file() -> str:
    """Return the problem documents that stand for nginx's own errors."""
    lines = [_MADE]
    for answer in ANSWERS:
        document = render_problem(answer.problem, answer.detail, instance=None).decode().replace("'", r"\'")
        lines += [
            f"error_page {' '.join(map(str, answer.statuses))} = {answer.location};",
            f"location {'= ' if answer.is_before_path else ''}{answer.location} {{",
            *(["    internal;"] if answer.is_before_path else []),
            f"    default_type {PROBLEM_TYPE.decode()};",
            "    add_header Request-Id $passed_request_id always;",
            "    add_header X-Content-Type-Options nosniff always;",
            "    add_header Cache-Control no-store always;",
            *([f"    add_header Retry-After {RETRY_AFTER_S} always;"] if answer.is_repeatable else []),
            f"    return {answer.problem.status} '{document}';",
            "}",
        ]
    return "\n".join(lines) + "\n"
