"""Consistent reads: wallets and transactions as the ledger has them."""
