"""Identities in the database, and what is done with them, each change with its event."""
