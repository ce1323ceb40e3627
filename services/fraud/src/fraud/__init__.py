"""Risk rules over the events, whose decisions restrict wallets."""
