"""Signed webhooks and e-mail about what happened."""
