"""Releases on one machine: the new one is brought in beside the old, clients are led to it, the old one is drained."""
