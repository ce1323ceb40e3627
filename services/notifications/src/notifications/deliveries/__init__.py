"""Deliveries: recorded from events, asked for and attempted again by owners."""
