"""HTTP: the application factory, hot routes, problem documents, paging and what handlers ask for."""

from servicekit.http.app import create_app, create_process_app
from servicekit.http.context import RequestContext, dry_run_of, invalid_query
from servicekit.http.decoding import check_json, decode_body, invalid_request
from servicekit.http.dependencies import Caller, Context, IdempotencyKey, MinPosition
from servicekit.http.health import Check, HealthCheck, healthy
from servicekit.http.hot import HotRequest, HotResponse, HotRoute
from servicekit.http.pages import json_response
from servicekit.http.paging import Page, PageRequest, decode_cursor, encode_cursor
from servicekit.http.problems import FieldError, Problem, problem_from, render_problem

__all__ = [
    "Caller",
    "Check",
    "Context",
    "FieldError",
    "HealthCheck",
    "HotRequest",
    "HotResponse",
    "HotRoute",
    "IdempotencyKey",
    "MinPosition",
    "Page",
    "PageRequest",
    "Problem",
    "RequestContext",
    "check_json",
    "create_app",
    "create_process_app",
    "decode_body",
    "decode_cursor",
    "dry_run_of",
    "encode_cursor",
    "healthy",
    "invalid_query",
    "invalid_request",
    "json_response",
    "problem_from",
    "render_problem",
]
