"""Profiles and decisions, made from the events alone."""
