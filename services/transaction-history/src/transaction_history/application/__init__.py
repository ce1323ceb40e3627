"""What the service does: projecting events, and answering questions about them."""
