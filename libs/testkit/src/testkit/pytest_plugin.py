"""Fixtures of every test run."""
