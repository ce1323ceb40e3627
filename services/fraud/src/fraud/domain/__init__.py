"""What a wallet's profile is, how events make it, and how rules judge it. Pure."""
