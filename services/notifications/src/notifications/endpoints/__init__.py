"""Webhook endpoints: their rows and secrets, what owners do with them and ask of them, where they may lead."""
