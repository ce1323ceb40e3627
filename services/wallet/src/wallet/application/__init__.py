"""Use cases: batches of commands decided and committed, and what is answered. Speaks to the world through ports."""
