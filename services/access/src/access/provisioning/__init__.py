"""Identities from a file: what an installation begins with."""
