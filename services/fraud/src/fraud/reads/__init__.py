"""Questions about risk."""
