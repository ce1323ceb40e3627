"""Restrictions that the fraud service decided on: a decision read from Kafka becomes a command."""
