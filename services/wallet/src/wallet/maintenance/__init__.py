"""What operators run on the ledger: verify, archive, rebuild and replay. Only bootstrap knows of it."""
