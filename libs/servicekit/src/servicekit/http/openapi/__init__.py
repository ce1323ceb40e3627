"""The OpenAPI document: its text on answers, and its generation from both kinds of routes."""
