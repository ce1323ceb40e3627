"""Deliveries at work: leased, attempted over HTTP, settled."""
