"""A recorded day of traffic, played and reconciled."""
