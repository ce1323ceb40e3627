"""What workers do by themselves."""
