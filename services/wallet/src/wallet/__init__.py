"""The command side: the only writer of balances."""
