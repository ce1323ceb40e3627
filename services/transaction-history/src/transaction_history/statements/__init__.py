"""Statements: which periods of wallets are closed, and the files of what was."""
