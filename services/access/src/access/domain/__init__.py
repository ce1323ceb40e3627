"""What the rules of identities are. Pure."""
