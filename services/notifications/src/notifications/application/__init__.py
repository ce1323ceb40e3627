"""What the service does: takes endpoints in, records deliveries and carries them out."""
