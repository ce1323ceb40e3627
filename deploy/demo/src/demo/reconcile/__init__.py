"""Reconciling ledger, topic and read model, streaming, by code that shares nothing with the projections."""
